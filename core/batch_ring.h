/* SPDX-License-Identifier: MIT */
/*
 * batch_ring - page batches on their way from the session's thread to one channel's thread: a ring
 * with one producer and one consumer and no lock.
 *
 * The producer fills a slot in place, so a page's offset is written once. `published` and
 * `consumed` are sequentially consistent: the waker of either side depends on it (see waker.h).
 */
#ifndef MULTIFD_BATCH_RING_H
#define MULTIFD_BATCH_RING_H

#include <multifd.h>
#include <stdbool.h>
#include <stdint.h>

struct page_batch {
    struct multifd_ram_block *block; /* NULL in a SYNC without pages */
    uint64_t packet_num;
    uint32_t flags;         /* MULTIFD_FLAG_SYNC or 0 */
    uint32_t sync_channels; /* of a SYNC, see struct multifd_packet */
    uint32_t num;           /* entries of `offsets`: pages, or runs of them */
    uint32_t runs_pages;    /* of runs of zero pages, how many pages; else 0 */
    bool known_zero;        /* all of its pages are, as the caller says */
    uint64_t *offsets;      /* room for the packet's pages */

    /* The consumer's, when it has looked at the pages: the zero ones are the last. */
    uint32_t zero_num; /* entries */
    bool ready;        /* the others' memory is registered */
};

struct batch_ring;

/* A ring of `slots` batches (a power of two) that take `pages` pages each. NULL on error. */
struct batch_ring *batch_ring_new(uint32_t slots, uint32_t pages, struct multifd_error *err);

/* Releases it, sets it to NULL; accepts NULL. */
void batch_ring_delete(struct batch_ring **ring);

/* Producer: the batch to fill next, or NULL while all are taken. The same one until published. */
struct page_batch *batch_ring_reserve(struct batch_ring *ring);

/*
 * Producer: hands the reserved batch over. Returns how many wait in the ring now, this one
 * included: with 1 the consumer may be asleep for want of a batch; a consumer that still had one
 * comes back for this one without being woken.
 */
uint32_t batch_ring_publish(struct batch_ring *ring);

/* Consumer: the oldest batch, or NULL. The same one until consumed. */
struct page_batch *batch_ring_peek(struct batch_ring *ring);

/*
 * Consumer: the oldest batch that this has not returned yet, or NULL. It may be looked at and
 * changed before its turn comes.
 */
struct page_batch *batch_ring_look(struct batch_ring *ring);

/* Consumer: whether batch_ring_look has returned the oldest batch. */
bool batch_ring_looked(const struct batch_ring *ring);

/* Consumer: whether another batch waits behind that one. */
bool batch_ring_has_next(struct batch_ring *ring);

/* Consumer: gives that batch back, which it has looked at. Returns how many wait behind it. */
uint32_t batch_ring_consume(struct batch_ring *ring);

#endif
