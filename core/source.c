/* SPDX-License-Identifier: MIT */
#include "core/source.h"

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/probes.h"
#include "core/digest.h"

#include <stdlib.h>
#include <string.h>

struct multifd_source *multifd_source_new(const char *address,
                                          const struct multifd_options *options,
                                          struct multifd_error *err)
{
    struct multifd_source *source = calloc(1, sizeof(*source));
    struct multifd_error unused;

    err = err == NULL ? &unused : err;
    if (source == NULL) {
        error_set_nomem(err);
        return NULL;
    }
    if (options->qemu != 0) {
        error_set(err, MULTIFD_ERROR_INVALID, "option qemu is the destination's");
        free(source);
        return NULL;
    }
    if (session_init(&source->session, "destination", address, options, err) != 0) {
        free(source);
        return NULL;
    }
    return source;
}

void multifd_source_delete(struct multifd_source **source)
{
    struct multifd_source *gone = *source;

    if (gone == NULL) {
        return;
    }
    multifd_save_cleanup(gone);
    for (uint32_t i = 0; i < MULTIFD_CHANNELS_MAX; i++) {
        source_channel_delete(&gone->channels[i]);
    }
    session_fini(&gone->session);
    free(gone);
    *source = NULL;
}

struct multifd_ram_block *multifd_source_add_block(struct multifd_source *source, const char *name,
                                                   const void *host, uint64_t length,
                                                   struct multifd_error *err)
{
    struct multifd_error unused;

    err = err == NULL ? &unused : err;
    if (source->phase != SOURCE_NEW) {
        error_set(err, MULTIFD_ERROR_STATE, "RAM blocks are added before multifd_save_setup");
        return NULL;
    }
    /* The table serves both sides; nothing of the source writes through its pointer. */
    return ram_table_add(&source->session.blocks, name, (void *)(uintptr_t)host, length,
                         source->session.options.page_size, err);
}

/* ---- Sync ---- */

struct channel_wait {
    struct multifd_source *source;
    uint32_t channel;
};

static bool has_room(void *arg)
{
    const struct channel_wait *wait = arg;

    return source_channel_reserve(wait->source->channels[wait->channel]) != NULL;
}

/* A SYNC without pages on one channel. */
static int send_sync(struct multifd_source *source, uint32_t channel, uint32_t sync_channels,
                     struct multifd_error *err)
{
    struct channel_wait wait = {source, channel};
    struct page_batch *batch;

    if (!has_room(&wait)) {
        source_channel_push(source->channels[channel]);
    }
    if (session_wait(&source->session, SESSION_AWAITS_ROOM, has_room, &wait, err) != 0) {
        return -1;
    }
    batch = source_channel_reserve(source->channels[channel]);
    batch->block = NULL;
    batch->flags = MULTIFD_FLAG_SYNC;
    batch->sync_channels = sync_channels;
    batch->num = 0;
    batch->runs_pages = 0;
    batch->packet_num = source->packet_num++;
    source_channel_publish(source->channels[channel], false);
    return 0;
}

