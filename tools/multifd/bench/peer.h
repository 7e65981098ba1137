/* SPDX-License-Identifier: MIT */
/*
 * peer.h - what the two sides of a measurement tell each other beside it: JSON objects, a line
 * each. A side that fails says why as {"error": TEXT}.
 */
#ifndef MULTIFD_BENCH_PEER_H
#define MULTIFD_BENCH_PEER_H

#include <jansson.h>
#include <multifd_error.h>
#include <stdbool.h>
#include <stdint.h>

struct peer;

/* Takes a connected socket; closes it when it fails. NULL on error. */
struct peer *peer_new(int fd, struct multifd_error *err);

/* Closes the connection. Accepts NULL, sets to NULL. */
void peer_delete(struct peer **peer);

/* Sends the object, which it takes; NULL stands for one that could not be made. */
int peer_send(struct peer *peer, json_t *object, struct multifd_error *err);

/*
 * Waits for the other side's next object, the caller's from then on. NULL when it is an error, when
 * the other side has gone, and for what is no object.
 */
json_t *peer_receive(struct peer *peer, struct multifd_error *err);

/* Waits up to timeout_ms for something to receive; whether there is. */
bool peer_has_sent(struct peer *peer, int timeout_ms);

/* The socket, to wait on. */
int peer_fd(const struct peer *peer);

/* Sends {"error": TEXT}, as far as it can. */
void peer_send_error(struct peer *peer, const struct multifd_error *error);

/* Sends and receives an object that only says "NAME": the two sides have come to the same point. */
int peer_send_mark(struct peer *peer, const char *name, struct multifd_error *err);
int peer_expect_mark(struct peer *peer, const char *name, struct multifd_error *err);

/* The member of an object that a peer sent, from least to most. */
int peer_number(const json_t *object, const char *name, uint64_t least, uint64_t most,
                uint64_t *number, struct multifd_error *err);

#endif
