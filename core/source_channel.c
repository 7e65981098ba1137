/* SPDX-License-Identifier: MIT */
#include "core/source_channel_state.h"

#include "core/base/error.h"
#include "core/channel_loop.h"
#include "core/packet.h"

#include <stdlib.h>
#include <string.h>

/* Receives for the destination's credit messages; it sends nothing else on a channel. */
#define RECEIVE_SLOTS 1u

static int connect_channel(struct source_channel *channel, struct multifd_error *err)
{
    const struct source_channel_config *config = channel->config;
    struct session *session = config->session;
    struct transport_profile profile = {
        .send_slots = config->writer.slots == 0 ? session->options.window : config->writer.slots,
        .send_size = packet_bytes(config->writer.page_count),
        .receive_slots = RECEIVE_SLOTS,
        .receive_size = packet_bytes(0),
        .writes = config->writer.page_count,
        .framing = TRANSPORT_FIXED,
    };
    struct greeting greeting = {.kind = GREETING_CHANNEL, .channel = channel->writer.params.id};
    struct transport_greeting offer;
    struct transport_greeting answer;

    memcpy(greeting.uuid, config->uuid, sizeof(greeting.uuid));
    if (config->writer.stream) {
        greeting_encode_init(&greeting, &offer);
    } else {
        greeting_encode(&greeting, &offer);
    }
    channel->channel = session->endpoint->ops->connect(session->endpoint, &profile, &offer,
                                                       session->failed_fd, &answer, err);
    if (channel->channel == NULL) {
        return err->code == MULTIFD_ERROR_REFUSED && answer.length != 0
                   ? greeting_explain(&answer, err)
                   : -1;
    }
    return greeting_check_answer(&answer, &offer, err);
}

static int run(struct source_channel *channel, struct multifd_error *err)
{
    const struct channel_loop loop = {
        .session = channel->config->session,
        .channel = channel->channel,
        .waker = &channel->waker,
        .turn = &channel->turn,
        .stop = &channel->stop,
        .step = source_channel_step,
        .wants_completions = source_channel_wants_completions,
        .not_before = source_channel_not_before,
        .owner = channel,
    };

    atomic_store(&channel->up, true);
    session_wake(channel->config->session, SESSION_AWAITS_CHANNELS);
    return channel_loop_run(&loop, err);
}

static void fail(struct source_channel *channel, struct multifd_error *err)
{
    error_set_channel(err, channel->writer.params.id);
    session_fail(channel->config->session, err);
}

static void set_ready(struct source_channel *channel, bool ready)
{
    pthread_mutex_lock(&channel->turn);
    channel->ready = ready;
    pthread_mutex_unlock(&channel->turn);
}

static void channel_main(void *arg)
{
    struct source_channel *channel = arg;
    struct multifd_error err;
    int status = connect_channel(channel, &err);

    if (status == 0) {
        status = packet_writer_start(&channel->writer, &err);
        set_ready(channel, status == 0);
        if (status == 0) {
            status = run(channel, &err);
        }
        set_ready(channel, false);
        packet_writer_stop(&channel->writer);
    }
    if (status != 0) {
        fail(channel, &err);
    }
}

