/* SPDX-License-Identifier: MIT */
#include "third_party.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* On compress_data: that hooks get their own channel's is part of the contract. */
struct state {
    uint8_t id;
};

enum { FAILING_CHANNEL = 1, FAILING_PACKET = 3 };

struct third_party_channel third_party_channels[THIRD_PARTY_CHANNELS];
static enum third_party_hook failing_hook;
static enum third_party_fault wanted_fault;

void third_party_reset(enum third_party_hook fails, enum third_party_fault fault)
{
    memset(third_party_channels, 0, sizeof(third_party_channels));
    failing_hook = fails;
    wanted_fault = fault;
}

static int fail_if_wanted(enum third_party_hook hook, uint8_t id, unsigned calls,
                          struct multifd_error *err)
{
    static const char *const names[] = {
        [THIRD_SEND_SETUP] = "send_setup",
        [THIRD_SEND_PREPARE] = "send_prepare",
        [THIRD_RECV_SETUP] = "recv_setup",
        [THIRD_RECV] = "recv",
    };

    if (hook != failing_hook || id != FAILING_CHANNEL ||
        (hook != THIRD_SEND_SETUP && hook != THIRD_RECV_SETUP && calls < FAILING_PACKET)) {
        return 0;
    }
    err->code = MULTIFD_ERROR_METHOD;
    err->channel = MULTIFD_NO_CHANNEL;
    snprintf(err->message, sizeof(err->message), "the third party's %s does not want to",
             names[hook]);
    return -1;
}

/* Sets state up; counts a second one as disorder. */
static void begin(unsigned *disorders, void **data, uint8_t id, bool first)
{
    struct state *state = malloc(sizeof(*state));

    if (state == NULL) {
        abort();
    }
    state->id = id;
    *disorders += *data != NULL || !first;
    *data = state;
}

static bool is_own(const void *data, uint8_t id)
{
    const struct state *state = data;

    return state != NULL && state->id == id;
}

static void end(unsigned *disorders, void **data, uint8_t id)
{
    *disorders += !is_own(*data, id);
    free(*data);
    *data = NULL;
}

static int send_setup(struct multifd_send_params *p, struct multifd_error *err)
{
    struct third_party_channel *channel = &third_party_channels[p->id];

    channel->send_setups++;
    begin(&channel->send_disorders, &p->compress_data, p->id, channel->send_setups == 1);
    p->iov = calloc(p->page_count + 2, sizeof(*p->iov)); /* one more, for too much */
    if (p->iov == NULL) {
        abort();
    }
    if (wanted_fault != THIRD_NOT_IN_PLACE) {
        p->write_flags |= MULTIFD_WRITE_FLAG_ZERO_COPY;
    }
    return fail_if_wanted(THIRD_SEND_SETUP, p->id, channel->send_setups, err);
}

static void send_cleanup(struct multifd_send_params *p)
{
    struct third_party_channel *channel = &third_party_channels[p->id];

    channel->send_cleanups++;
    end(&channel->send_disorders, &p->compress_data, p->id);
    free(p->iov);
    p->iov = NULL;
}

static void spoil(struct multifd_send_params *p)
{
    static uint8_t elsewhere[4096];
    struct iovec *last = &p->iov[p->iovs_num - 1];

    switch (wanted_fault) {
    case THIRD_ELSEWHERE:
        last->iov_base = elsewhere;
        break;
    case THIRD_BEHIND_END:
        last->iov_len = (size_t)1 << 40;
        break;
    case THIRD_TOO_MUCH:
        p->iov[p->iovs_num++] = *last;
        break;
    case THIRD_HALF_A_PAGE:
        last->iov_len = p->page_size / 2;
        break;
    case THIRD_WRONG_LENGTH:
        p->next_packet_size--;
        break;
    case THIRD_WRONG_METHOD:
        p->flags = MULTIFD_FLAG_ZLIB;
        break;
    case THIRD_NOT_IN_PLACE:
    case THIRD_SOUND:
        break;
    }
}

static int send_prepare(struct multifd_send_params *p, struct multifd_error *err)
{
    struct third_party_channel *channel = &third_party_channels[p->id];

    channel->send_prepares++;
    channel->send_disorders += !is_own(p->compress_data, p->id) || p->flags != 0 ||
                               p->zero_num != 0 || p->normal_num == 0 ||
                               p->normal_num > p->page_count || channel->send_cleanups != 0;
    for (uint32_t i = 0; i < p->normal_num; i++) {
        p->iov[i + 1] = (struct iovec){.iov_base = (void *)(uintptr_t)(p->host + p->normal[i]),
                                       .iov_len = p->page_size};
    }
    p->iovs_num = p->normal_num + 1;
    p->next_packet_size = p->normal_num * p->page_size;
    p->flags |= THIRD_PARTY_FLAG;
    spoil(p);
    if (fail_if_wanted(THIRD_SEND_PREPARE, p->id, channel->send_prepares, err) != 0) {
        return -1;
    }
    multifd_send_fill_packet(p);
    return 0;
}

static int recv_setup(struct multifd_recv_params *p, struct multifd_error *err)
{
    struct third_party_channel *channel = &third_party_channels[p->id];

    channel->recv_setups++;
    begin(&channel->recv_disorders, &p->compress_data, p->id, channel->recv_setups == 1);
    return fail_if_wanted(THIRD_RECV_SETUP, p->id, channel->recv_setups, err);
}

static void recv_cleanup(struct multifd_recv_params *p)
{
    struct third_party_channel *channel = &third_party_channels[p->id];

    channel->recv_cleanups++;
    end(&channel->recv_disorders, &p->compress_data, p->id);
}

static int refuse(struct multifd_error *err, const char *what, uint32_t value)
{
    err->code = MULTIFD_ERROR_PROTOCOL;
    err->channel = MULTIFD_NO_CHANNEL;
    snprintf(err->message, sizeof(err->message), "the third party refuses %s %u", what, value);
    return -1;
}

static int take(struct multifd_recv_params *p, struct multifd_error *err)
{
    if (p->flags != THIRD_PARTY_FLAG) {
        return refuse(err, "flags", p->flags);
    }
    if (p->next_packet_size != p->normal_num * p->page_size) {
        return refuse(err, "a payload of", p->next_packet_size);
    }
    return 0;
}

static int recv_packet(struct multifd_recv_params *p, struct multifd_error *err)
{
    struct third_party_channel *channel = &third_party_channels[p->id];

    channel->recvs++;
    channel->recv_disorders += !is_own(p->compress_data, p->id) || p->normal_num == 0 ||
                               p->host == NULL || channel->recv_cleanups != 0;
    if (fail_if_wanted(THIRD_RECV, p->id, channel->recvs, err) != 0) {
        return -1;
    }
    return take(p, err);
}

static int recv_without_setup(struct multifd_recv_params *p, struct multifd_error *err)
{
    struct third_party_channel *channel = &third_party_channels[p->id];

    channel->recvs++;
    channel->recv_disorders += p->compress_data != NULL;
    return take(p, err);
}

const struct multifd_methods third_party_ops = {
    .send_setup = send_setup,
    .send_cleanup = send_cleanup,
    .send_prepare = send_prepare,
    .recv_setup = recv_setup,
    .recv_cleanup = recv_cleanup,
    .recv = recv_packet,
};

const struct multifd_methods third_party_least_ops = {
    .send_setup = send_setup,
    .send_cleanup = send_cleanup,
    .send_prepare = send_prepare,
    .recv = recv_without_setup,
};
