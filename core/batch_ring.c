/* SPDX-License-Identifier: MIT */
#include "core/batch_ring.h"

#include "core/base/error.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>

#define CACHE_LINE 64

struct batch_ring {
    alignas(CACHE_LINE) atomic_uint published; /* written by the producer only */
    alignas(CACHE_LINE) atomic_uint consumed;  /* written by the consumer only */
    alignas(CACHE_LINE) struct page_batch *batches;
    uint64_t *offsets;
    uint32_t slots;
    unsigned looked; /* the consumer's own: never behind `consumed` */
};

struct batch_ring *batch_ring_new(uint32_t slots, uint32_t pages, struct multifd_error *err)
{
    struct batch_ring *ring = aligned_alloc(CACHE_LINE, sizeof(*ring));

    if (ring == NULL) {
        error_set_nomem(err);
        return NULL;
    }
    ring->slots = slots;
    ring->looked = 0;
    ring->batches = calloc(slots, sizeof(*ring->batches));
    ring->offsets = calloc((size_t)slots * pages, sizeof(*ring->offsets));
    if (ring->batches == NULL || ring->offsets == NULL) {
        batch_ring_delete(&ring);
        error_set_nomem(err);
        return NULL;
    }
    atomic_init(&ring->published, 0);
    atomic_init(&ring->consumed, 0);
    for (uint32_t i = 0; i < slots; i++) {
        ring->batches[i].offsets = ring->offsets + (size_t)i * pages;
    }
    return ring;
}

void batch_ring_delete(struct batch_ring **ring)
{
    if (*ring == NULL) {
        return;
    }
    free((*ring)->batches);
    free((*ring)->offsets);
    free(*ring);
    *ring = NULL;
}

struct page_batch *batch_ring_reserve(struct batch_ring *ring)
{
    unsigned published = atomic_load_explicit(&ring->published, memory_order_relaxed);

    if (published - atomic_load(&ring->consumed) == ring->slots) {
        return NULL;
    }
    return &ring->batches[published % ring->slots];
}

uint32_t batch_ring_publish(struct batch_ring *ring)
{
    unsigned published = atomic_load_explicit(&ring->published, memory_order_relaxed);

    atomic_store(&ring->published, published + 1);
    /*
     * If the consumer has not given back the batch before, it will look for the next one after it
     * has, and that look comes after the store above.
     */
    return published + 1 - atomic_load(&ring->consumed);
}

struct page_batch *batch_ring_peek(struct batch_ring *ring)
{
    unsigned consumed = atomic_load_explicit(&ring->consumed, memory_order_relaxed);

    if (atomic_load(&ring->published) == consumed) {
        return NULL;
    }
    return &ring->batches[consumed % ring->slots];
}

struct page_batch *batch_ring_look(struct batch_ring *ring)
{
    if (atomic_load(&ring->published) == ring->looked) {
        return NULL;
    }
    return &ring->batches[ring->looked++ % ring->slots];
}

bool batch_ring_looked(const struct batch_ring *ring)
{
    return ring->looked != atomic_load_explicit(&ring->consumed, memory_order_relaxed);
}

bool batch_ring_has_next(struct batch_ring *ring)
{
    unsigned consumed = atomic_load_explicit(&ring->consumed, memory_order_relaxed);

    return atomic_load_explicit(&ring->published, memory_order_relaxed) - consumed > 1;
}

uint32_t batch_ring_consume(struct batch_ring *ring)
{
    unsigned consumed = atomic_load_explicit(&ring->consumed, memory_order_relaxed) + 1;

    atomic_store(&ring->consumed, consumed);
    return atomic_load(&ring->published) - consumed;
}
