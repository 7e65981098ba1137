/* SPDX-License-Identifier: MIT */
/* server.h - the side of a measurement that waits for the other. */
#ifndef MULTIFD_BENCH_SERVER_H
#define MULTIFD_BENCH_SERVER_H

#include "bench_address.h"
#include "peer.h"

/*
 * Measures what the client at the other end of `peer` asks for until it goes, which is no error.
 * `loopback` is the client's address when both sides are in this process, else NULL.
 */
int server_talk(struct peer *peer, const struct bench_address *loopback, struct multifd_error *err);

/* Waits at a TCP port of this host for one client; NULL on error. */
struct peer *server_wait(uint16_t port, struct multifd_error *err);

/* A server in a thread of this process, at the other end of *peer. */
struct loopback;

struct loopback *loopback_start(const struct bench_address *address, struct peer **peer,
                                struct multifd_error *err);

/* After the peer is deleted: waits for its end. Accepts NULL, sets to NULL. */
void loopback_stop(struct loopback **loopback);

#endif
