/* SPDX-License-Identifier: MIT */
/*
 * ring - the work requests of one queue of a queue pair that complete with an entry: its receives,
 * or its signalled sends.
 *
 * Three cursors count up and wrap, polled <= done <= posted, and each has one writer:
 *
 *   posted   who posts receives here. A queue of sends has no such cursor: what is posted is done.
 *   done     who executes: for receives the thread that posts sends at the peer, for sends the one
 *            that posts them here
 *   polled   who polls the completion queue
 *
 * A slot belongs to the reader of the cursor that was moved over it last. A cursor is stored with
 * release after the slot was written and loaded with acquire before it is read, so a slot's fields,
 * and a receive's buffer, need no more. `done` is sequentially consistent on both sides besides: it
 * is one half of the agreement with whoever arms the completion queue (completion_queue.h).
 */
#ifndef MULTIFD_NULL_RING_H
#define MULTIFD_NULL_RING_H

#include <infiniband/verbs.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Cursors of different writers lie so far apart. */
#define NULL_CACHE_LINE 64

struct null_slot {
    uint64_t wr_id;
    void *buffer;    /* of a receive */
    uint32_t length; /* of the buffer, and when it is done of what has arrived */
    enum ibv_wc_status status;
    enum ibv_wc_opcode opcode;
};

struct null_ring {
    alignas(NULL_CACHE_LINE) _Atomic uint32_t posted;
    alignas(NULL_CACHE_LINE) _Atomic uint32_t done;
    alignas(NULL_CACHE_LINE) _Atomic uint32_t polled;
    alignas(NULL_CACHE_LINE) struct null_slot *slots;
    uint32_t mask; /* of a cursor, to the slot's index */
    uint32_t qp_num;
    struct null_ring *next; /* of the same completion queue, in a circle */
};

/* Makes room for at least `entries`, a power of two of them. 0, or -1 without memory. */
int null_ring_init(struct null_ring *ring, uint32_t entries);

void null_ring_fini(struct null_ring *ring);

/* Whether no slot is left for cursor value `next`, as seen by the thread that fills slots. */
static inline bool null_ring_is_full(const struct null_ring *ring, uint32_t next)
{
    return next - atomic_load_explicit(&ring->polled, memory_order_acquire) > ring->mask;
}

static inline struct null_slot *null_ring_slot(const struct null_ring *ring, uint32_t cursor)
{
    return &ring->slots[cursor & ring->mask];
}

/* Takes up to `most` of what is done; from the thread that polls. */
int null_ring_poll(struct null_ring *ring, int most, struct ibv_wc *wc);

#endif
