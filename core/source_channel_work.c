/* SPDX-License-Identifier: MIT */
#include "core/source_channel_state.h"

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/probes.h"

/* Posts what the writer has composed. */
static int post(struct source_channel *channel, bool more, struct multifd_error *err)
{
    const struct packet_writer *writer = &channel->writer;
    const struct multifd_send_params *p = &writer->params;

    if (channel->channel->ops->send(channel->channel, writer->writes, writer->writes_num,
                                    p->packet_len, more && !writer->staged, err) != 0) {
        return -1;
    }
    PROBE_PACKET_POSTED(p->id, p->packet_num, p->normal_num, writer->zero_pages,
                        p->packet_len + p->next_packet_size);
    channel_counters_add(&channel->counters, p->normal_num, writer->zero_pages, p->page_size,
                         p->packet_len + p->next_packet_size);
    if (channel->config->limiter.bytes_per_s != 0) {
        limiter_sent(&channel->config->limiter, p->packet_len + (uint64_t)p->next_packet_size,
                     clock_now_ns());
    }
    return 0;
}

static bool is_held(const struct source_channel *channel, const struct page_batch *batch)
{
    return batch == &channel->held.batch;
}

/* Whether a batch waits in the ring behind this one, which may be none of those. */
static bool has_next(struct source_channel *channel, const struct page_batch *batch)
{
    return is_held(channel, batch) ? batch_ring_peek(channel->ring) != NULL
                                   : batch_ring_has_next(channel->ring);
}

static int send_batch(struct source_channel *channel, const struct page_batch *batch,
                      uint8_t *packet, struct multifd_error *err)
{
    if (packet_writer_compose(&channel->writer, batch, packet, err) != 0) {
        return -1;
    }
    return post(channel, channel->more_follows || has_next(channel, batch), err);
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
        session_wake(config->session, SESSION_AWAITS_ROOM);
    }
}

/*
 * Whether the limit lets a batch go now; else `not_before` says when. A SYNC without pages is never
 * held back: a round must end.
 */
static bool may_send(struct source_channel *channel, const struct page_batch *batch)
{
    const struct limiter *limiter = &channel->config->limiter;

    channel->not_before = 0;
    if (limiter->bytes_per_s != 0 && batch->num != 0) {
        channel->not_before = limiter_not_before(limiter, clock_now_ns());
    }
    return channel->not_before == 0;
}

/* Once for each packet that has to wait, however often it is tried. */
static void count_stall(struct source_channel *channel, const struct page_batch *batch)
{
    if (channel->stalled) {
        return;
    }
    channel->stalled = true;
    if (!batch->ready) {
        counter_add(&channel->counters.memory_stalls, 1);
    } else if (channel->channel->ops->lacks_credit(channel->channel)) {
        PROBE_CREDIT_STALL(channel->writer.params.id, batch->packet_num);
        counter_add(&channel->counters.credit_stalls, 1);
    } else {
        counter_add(&channel->counters.queue_stalls, 1);
    }
}

/* Looks at the pages of the next batch that has not been looked at; false when there is none. */
static bool look_at_one(struct source_channel *channel)
{
    struct page_batch *batch = batch_ring_look(channel->ring);

    if (batch == NULL) {
        return false;
    }
    /* Without a registrar the transport needs no registered memory. */
    batch->ready = batch->block == NULL || channel->config->registrar == NULL;
    packet_writer_look(&channel->writer, batch);
    if (channel->config->on_demand && batch->block != NULL) {
        registrar_want(channel->config->registrar, batch->block, batch->offsets,
                       batch->num - batch->zero_num);
    }
    return true;
}

/*
 * Looks at the oldest batch if need be, and on demand at two that wait behind it, whether it can
 * be sent or not: their memory is registered while others are under way. True when there may be
 * more to look at.
 */
static bool look(struct source_channel *channel)
{
    if (!batch_ring_looked(channel->ring)) {
        look_at_one(channel);
    }
    return channel->config->on_demand && look_at_one(channel) && look_at_one(channel);
}

/* Whether the memory of the batch's pages is registered on both sides. */
static bool is_ready(struct source_channel *channel, struct page_batch *batch)
{
    if (!batch->ready) {
        batch->ready = registrar_ready(channel->config->registrar, batch->block, batch->offsets,
                                       batch->num - batch->zero_num, &channel->waker);
    }
    return batch->ready;
}

/*
 * What is to be sent next: the oldest batch that cannot be joined to what is held, and that before
 * it. NULL when there is nothing but what may be held.
 */
static struct page_batch *next_batch(struct source_channel *channel, bool *busy)
{
    struct held_runs *held = &channel->held;
    struct page_batch *batch;

    while (!held_runs_due(held) && (batch = batch_ring_peek(channel->ring)) != NULL) {
        *busy |= look(channel);
        if (!held_runs_join(held, batch)) {
            return held_runs_any(held) ? &held->batch : batch;
        }
        consume(channel);
        *busy = true;
    }
    return held_runs_due(held) ? &held->batch : NULL;
}

static void has_gone(struct source_channel *channel, const struct page_batch *batch)
{
    if (is_held(channel, batch)) {
        held_runs_clear(&channel->held);
    } else {
        consume(channel);
    }
}

/* Sends what the ring, the limit and the transport allow. */
static int send_batches(struct source_channel *channel, bool *busy, struct multifd_error *err)
{
    struct page_batch *batch;
    uint8_t *packet;

    channel->not_before = 0;
    while ((batch = next_batch(channel, busy)) != NULL && may_send(channel, batch)) {
        if (!is_ready(channel, batch)) {
            count_stall(channel, batch);
            break; /* until the registrar wakes this thread */
        }
        packet = channel->channel->ops->send_buffer(channel->channel, batch->num);
        if (packet == NULL) {
            count_stall(channel, batch);
            break; /* until completions or credits come */
        }
        channel->stalled = false;
        if (send_batch(channel, batch, packet, err) != 0) {
            return -1;
        }
        channel->sync_sent = (batch->flags & MULTIFD_FLAG_SYNC) != 0;
        has_gone(channel, batch);
        *busy = true;
    }
    return 0;
}

int source_channel_step(void *owner, bool *busy, struct multifd_error *err)
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
        session_wake(channel->config->session, SESSION_AWAITS_CHANNELS);
        *busy = true;
    }
    return 0;
}

bool source_channel_wants_completions(void *owner)
{
    const struct source_channel *channel = owner;

    return channel->sync_sent;
}

uint64_t source_channel_not_before(void *owner)
{
    const struct source_channel *channel = owner;

    return channel->not_before;
}
