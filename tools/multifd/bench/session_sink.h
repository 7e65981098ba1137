/* SPDX-License-Identifier: MIT */
/* session_sink.h - a session's destination, with one RAM block, as a measurement uses it. */
#ifndef MULTIFD_BENCH_SESSION_SINK_H
#define MULTIFD_BENCH_SESSION_SINK_H

#include "bench_case.h"
#include "bench_memory.h"
#include "peer.h"

struct session_sink {
    struct multifd_destination *destination;
};

/* Listens; *port is 0 for a unix socket. session_sink_close in either case. */
int session_sink_listen(struct session_sink *end, const struct bench_case *bench,
                        const struct bench_memory *memory, uint16_t *port,
                        struct multifd_error *err);

/* Waits until the source and all its channels have come, or the client has gone instead. */
int session_sink_accept(struct session_sink *end, const struct peer *peer,
                        struct multifd_error *err);

/* Waits for the end of a round: 1; or of the session: 0; -1 on error. */
int session_sink_round(struct session_sink *end, struct multifd_error *err);

/* Accepts one that was never opened. */
void session_sink_close(struct session_sink *end);

/* CPU time that this side has used: the session's threads and the calling one. */
uint64_t session_sink_cpu_ns(const struct session_sink *end);

/* Bytes of guest pages that have been applied so far; from any thread. */
uint64_t session_sink_guest_bytes(const struct session_sink *end);

#endif
