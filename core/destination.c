/* SPDX-License-Identifier: MIT */
#include "core/destination.h"

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/parallel.h"
#include "core/destination_round.h"
#include "core/qemu/destination.h"

#include <stdlib.h>
#include <string.h>

struct multifd_destination *multifd_destination_new(const char *address,
                                                    const struct multifd_options *options,
                                                    struct multifd_error *err)
{
    struct multifd_destination *destination = calloc(1, sizeof(*destination));
    struct multifd_error unused;

    err = err == NULL ? &unused : err;
    if (destination == NULL) {
        error_set_nomem(err);
        return NULL;
    }
    if (session_init(&destination->session, "source", address, options, err) != 0) {
        free(destination);
        return NULL;
    }
    return destination;
}

void multifd_destination_delete(struct multifd_destination **destination)
{
    struct multifd_destination *gone = *destination;

    if (gone == NULL) {
        return;
    }
    multifd_load_cleanup(gone);
    for (uint32_t i = 0; i < MULTIFD_CHANNELS_MAX; i++) {
        destination_channel_delete(&gone->channels[i]);
    }
    session_fini(&gone->session);
    free(gone);
    *destination = NULL;
}

int multifd_destination_add_block(struct multifd_destination *destination, const char *name,
                                  void *host, uint64_t length, struct multifd_error *err)
{
    struct multifd_error unused;

    err = err == NULL ? &unused : err;
    if (destination->control != NULL || destination->phase > DESTINATION_LISTENING) {
        return error_set(err, MULTIFD_ERROR_STATE, "RAM blocks are added before the source comes");
    }
    /* The page size is the source's and not known yet: the length is compared with its block's. */
    return ram_table_add(&destination->session.blocks, name, host, length, 1, err) == NULL ? -1 : 0;
}

void multifd_destination_on_block(struct multifd_destination *destination, multifd_block_fn *fn,
                                  void *opaque)
{
    destination->on_block = fn;
    destination->on_block_opaque = opaque;
}

/* ---- Rounds and the end ---- */

int multifd_recv_sync_main(struct multifd_destination *destination, struct multifd_error *err)
{
    struct session *session = &destination->session;
    struct multifd_error failure;
    int more;

    if (session_has_failed(session)) {
        return session_error(session, err);
    }
    if (destination->phase != DESTINATION_LISTENING || !atomic_load(&destination->complete)) {
        return error_set(err == NULL ? &failure : err, MULTIFD_ERROR_STATE,
                         "not all channels are there, or the session has ended");
    }
    more = destination->qemu != NULL ? qemu_destination_take_round(destination, err)
                                     : destination_take_round(destination, err);
    if (more == 0) {
        destination->phase = DESTINATION_FINISHED;
        counter_set(&session->times.finish_end, clock_now_ns());
    }
    return more;
}

static void disconnect(void *channel)
{
    destination_channel_disconnect(channel);
}

/* Channels come in any order: those that did, one behind the other. */
static uint32_t existing_channels(const struct multifd_destination *destination, void **channels)
{
    uint32_t num = 0;

    for (uint32_t i = 0; i < MULTIFD_CHANNELS_MAX; i++) {
        if (destination->channels[i] != NULL) {
            channels[num++] = destination->channels[i];
        }
    }
    return num;
}

static void release(struct multifd_destination *destination)
{
    void *channels[MULTIFD_CHANNELS_MAX];
    uint32_t num = existing_channels(destination, channels);

    for (uint32_t i = 0; i < num; i++) {
        destination_channel_stop(channels[i]);
    }
    /* Before the channels are gone: a failure is told while the connection still carries it. */
    control_stop(destination->control);
    registrar_stop(destination->registrar);
    control_delete(&destination->control);
    qemu_main_delete(&destination->qemu);
    /* At once: a queue pair whose peer is out of reach takes its time to go (rxe: most of a
     * second). */
    parallel_for_each(destination->session.workers, channels, num, disconnect);
    registrar_delete(&destination->registrar);
}

void multifd_load_cleanup(struct multifd_destination *destination)
{
    if (destination->phase == DESTINATION_CLEAN) {
        return;
    }
    multifd_destination_cancel(destination, "the destination ended the session before its finish");
    release(destination);
    destination->phase = DESTINATION_CLEAN;
}

void multifd_destination_cancel(struct multifd_destination *destination, const char *reason)
{
    struct multifd_error err;

    error_set(&err, MULTIFD_ERROR_CANCELLED, "%s", reason);
    session_fail(&destination->session, &err);
}

void multifd_destination_statistics(const struct multifd_destination *destination,
                                    struct multifd_statistics *out)
{
    memset(out, 0, sizeof(*out));
    if (atomic_load(&destination->complete)) {
        for (uint32_t i = 0; i < destination->channels_wanted; i++) {
            statistics_add_channel(out, destination_channel_counters(destination->channels[i]));
        }
    }
    statistics_times(out, &destination->session.times);
    qemu_destination_statistics(destination, out);
    session_device_counters(&destination->session, &out->device);
    out->cpu_ns = worker_group_cpu_ns(destination->session.workers);
}

int multifd_destination_channel_statistics(const struct multifd_destination *destination,
                                           unsigned channel, struct multifd_channel_statistics *out)
{
    if (!atomic_load(&destination->complete) || channel >= destination->channels_wanted) {
        return -1;
    }
    channel_counters_read(destination_channel_counters(destination->channels[channel]), out);
    out->cpu_ns = destination_channel_cpu_ns(destination->channels[channel]);
    return 0;
}
