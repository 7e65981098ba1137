/* SPDX-License-Identifier: MIT */
/*
 * source_channel - one channel of the source: a thread that connects it, takes batches from a ring,
 * lets the method prepare each and posts it as one packet.
 */
#ifndef MULTIFD_SOURCE_CHANNEL_H
#define MULTIFD_SOURCE_CHANNEL_H

#include "core/batch_ring.h"
#include "core/greeting.h"
#include "core/limiter.h"
#include "core/packet_writer.h"
#include "core/registrar.h"
#include "core/session.h"

/* Constant while channels exist, but for what is atomic. */
struct source_channel_config {
    struct session *session;
    struct packet_writer_config writer;
    struct registrar *registrar;
    bool on_demand;              /* memory is registered when a page needs it */
    struct limiter limiter;      /* of what all channels send */
    uint32_t batches;            /* that one channel's ring takes; a power of two */
    atomic_uint batches_waiting; /* in all rings */
    uint8_t uuid[GREETING_UUID_BYTES];
};

struct source_channel;

/* Starts the thread, which connects by itself. NULL on error. */
struct source_channel *source_channel_new(struct source_channel_config *config, uint8_t id,
                                          struct multifd_error *err);

/* Ends the thread; the connection stays. */
void source_channel_stop(struct source_channel *channel);

/* Disconnects a channel that was stopped; its counters stay. */
void source_channel_disconnect(struct source_channel *channel);

/* Frees a channel that was disconnected. Sets *channel to NULL; accepts NULL. */
void source_channel_delete(struct source_channel **channel);

/* Tells it the destination's staging: when it is up, before its first batch. */
void source_channel_set_staging(struct source_channel *channel,
                                const struct remote_staging *remote);

/* Whether it is connected and its method is set up. */
bool source_channel_is_up(const struct source_channel *channel);

/* Whether pages were handed over since its last SYNC. The session's thread. */
bool source_channel_needs_sync(const struct source_channel *channel);

/* Whether all its work up to its last SYNC has completed. The session's thread. */
bool source_channel_has_drained(const struct source_channel *channel);

/* The batch to fill next for this channel, or NULL while it has as many as it takes. */
struct page_batch *source_channel_reserve(struct source_channel *channel);

/*
 * Hands the reserved batch over. With `more` the caller is about to have more to send: then, on a
 * host with one processor, the thread is not always woken for it, see source_channel_push.
 */
void source_channel_publish(struct source_channel *channel, bool more);

/* The session's thread has no more for now: what was handed over goes out, as far as it can. */
void source_channel_push(struct source_channel *channel);

const struct channel_counters *source_channel_counters(const struct source_channel *channel);

/* The processor time of its thread. */
uint64_t source_channel_cpu_ns(const struct source_channel *channel);

#endif
