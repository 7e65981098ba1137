/* SPDX-License-Identifier: MIT */
#include "core/source_channel.h"

#include "core/base/checked.h"
#include "core/base/error.h"
#include "core/channel_loop.h"
#include "core/packet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Receives for the destination's credit messages; it sends nothing else on a channel. */
#define RECEIVE_SLOTS 1u

struct source_channel {
    struct channel_counters counters;
    struct source_channel_config *config;
    struct batch_ring *ring;
    struct waker waker;
    pthread_t thread;
    atomic_bool stop;
    atomic_bool up;
    _Atomic uint64_t drained;

    /* The thread's own; `channel` is freed by source_channel_disconnect. */
    struct transport_channel *channel;
    struct multifd_send_params params;
    struct transport_write *writes;
    bool sync_sent; /* a SYNC is posted and not known to be drained */
};

void multifd_send_fill_packet(struct multifd_send_params *p)
{
    struct multifd_packet packet = {
        .magic = PACKET_MAGIC,
        .version = PACKET_VERSION,
        .flags = p->flags,
        .pages_alloc = p->page_count,
        .normal_pages = p->normal_num,
        .next_packet_size = p->next_packet_size,
        .packet_num = p->packet_num,
        .zero_pages = p->zero_num,
    };

    if (p->ramblock != NULL) {
        snprintf(packet.ramblock, sizeof(packet.ramblock), "%s", p->ramblock);
    }
    p->packet_len = packet_encode(&packet, p->normal, p->zero, p->packet);
    if (p->iov != NULL) {
        p->iov[0] = (struct iovec){.iov_base = p->packet, .iov_len = p->packet_len};
    }
}

/* Sets the parameters for a batch, as a method finds them in send_prepare. */
static void load_batch(struct multifd_send_params *p, const struct page_batch *batch,
                       uint8_t *packet)
{
    p->ramblock = batch->block == NULL ? NULL : batch->block->name;
    p->host = batch->block == NULL ? NULL : batch->block->host;
    p->normal = batch->offsets;
    p->normal_num = batch->num;
    p->packet_num = batch->packet_num;
    p->flags = batch->flags;
    p->next_packet_size = 0;
    p->iovs_num = 1;
    p->packet = packet;
}

/*
 * Payloads in guest memory become writes to the same place at the destination. Their number, or -1
 * when the method's iov is not what the packet's pages can have.
 */
static int build_writes(struct source_channel *channel, const struct multifd_ram_block *block,
                        struct multifd_error *err)
{
    const struct multifd_send_params *p = &channel->params;
    uint64_t left = (uint64_t)p->normal_num * p->page_size;
    uint32_t num = 0;

    for (uint32_t i = 1; i < p->iovs_num; i++) {
        uint64_t offset = (uintptr_t)p->iov[i].iov_base - (uintptr_t)block->host;
        uint64_t length = p->iov[i].iov_len;

        if (!range_within(offset, length, block->length) || offset % p->page_size != 0 ||
            length % p->page_size != 0 || length > left) {
            return error_set(err, MULTIFD_ERROR_METHOD,
                             "the method's iov is not made of the packet's pages");
        }
        left -= length;
        num += ram_block_writes(block, offset, length, channel->config->max_message,
                                channel->writes + num);
    }
    return (int)num;
}

static int send_batch(struct source_channel *channel, const struct page_batch *batch,
                      uint8_t *packet, struct multifd_error *err)
{
    struct multifd_send_params *p = &channel->params;
    int writes_num = 0;

    load_batch(p, batch, packet);
    if (batch->num == 0) {
        multifd_send_fill_packet(p);
    } else {
        if (channel->config->method->send_prepare(p, err) != 0) {
            return -1;
        }
        writes_num = build_writes(channel, batch->block, err);
        if (writes_num < 0) {
            return -1;
        }
    }
    if (channel->channel->ops->send(channel->channel, channel->writes, (uint32_t)writes_num,
                                    p->packet_len, batch_ring_has_next(channel->ring), err) != 0) {
        return -1;
    }
    channel_counters_add(&channel->counters, p->normal_num, p->zero_num, p->page_size,
                         p->packet_len + p->next_packet_size);
    return 0;
}

