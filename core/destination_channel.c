/* SPDX-License-Identifier: MIT */
#include "core/destination_channel.h"

#include "core/base/checked.h"
#include "core/base/error.h"
#include "core/channel_loop.h"
#include "core/offset_set.h"
#include "core/packet.h"

#include <stdlib.h>
#include <string.h>

struct destination_channel {
    struct channel_counters counters;
    const struct destination_channel_config *config;
    struct waker waker;
    pthread_t thread;
    atomic_bool stop;
    _Atomic uint64_t synced;   /* rounds that have come to their SYNC */
    _Atomic uint64_t released; /* rounds that may be left behind */

    /* The thread's own; `channel` is freed by destination_channel_disconnect. */
    struct transport_channel *channel;
    struct multifd_recv_params params;
    struct multifd_packet packet;
    uint64_t *offsets;
    struct offset_set *seen;
    struct multifd_ram_block *block; /* of the packet before: most often the next one's too */
    uint64_t next_num;               /* the least packet_num that may come */
};

void destination_channel_profile(const struct destination_channel_config *config,
                                 struct transport_profile *profile)
{
    *profile = (struct transport_profile){
        .send_slots = 1, /* nothing is sent but credits, which need no slot */
        .send_size = packet_bytes(0),
        .receive_slots = config->session->options.window,
        .receive_size = packet_bytes(config->page_count),
    };
}

static int find_block(struct destination_channel *channel, struct multifd_error *err)
{
    const char *name = channel->packet.ramblock;

    if (channel->block != NULL && strcmp(channel->block->name, name) == 0) {
        return 0;
    }
    channel->block = ram_table_find(&channel->config->session->blocks, name);
    if (channel->block == NULL) {
        return error_set(err, MULTIFD_ERROR_PROTOCOL, "packet refused: unknown ramblock \"%.64s\"",
                         name);
    }
    return 0;
}

static int check_offsets(struct destination_channel *channel, struct multifd_error *err)
{
    uint32_t num = channel->packet.normal_pages;
    uint32_t page_size = channel->config->page_size;

    for (uint32_t i = 0; i < num; i++) {
        uint64_t offset = channel->offsets[i];

        if ((offset & (page_size - 1)) != 0 ||
            !range_within(offset, page_size, channel->block->length)) {
            return error_set(err, MULTIFD_ERROR_PROTOCOL,
                             "packet refused: offset %llu is no page of \"%s\"",
                             (unsigned long long)offset, channel->block->name);
        }
    }
    if (offset_set_has_duplicate(channel->seen, channel->offsets, num)) {
        return error_set(err, MULTIFD_ERROR_PROTOCOL, "packet refused: a page of \"%s\" twice",
                         channel->block->name);
    }
    return 0;
}

/* All that can be wrong with a packet, before anything is changed by it. */
static int validate(struct destination_channel *channel, const struct transport_message *message,
                    struct multifd_error *err)
{
    struct multifd_packet *packet = &channel->packet;

    if (packet_decode(message->bytes, message->length, channel->config->page_count, packet,
                      channel->offsets, err) != 0) {
        return -1;
    }
    if (packet->packet_num < channel->next_num || packet->packet_num == UINT64_MAX) {
        return error_set(err, MULTIFD_ERROR_PROTOCOL, "packet refused: packet_num %llu after %llu",
                         (unsigned long long)packet->packet_num,
                         (unsigned long long)channel->next_num - 1);
    }
    if (packet->zero_pages != 0) {
        return error_set(err, MULTIFD_ERROR_PROTOCOL,
                         "packet refused: zero pages were not agreed on");
    }
    if (packet->normal_pages == 0) {
        return 0;
    }
    return find_block(channel, err) != 0 ? -1 : check_offsets(channel, err);
}

static int take_payload(struct destination_channel *channel, struct multifd_error *err)
{
    struct multifd_recv_params *p = &channel->params;

    p->host = channel->block->host;
    p->normal = channel->offsets;
    p->normal_num = channel->packet.normal_pages;
    p->flags = channel->packet.flags & ~MULTIFD_FLAG_SYNC;
    p->next_packet_size = channel->packet.next_packet_size;
    return channel->config->method->recv(p, err);
}

static int take_packet(struct destination_channel *channel, const struct transport_message *message,
                       struct multifd_error *err)
{
    const struct multifd_packet *packet = &channel->packet;

    if (validate(channel, message, err) != 0 ||
        (packet->normal_pages != 0 && take_payload(channel, err) != 0)) {
        return -1;
    }
    channel->next_num = packet->packet_num + 1;
    channel_counters_add(&channel->counters, packet->normal_pages, packet->zero_pages,
                         channel->config->page_size,
                         message->length + (uint64_t)packet->next_packet_size);
    if ((packet->flags & MULTIFD_FLAG_SYNC) != 0) {
        atomic_fetch_add(&channel->synced, 1);
        waker_wake(&channel->config->session->main);
    }
    return 0;
}

