/* SPDX-License-Identifier: MIT */
/*
 * destination_channel - one channel of the destination: a thread that takes packets in, validates
 * each completely, lets the method take its payload, and stops at a SYNC until it is released.
 */
#ifndef MULTIFD_DESTINATION_CHANNEL_H
#define MULTIFD_DESTINATION_CHANNEL_H

#include "core/packet_reader.h"
#include "core/round_gate.h"
#include "core/session.h"

/* Constant while channels exist, but for what is atomic. */
struct destination_channel_config {
    struct session *session;
    uint32_t channels;       /* of the session */
    struct round_gate *gate; /* whoever comes to its SYNC last calls all_synced */
    void (*all_synced)(void *owner, uint64_t round); /* on that channel's thread */
    void *owner;
    struct packet_reader_config reader;
};

struct destination_channel;

/* The profile of a data channel. */
void destination_channel_profile(const struct destination_channel_config *config,
                                 struct transport_profile *profile);

/*
 * Takes over a connected channel and starts its thread. NULL on error; the transport channel is
 * then freed.
 */
struct destination_channel *destination_channel_new(const struct destination_channel_config *config,
                                                    uint8_t id, struct transport_channel *transport,
                                                    struct multifd_error *err);

/* Ends the thread; the connection stays. */
void destination_channel_stop(struct destination_channel *channel);

/* Disconnects a channel that was stopped; its counters stay. */
void destination_channel_disconnect(struct destination_channel *channel);

/* Frees a channel that was disconnected. Sets *channel to NULL; accepts NULL. */
void destination_channel_delete(struct destination_channel **channel);

/* Where the source is to put payloads; without slots if the session has none. */
const struct staging *destination_channel_staging(const struct destination_channel *channel);

/* Rounds whose SYNC has come, all before it applied. */
uint64_t destination_channel_synced(const struct destination_channel *channel);

/* Whether a source that is QEMU's has closed the channel, which is how it ends. */
bool destination_channel_ended(const struct destination_channel *channel);

/* Lets it go on behind the SYNC of that round. */
void destination_channel_release(struct destination_channel *channel, uint64_t round);

const struct channel_counters *
destination_channel_counters(const struct destination_channel *channel);

/* The processor time of its thread. */
uint64_t destination_channel_cpu_ns(const struct destination_channel *channel);

#endif