/* As QEMU does it: every channel gets a SYNC, a packet of its own. */
static int sync_all(struct multifd_source *source, struct multifd_error *err)
{
    if (source->batch != NULL) {
        source_hand_over(source);
    }
    for (uint32_t i = 0; i < source->session.options.channels; i++) {
        if (send_sync(source, i, 0, err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* Whether the channel has pages on their way, other than those of the batch in hand. */
static bool has_sent(const struct multifd_source *source, uint32_t channel)
{
    bool in_hand = source->batch != NULL && channel == source->current;

    return !in_hand && source_channel_needs_sync(source->channels[channel]);
}

/*
 * On queue pairs a SYNC goes where there is something to flush: to the channels that have sent
 * pages since their last one; on the packet of the last pages, where those are still in hand. If
 * there are none, it goes to one channel, since a round ends with what a channel says.
 */
static int sync_used(struct multifd_source *source, struct multifd_error *err)
{
    uint32_t channels = source->session.options.channels;
    uint32_t used = source->batch != NULL ? 1 : 0;

    for (uint32_t i = 0; i < channels; i++) {
        used += has_sent(source, i) ? 1 : 0;
    }
    if (used == 0) {
        return send_sync(source, source->next, 1, err);
    }
    for (uint32_t i = 0; i < channels; i++) {
        if (has_sent(source, i) && send_sync(source, i, used, err) != 0) {
            return -1;
        }
    }
    if (source->batch != NULL) {
        source->batch->flags = MULTIFD_FLAG_SYNC;
        source->batch->sync_channels = used;
        source_hand_over(source);
    }
    return 0;
}

static int send_syncs(struct multifd_source *source, struct multifd_error *err)
{
    return source->session.endpoint->stream ? sync_all(source, err) : sync_used(source, err);
}

static bool all_drained(void *arg)
{
    const struct multifd_source *source = arg;

    for (uint32_t i = 0; i < source->session.options.channels; i++) {
        if (!source_channel_has_drained(source->channels[i])) {
            return false;
        }
    }
    return true;
}

/*
 * Two conditions, and both are needed before a page of the next round may be posted. Drained: no
 * WRITE of this round can still be on its way, to put old data over new when its page goes over
 * another channel in the next round. Confirmed: whatever the destination still has to do with this
 * round's packets is done.
 */
static int wait_for_round(struct multifd_source *source, struct multifd_error *err)
{
    struct multifd_error failure;
    struct message message;

    /* In this order, since what is confirmed has nearly always drained: it is one wait, not two. */
    if (control_expect(source->control, MESSAGE_SYNC_DONE, &message, err) != 0 ||
        session_wait(&source->session, SESSION_AWAITS_CHANNELS, all_drained, source, err) != 0) {
        return -1;
    }
    if (message.round != source->round) {
        error_set(&failure, MULTIFD_ERROR_PROTOCOL,
                  "the destination confirmed round %llu where %llu is due",
                  (unsigned long long)message.round, (unsigned long long)source->round);
        return session_abort(&source->session, &failure, err);
    }
    return 0;
}

static int check_ready(struct multifd_source *source, struct multifd_error *err)
{
    struct multifd_error unused;

    if (session_has_failed(&source->session)) {
        return session_error(&source->session, err);
    }
    if (source->phase == SOURCE_READY) {
        return 0;
    }
    return error_set(err == NULL ? &unused : err, MULTIFD_ERROR_STATE,
                     "the session is not set up, or has ended");
}

int multifd_send_sync_main(struct multifd_source *source, struct multifd_error *err)
{
    struct session_times *times = &source->session.times;
    uint64_t start = clock_now_ns();
    uint64_t end;

    if (check_ready(source, err) != 0) {
        return -1;
    }
    source->round++;
    PROBE_SYNC_BEGIN(source->round);
    if (send_syncs(source, err) != 0 || wait_for_round(source, err) != 0) {
        return -1;
    }
    source->unsynced = false;
    counter_set(&times->syncs, source->round);
    end = clock_now_ns();
    counter_set(&times->last_sync, end);
    counter_add(&times->sync_ns, end - start);
    PROBE_SYNC_END(source->round);
    return 0;
}

/* ---- Finish ---- */

static int send_digests(struct multifd_source *source, struct multifd_error *err)
{
    struct session *session = &source->session;
    struct message message = {.type = MESSAGE_BLOCK_DIGEST};
    uint64_t start = clock_now_ns();

    for (uint32_t i = 0; i < session->blocks.num; i++) {
        struct multifd_error failure;

        message.digest.block = i;
        if (digest_block(session->blocks.blocks[i], message.digest.digest, &failure) != 0) {
            return session_abort(session, &failure, err);
        }
        if (control_send(source->control, &message, err) != 0) {
            return -1;
        }
    }
    counter_set(&session->times.verify_ns, clock_now_ns() - start);
    return 0;
}

static int confirm_totals(struct multifd_source *source, struct multifd_error *err)
{
    struct message message = {.type = MESSAGE_FINISH};
    struct multifd_statistics statistics;
    struct message_totals totals;
    struct multifd_error failure;

    multifd_source_statistics(source, &statistics);
    statistics_totals(&statistics, &totals);
    message.totals = totals;
    control_await_last(source->control);
    if (control_send(source->control, &message, err) != 0 ||
        (source->session.options.verify != 0 && send_digests(source, err) != 0) ||
        control_expect(source->control, MESSAGE_FINISH_OK, &message, err) != 0) {
        return -1;
    }
    if (memcmp(&message.totals, &totals, sizeof(totals)) != 0) {
        error_set(&failure, MULTIFD_ERROR_PROTOCOL, "the destination confirmed other totals");
        return session_abort(&source->session, &failure, err);
    }
    if (!session_finish(&source->session)) {
        return session_error(&source->session, err);
    }
    return 0;
}

int multifd_source_finish(struct multifd_source *source, struct multifd_error *err)
{
    if (check_ready(source, err) != 0) {
        return -1;
    }
    if ((source->unsynced || source->round == 0) && multifd_send_sync_main(source, err) != 0) {
        return -1;
    }
    if (confirm_totals(source, err) != 0) {
        return -1;
    }
    source->phase = SOURCE_FINISHED;
    control_say_bye(source->control);
    counter_set(&source->session.times.finish_end, clock_now_ns());
    return 0;
}

void multifd_save_cleanup(struct multifd_source *source)
{
    if (source->phase == SOURCE_CLEAN) {
        return;
    }
    multifd_source_cancel(source, "the source ended the session before it was finished");
    source_release(source);
    source->phase = SOURCE_CLEAN;
}

void multifd_source_cancel(struct multifd_source *source, const char *reason)
{
    struct multifd_error err;

    error_set(&err, MULTIFD_ERROR_CANCELLED, "%s", reason);
    session_fail(&source->session, &err);
}

void multifd_source_statistics(const struct multifd_source *source, struct multifd_statistics *out)
{
    uint32_t channels = atomic_load(&source->channels_num);

    memset(out, 0, sizeof(*out));
    for (uint32_t i = 0; i < channels; i++) {
        statistics_add_channel(out, source_channel_counters(source->channels[i]));
    }
    statistics_times(out, &source->session.times);
    session_device_counters(&source->session, &out->device);
    out->cpu_ns = worker_group_cpu_ns(source->session.workers);
}

int multifd_source_channel_statistics(const struct multifd_source *source, unsigned channel,
                                      struct multifd_channel_statistics *out)
{
    if (channel >= atomic_load(&source->channels_num)) {
        return -1;
    }
    channel_counters_read(source_channel_counters(source->channels[channel]), out);
    out->cpu_ns = source_channel_cpu_ns(source->channels[channel]);
    return 0;
}
