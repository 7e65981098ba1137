/* SPDX-License-Identifier: MIT */
/*
 * sender - the send queue of one queue pair: message slots, chained posts, and the credits that the
 * peer has given.
 *
 * Each message takes a slot (registered memory that the device reads until completion), one credit
 * (a receive that the peer has posted) and one send-queue entry for itself and each of its writes.
 * Only the SEND is signalled: completions of a send queue come in order, so its completion also
 * frees the entries of the writes before it.
 */
#ifndef MULTIFD_VERBS_SENDER_H
#define MULTIFD_VERBS_SENDER_H

#include <infiniband/verbs.h>
#include <multifd_error.h>
#include <stdbool.h>
#include <stdint.h>

#include "transport/transport.h"

/* Bytes of the message that returns credits; no other is so short (TRANSPORT_MESSAGE_LEAST). */
#define VERBS_CREDIT_BYTES 8u

/* Send-queue entries kept for credits and for the keepalive. */
#define VERBS_SENDER_RESERVE 5u

struct verbs_sender;

/*
 * A sender on the protection domain; the queue pair follows with verbs_sender_start. `entries` is
 * the depth of the send queue, at least profile->writes + 1 + VERBS_SENDER_RESERVE. NULL on error.
 */
struct verbs_sender *verbs_sender_new(struct ibv_pd *pd, const struct transport_profile *profile,
                                      uint32_t entries, struct multifd_error *err);

/* Releases it, after its queue pair. Sets it to NULL; accepts NULL. */
void verbs_sender_delete(struct verbs_sender **sender);

/* What the peer has told about itself. */
struct verbs_sender_peer {
    uint32_t receive_slots;
    uint32_t keepalive_key;
    uint64_t keepalive_address;
};

/* Called once, when the queue pair exists: inline_data is the most it takes inline. */
void verbs_sender_start(struct verbs_sender *sender, struct ibv_qp *qp, uint32_t inline_data);

/* Called once, when the peer is known: from now on messages may be sent. */
void verbs_sender_connected(struct verbs_sender *sender, const struct verbs_sender_peer *peer);

/* See transport_channel_ops. */
uint8_t *verbs_sender_buffer(struct verbs_sender *sender, uint32_t writes);
int verbs_sender_send(struct verbs_sender *sender, const struct transport_write *writes,
                      uint32_t writes_num, uint32_t length, bool more, struct multifd_error *err);

/* Whether the last verbs_sender_buffer failed for want of what a completion gives back. */
bool verbs_sender_needs_completion(const struct verbs_sender *sender);

bool verbs_sender_drained(const struct verbs_sender *sender);

/* Whether the peer has acknowledged every message; credits, which it may not wait for, aside. */
bool verbs_sender_delivered(const struct verbs_sender *sender);
int verbs_sender_keepalive(struct verbs_sender *sender, struct multifd_error *err);

/*
 * Tells the peer how many of its messages have been released in all. 1 when the message was posted,
 * 0 when there is no room for it now, -1 with *err.
 */
int verbs_sender_return_credits(struct verbs_sender *sender, uint32_t released,
                                struct multifd_error *err);

/* Takes in a message of the peer that returns credits. -1 with *err when it cannot be true. */
int verbs_sender_take_credits(struct verbs_sender *sender, const uint8_t *message,
                              struct multifd_error *err);

/* Takes in a successful completion of one of the sender's work requests. */
void verbs_sender_complete(struct verbs_sender *sender, uint64_t wr_id);

#endif