/* Between its SYNC and its release a channel applies nothing. */
static bool at_sync(const struct destination_channel *channel)
{
    return atomic_load(&channel->synced) != atomic_load(&channel->released);
}

static int step(void *owner, bool *busy, struct multifd_error *err)
{
    struct destination_channel *channel = owner;
    struct transport_message message;

    *busy = false;
    while (!at_sync(channel) && channel->channel->ops->receive(channel->channel, &message)) {
        if (take_packet(channel, &message, err) != 0 ||
            channel->channel->ops->release(channel->channel, err) != 0) {
            return -1;
        }
        *busy = true;
    }
    return 0;
}

static bool wants_completions(void *owner)
{
    (void)owner;
    return false; /* it sends nothing but credits */
}

static int run(struct destination_channel *channel, struct multifd_error *err)
{
    const struct multifd_methods *method = channel->config->method;
    const struct channel_loop loop = {
        .session = channel->config->session,
        .channel = channel->channel,
        .waker = &channel->waker,
        .stop = &channel->stop,
        .step = step,
        .wants_completions = wants_completions,
        .owner = channel,
    };
    int status = 0;

    if (method->recv_setup != NULL) {
        status = method->recv_setup(&channel->params, err);
    }
    if (status == 0) {
        status = channel_loop_run(&loop, err);
    }
    if (method->recv_cleanup != NULL) {
        method->recv_cleanup(&channel->params);
    }
    return status;
}

static void *channel_main(void *arg)
{
    struct destination_channel *channel = arg;
    struct multifd_error err;

    if (run(channel, &err) != 0) {
        error_set_channel(&err, channel->params.id);
        session_fail(channel->config->session, &err);
    }
    return NULL;
}

static int start(struct destination_channel *channel, struct multifd_error *err)
{
    int errnum;

    session_add_waker(channel->config->session, &channel->waker);
    errnum = pthread_create(&channel->thread, NULL, channel_main, channel);
    if (errnum != 0) {
        session_remove_waker(channel->config->session, &channel->waker);
        return error_set_errno(err, MULTIFD_ERROR_SYSTEM, errnum, "pthread_create");
    }
    return 0;
}

struct destination_channel *destination_channel_new(const struct destination_channel_config *config,
                                                    uint8_t id, struct transport_channel *transport,
                                                    struct multifd_error *err)
{
    struct destination_channel *channel = aligned_alloc(64, sizeof(*channel));

    if (channel == NULL) {
        error_set_nomem(err);
        goto free_transport;
    }
    memset(channel, 0, sizeof(*channel));
    channel->config = config;
    channel->channel = transport;
    channel->params.id = id;
    channel->params.page_size = config->page_size;
    channel->params.page_count = config->page_count;
    channel->offsets = calloc(config->page_count, sizeof(*channel->offsets));
    if (channel->offsets == NULL) {
        error_set_nomem(err);
        goto free_channel;
    }
    channel->seen = offset_set_new(config->page_count, err);
    if (channel->seen == NULL) {
        goto free_offsets;
    }
    if (waker_init(&channel->waker, err) != 0) {
        goto delete_seen;
    }
    if (start(channel, err) != 0) {
        goto fini_waker;
    }
    return channel;

fini_waker:
    waker_fini(&channel->waker);
delete_seen:
    offset_set_delete(&channel->seen);
free_offsets:
    free(channel->offsets);
free_channel:
    free(channel);
free_transport:
    transport->ops->free(transport);
    return NULL;
}

void destination_channel_stop(struct destination_channel *channel)
{
    atomic_store(&channel->stop, true);
    waker_wake(&channel->waker);
    pthread_join(channel->thread, NULL);
}

void destination_channel_disconnect(struct destination_channel *channel)
{
    session_remove_waker(channel->config->session, &channel->waker);
    waker_fini(&channel->waker);
    channel->channel->ops->free(channel->channel);
    channel->channel = NULL;
}

void destination_channel_delete(struct destination_channel **channel)
{
    struct destination_channel *gone = *channel;

    if (gone == NULL) {
        return;
    }
    offset_set_delete(&gone->seen);
    free(gone->offsets);
    free(gone);
    *channel = NULL;
}

uint64_t destination_channel_synced(const struct destination_channel *channel)
{
    return atomic_load(&channel->synced);
}

void destination_channel_release(struct destination_channel *channel, uint64_t round)
{
    atomic_store(&channel->released, round);
    waker_wake(&channel->waker);
}

const struct channel_counters *
destination_channel_counters(const struct destination_channel *channel)
{
    return &channel->counters;
}