/*
 * A session's thread that waits for room is woken when this channel has run out of batches, or all
 * channels together have half of what they take: not for each batch, since waking costs.
 */
static void consume(struct source_channel *channel)
{
    struct source_channel_config *config = channel->config;
    uint32_t left = batch_ring_consume(channel->ring);
    uint32_t all = atomic_fetch_sub(&config->batches_waiting, 1) - 1;

    if (left == 0 || all <= config->batches * config->session->options.channels / 2) {
        waker_wake(&config->session->main);
    }
}

/* Sends what the ring and the transport allow. */
static int send_batches(struct source_channel *channel, bool *busy, struct multifd_error *err)
{
    struct page_batch *batch;
    uint8_t *packet;

    while ((batch = batch_ring_peek(channel->ring)) != NULL) {
        packet = channel->channel->ops->send_buffer(channel->channel, batch->num);
        if (packet == NULL) {
            break; /* until completions or credits come */
        }
        if (send_batch(channel, batch, packet, err) != 0) {
            return -1;
        }
        channel->sync_sent = (batch->flags & MULTIFD_FLAG_SYNC) != 0;
        consume(channel);
        *busy = true;
    }
    return 0;
}

static int step(void *owner, bool *busy, struct multifd_error *err)
{
    struct source_channel *channel = owner;
    struct transport_message message;

    *busy = false;
    if (channel->channel->ops->receive(channel->channel, &message)) {
        return error_set(err, MULTIFD_ERROR_PROTOCOL,
                         "the destination sent a message of %u bytes on a channel", message.length);
    }
    if (send_batches(channel, busy, err) != 0) {
        return -1;
    }
    /*
     * The completion of a SYNC's SEND stands for all that was posted before it on this queue pair.
     */
    if (channel->sync_sent && channel->channel->ops->drained(channel->channel)) {
        channel->sync_sent = false;
        atomic_fetch_add(&channel->drained, 1);
        waker_wake(&channel->config->session->main);
        *busy = true;
    }
    return 0;
}

static bool wants_completions(void *owner)
{
    const struct source_channel *channel = owner;

    return channel->sync_sent;
}

static int connect_channel(struct source_channel *channel, struct multifd_error *err)
{
    struct session *session = channel->config->session;
    struct transport_profile profile = {
        .send_slots = session->options.window,
        .send_size = packet_bytes(channel->config->page_count),
        .receive_slots = RECEIVE_SLOTS,
        .receive_size = packet_bytes(0),
        .writes = channel->config->page_count,
    };
    struct greeting greeting = {.kind = GREETING_CHANNEL, .channel = channel->params.id};
    struct transport_greeting offer;
    struct transport_greeting answer;

    memcpy(greeting.uuid, channel->config->uuid, sizeof(greeting.uuid));
    greeting_encode(&greeting, &offer);
    channel->channel = session->endpoint->ops->connect(session->endpoint, &profile, &offer,
                                                       session->failed_fd, &answer, err);
    if (channel->channel == NULL) {
        return err->code == MULTIFD_ERROR_REFUSED && answer.length != 0
                   ? greeting_explain(&answer, err)
                   : -1;
    }
    return greeting_check_answer(&answer, &offer, err);
}

/* The transports place payloads straight from guest memory; nothing else is built yet. */
static int set_method_up(struct source_channel *channel, struct multifd_error *err)
{
    if (channel->config->method->send_setup(&channel->params, err) != 0) {
        return -1;
    }
    if ((channel->params.write_flags & MULTIFD_WRITE_FLAG_ZERO_COPY) == 0) {
        return error_set(err, MULTIFD_ERROR_METHOD,
                         "the method does not send from guest memory (write flags 0x%x)",
                         channel->params.write_flags);
    }
    return 0;
}

