/* SPDX-License-Identifier: MIT */
#include "null/ring.h"

#include <stdlib.h>

int null_ring_init(struct null_ring *ring, uint32_t entries)
{
    uint32_t size = 1;

    while (size < entries) {
        size *= 2;
    }
    ring->slots = calloc(size, sizeof(*ring->slots));
    ring->mask = size - 1;
    return ring->slots == NULL ? -1 : 0;
}

void null_ring_fini(struct null_ring *ring)
{
    free(ring->slots);
}

int null_ring_poll(struct null_ring *ring, int most, struct ibv_wc *wc)
{
    uint32_t polled = atomic_load_explicit(&ring->polled, memory_order_relaxed);
    uint32_t done = atomic_load(&ring->done);
    int got = 0;

    for (; polled != done && got < most; polled++) {
        const struct null_slot *slot = null_ring_slot(ring, polled);

        wc[got++] = (struct ibv_wc){
            .wr_id = slot->wr_id,
            .status = slot->status,
            .opcode = slot->opcode,
            .byte_len = slot->length,
            .qp_num = ring->qp_num,
        };
    }
    if (got != 0) {
        atomic_store_explicit(&ring->polled, polled, memory_order_release);
    }
    return got;
}
