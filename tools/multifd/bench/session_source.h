/* SPDX-License-Identifier: MIT */
/* session_source.h - a session's source, with one RAM block, as a measurement uses it. */
#ifndef MULTIFD_BENCH_SESSION_SOURCE_H
#define MULTIFD_BENCH_SESSION_SOURCE_H

#include "bench_case.h"
#include "bench_memory.h"

struct session_source {
    struct multifd_source *source;
    struct multifd_ram_block *block;
};

/* Connects to the session_sink at this port of the server. session_source_close in either case. */
int session_source_open(struct session_source *end, const struct bench_case *bench,
                        const struct bench_memory *memory, uint16_t port,
                        struct multifd_error *err);

/* Ends the session well; both sides agree on the totals. */
int session_source_finish(struct session_source *end, struct multifd_error *err);

/* Accepts one that was never opened. */
void session_source_close(struct session_source *end);

/* CPU time that this side has used: the session's threads and the calling one. */
uint64_t session_source_cpu_ns(const struct session_source *end);

/* Bytes that were handed to the transport so far, headers and payloads. */
uint64_t session_source_wire_bytes(const struct session_source *end);

#endif