static int run(struct source_channel *channel, struct multifd_error *err)
{
    const struct channel_loop loop = {
        .session = channel->config->session,
        .channel = channel->channel,
        .waker = &channel->waker,
        .stop = &channel->stop,
        .step = step,
        .wants_completions = wants_completions,
        .owner = channel,
    };

    atomic_store(&channel->up, true);
    waker_wake(&channel->config->session->main);
    return channel_loop_run(&loop, err);
}

static void *channel_main(void *arg)
{
    struct source_channel *channel = arg;
    const struct multifd_methods *method = channel->config->method;
    struct multifd_error err;
    int status = connect_channel(channel, &err);

    if (status == 0) {
        status = set_method_up(channel, &err);
        if (status == 0) {
            status = run(channel, &err);
        }
        method->send_cleanup(&channel->params);
    }
    if (status != 0) {
        error_set_channel(&err, channel->params.id);
        session_fail(channel->config->session, &err);
    }
    return NULL;
}

static int start(struct source_channel *channel, struct multifd_error *err)
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

struct source_channel *source_channel_new(struct source_channel_config *config, uint8_t id,
                                          struct multifd_error *err)
{
    struct source_channel *channel = aligned_alloc(64, sizeof(*channel));

    if (channel == NULL) {
        error_set_nomem(err);
        return NULL;
    }
    memset(channel, 0, sizeof(*channel));
    channel->config = config;
    channel->params.id = id;
    channel->params.page_size = config->session->options.page_size;
    channel->params.page_count = config->page_count;
    channel->writes = calloc(config->page_count, sizeof(*channel->writes));
    if (channel->writes == NULL) {
        error_set_nomem(err);
        goto free_channel;
    }
    channel->ring = batch_ring_new(config->batches, config->page_count, err);
    if (channel->ring == NULL) {
        goto free_writes;
    }
    if (waker_init(&channel->waker, err) != 0) {
        goto delete_ring;
    }
    if (start(channel, err) != 0) {
        goto fini_waker;
    }
    return channel;

fini_waker:
    waker_fini(&channel->waker);
delete_ring:
    batch_ring_delete(&channel->ring);
free_writes:
    free(channel->writes);
free_channel:
    free(channel);
    return NULL;
}

void source_channel_stop(struct source_channel *channel)
{
    atomic_store(&channel->stop, true);
    waker_wake(&channel->waker);
    pthread_join(channel->thread, NULL);
}

void source_channel_disconnect(struct source_channel *channel)
{
    session_remove_waker(channel->config->session, &channel->waker);
    waker_fini(&channel->waker);
    if (channel->channel != NULL) {
        channel->channel->ops->free(channel->channel);
        channel->channel = NULL;
    }
}

void source_channel_delete(struct source_channel **channel)
{
    struct source_channel *gone = *channel;

    if (gone == NULL) {
        return;
    }
    batch_ring_delete(&gone->ring);
    free(gone->writes);
    free(gone);
    *channel = NULL;
}

bool source_channel_is_up(const struct source_channel *channel)
{
    return atomic_load(&channel->up);
}

uint64_t source_channel_drained(const struct source_channel *channel)
{
    return atomic_load(&channel->drained);
}

struct page_batch *source_channel_reserve(struct source_channel *channel)
{
    return batch_ring_reserve(channel->ring);
}

/*
 * A channel woken on the only processor takes it from the thread that has more to queue, and that
 * for a single packet: let half of what the ring takes gather first.
 */
void source_channel_publish(struct source_channel *channel)
{
    struct source_channel_config *config = channel->config;
    uint32_t enough = config->session->one_processor ? config->batches / 2 : 1;

    atomic_fetch_add(&config->batches_waiting, 1); /* first: it must not fall below 0 */
    if (batch_ring_publish(channel->ring) == enough) {
        waker_wake(&channel->waker);
    }
}

void source_channel_wake(struct source_channel *channel)
{
    waker_wake(&channel->waker);
}

const struct channel_counters *source_channel_counters(const struct source_channel *channel)
{
    return &channel->counters;
}
