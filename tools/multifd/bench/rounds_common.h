/* SPDX-License-Identifier: MIT */
/* rounds_common.h - what both sides of rounds.h must do alike. */
#ifndef MULTIFD_BENCH_ROUNDS_COMMON_H
#define MULTIFD_BENCH_ROUNDS_COMMON_H

#include "bench_case.h"
#include "bench_memory.h"

/* Rounds that are not counted. */
#define ROUNDS_WARM_UP 100

/* Of what the source's memory is filled with; the destination's is fresh. */
#define ROUNDS_SEED 1

/* Samples of a run that is limited by time for which there is room beforehand. */
#define ROUNDS_ROOM 1000000

static inline uint64_t rounds_room(const struct bench_case *bench)
{
    return bench->duration_ns != 0 ? ROUNDS_ROOM : bench->iterations;
}

/* Where the pages of a round lie: one round behind the other, and again from the beginning. */
static inline uint64_t rounds_offset(const struct bench_memory *memory, uint64_t bytes,
                                     uint64_t round)
{
    return bytes == 0 ? 0 : round % (memory->length / bytes) * bytes;
}

/* What stands at the beginning of each page of a round, in place of a stamp for a pass. */
struct rounds_stamp {
    uint64_t start; /* when the round began, in its first page */
    uint64_t round; /* counted from 1 */
};

static inline struct rounds_stamp *rounds_stamp_at(const struct bench_memory *memory,
                                                   uint64_t offset)
{
    return (struct rounds_stamp *)(void *)(memory->bytes + offset);
}

#endif
