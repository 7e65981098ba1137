/* SPDX-License-Identifier: MIT */
/*
 * receiver - the receive queue of one queue pair: its buffers, what has arrived in them, and the
 * credits owed to the peer.
 *
 * Buffers are given back in batches: one chained post, then one message that returns as many
 * credits. With batches of half the window the peer, which sends only after it has taken a credit
 * message in, cannot have more than two of them coming towards it, so a few receives beyond the
 * window always take them.
 */
#ifndef MULTIFD_VERBS_RECEIVER_H
#define MULTIFD_VERBS_RECEIVER_H

#include <infiniband/verbs.h>
#include <multifd_error.h>
#include <stdbool.h>
#include <stdint.h>

#include "transport/transport.h"

/* Receives beyond the window, for the peer's credit messages. */
#define VERBS_RECEIVER_RESERVE 4u

struct verbs_receiver;

/* A receiver on the protection domain. NULL on error. */
struct verbs_receiver *verbs_receiver_new(struct ibv_pd *pd,
                                          const struct transport_profile *profile,
                                          struct multifd_error *err);

/* Releases it, after its queue pair. Sets it to NULL; accepts NULL. */
void verbs_receiver_delete(struct verbs_receiver **receiver);

/* Receives that it posts in all. */
uint32_t verbs_receiver_entries(const struct transport_profile *profile);

/* Posts all receives on the queue pair, which is in INIT. */
int verbs_receiver_start(struct verbs_receiver *receiver, struct ibv_qp *qp,
                         struct multifd_error *err);

/* The bytes of a buffer that a completion names. */
const uint8_t *verbs_receiver_bytes(const struct verbs_receiver *receiver, uint32_t buffer);

/* Keeps a message that has arrived for verbs_receiver_take. */
void verbs_receiver_arrived(struct verbs_receiver *receiver, uint32_t buffer, uint32_t length);

/* Posts a buffer again at once, for a message that cost no credit. */
int verbs_receiver_repost(struct verbs_receiver *receiver, uint32_t buffer,
                          struct multifd_error *err);

/* Takes the oldest message; false when there is none. */
bool verbs_receiver_take(struct verbs_receiver *receiver, struct transport_message *message);

/* Whether a message waits to be taken. */
bool verbs_receiver_pending(const struct verbs_receiver *receiver);

/*
 * Gives back the message taken last. 1 when a batch is full and posted again, so that credits are
 * due; 0 otherwise; -1 with *err.
 */
int verbs_receiver_release(struct verbs_receiver *receiver, struct multifd_error *err);

/* Messages whose buffers have been posted again, in all (wraps). */
uint32_t verbs_receiver_released(const struct verbs_receiver *receiver);

#endif