static int start(struct source_channel *channel, struct multifd_error *err)
{
    struct session *session = channel->config->session;

    session_add_waker(session, &channel->waker);
    if (worker_start(&channel->worker, session->workers, channel_main, channel, err) != 0) {
        session_remove_waker(session, &channel->waker);
        return -1;
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
    if (packet_writer_init(&channel->writer, &config->writer, id, err) != 0) {
        goto free_channel;
    }
    if (held_runs_init(&channel->held, config->writer.page_size, config->writer.page_count, err) !=
        0) {
        goto fini_writer;
    }
    channel->ring = batch_ring_new(config->batches, config->writer.page_count, err);
    if (channel->ring == NULL) {
        goto fini_held;
    }
    if (waker_init(&channel->waker, err) != 0) {
        goto delete_ring;
    }
    pthread_mutex_init(&channel->turn, NULL);
    if (start(channel, err) != 0) {
        goto fini_waker;
    }
    return channel;

fini_waker:
    pthread_mutex_destroy(&channel->turn);
    waker_fini(&channel->waker);
delete_ring:
    batch_ring_delete(&channel->ring);
fini_held:
    held_runs_fini(&channel->held);
fini_writer:
    packet_writer_fini(&channel->writer);
free_channel:
    free(channel);
    return NULL;
}

void source_channel_stop(struct source_channel *channel)
{
    atomic_store(&channel->stop, true);
    waker_wake(&channel->waker);
    worker_join(&channel->worker);
}

void source_channel_disconnect(struct source_channel *channel)
{
    struct multifd_error err;

    session_remove_waker(channel->config->session, &channel->waker);
    waker_fini(&channel->waker);
    if (channel->channel != NULL) {
        channel->channel->ops->free(channel->channel);
        channel->channel = NULL;
    }
    if (packet_writer_release(&channel->writer, &err) != 0) {
        log_line(&channel->config->session->options.log, "%s", err.message);
    }
}

void source_channel_delete(struct source_channel **channel)
{
    struct source_channel *gone = *channel;

    if (gone == NULL) {
        return;
    }
    batch_ring_delete(&gone->ring);
    held_runs_fini(&gone->held);
    packet_writer_fini(&gone->writer);
    pthread_mutex_destroy(&gone->turn);
    free(gone);
    *channel = NULL;
}

void source_channel_set_staging(struct source_channel *channel, const struct remote_staging *remote)
{
    channel->writer.remote = *remote;
}

bool source_channel_is_up(const struct source_channel *channel)
{
    return atomic_load(&channel->up);
}

bool source_channel_needs_sync(const struct source_channel *channel)
{
    return channel->needs_sync;
}

bool source_channel_has_drained(const struct source_channel *channel)
{
    return atomic_load(&channel->drained) == channel->syncs;
}

struct page_batch *source_channel_reserve(struct source_channel *channel)
{
    return batch_ring_reserve(channel->ring);
}

static int look_once(struct source_channel *channel, struct multifd_error *err)
{
    bool busy;

    return channel->channel->ops->progress(channel->channel, err) != 0
               ? -1
               : source_channel_step(channel, &busy, err);
}

static bool has_left_over(struct source_channel *channel)
{
    return channel->sync_sent || batch_ring_peek(channel->ring) != NULL ||
           held_runs_due(&channel->held);
}

/*
 * Works on the channel as its thread does before it sleeps. What is left over then, a batch without
 * room or a SYNC that has not drained, the thread is woken for: it is asleep, and by what the
 * device was asked for here, before the last look, or by hand where it would sleep too long. The
 * device is not asked while there is a chance to do without: a SYNC may have drained when it is
 * looked for. Runs that are held are not left over: they wait for more, or a SYNC.
 */
static int work_here(struct source_channel *channel, struct multifd_error *err)
{
    struct transport_channel *transport = channel->channel;

    if (look_once(channel, err) != 0 || (channel->sync_sent && look_once(channel, err) != 0)) {
        return -1;
    }
    if (has_left_over(channel) && (transport->ops->arm(transport, channel->sync_sent, err) != 0 ||
                                   look_once(channel, err) != 0)) {
        return -1;
    }
    if (channel->not_before != 0 ||
        (channel->config->writer.stream && !transport->ops->drained(transport))) {
        waker_wake(&channel->waker);
    }
    return 0;
}

/* Sends what is in the ring if the thread sleeps; whether it does. */
static bool send_here(struct source_channel *channel, bool more)
{
    struct multifd_error err;
    bool mine;

    if (pthread_mutex_trylock(&channel->turn) != 0) {
        return false; /* it is awake, and comes back for this batch */
    }
    mine = channel->ready && !session_has_failed(channel->config->session);
    if (mine) {
        channel->more_follows = more;
        if (work_here(channel, &err) != 0) {
            fail(channel, &err);
        }
        channel->more_follows = false;
    }
    pthread_mutex_unlock(&channel->turn);
    return mine;
}

/*
 * A sleeping thread is not woken for what the calling one can do as fast: on the only processor
 * anything, else what an idle channel ends a round with. On that processor a thread that is awake,
 * but does not run, is left alone too until half of what the ring takes has gathered: it would take
 * the processor for a single packet.
 */
void source_channel_publish(struct source_channel *channel, bool more)
{
    bool is_sync = (source_channel_reserve(channel)->flags & MULTIFD_FLAG_SYNC) != 0;
    struct source_channel_config *config = channel->config;
    bool one_processor = config->session->one_processor;
    uint32_t enough = one_processor ? config->batches / 2 : 1;
    uint32_t waiting;

    channel->needs_sync = !is_sync;
    channel->syncs += is_sync ? 1 : 0;
    atomic_fetch_add(&config->batches_waiting, 1); /* first: it must not fall below 0 */
    waiting = batch_ring_publish(channel->ring);
    if ((one_processor || (!more && waiting == 1)) && send_here(channel, more)) {
        return;
    }
    if (waiting == enough || !more) {
        waker_wake(&channel->waker);
    }
}

void source_channel_push(struct source_channel *channel)
{
    if (!channel->config->session->one_processor || !send_here(channel, true)) {
        waker_wake(&channel->waker);
    }
}

const struct channel_counters *source_channel_counters(const struct source_channel *channel)
{
    return &channel->counters;
}

uint64_t source_channel_cpu_ns(const struct source_channel *channel)
{
    return worker_cpu_ns(&channel->worker);
}
