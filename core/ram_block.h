/* SPDX-License-Identifier: MIT */
/*
 * ram_block - the RAM blocks of one side, and the pieces in which their memory is registered.
 *
 * The table is filled before the channels start and constant from then on but for the pieces, so
 * channels read it without a lock.
 */
#ifndef MULTIFD_RAM_BLOCK_H
#define MULTIFD_RAM_BLOCK_H

#include <multifd.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/page_bitmap.h"
#include "transport/transport.h"

/* What has happened to a piece; bits, which are never taken away. */
enum {
    PIECE_WANTED = 1 << 0,     /* somebody needs it */
    PIECE_ASKED = 1 << 1,      /* source: the destination may tell where it is */
    PIECE_REGISTERED = 1 << 2, /* on this side: `memory` is valid */
    PIECE_TOLD = 1 << 3,       /* source: so are remote_address and remote_key */
    PIECE_READY = PIECE_REGISTERED | PIECE_TOLD,
};

/* Registered memory of one piece, on this side and as the peer told. */
struct ram_piece {
    struct transport_memory memory;
    uint64_t remote_address; /* source: of the piece's first byte at the destination */
    uint32_t remote_key;     /* source */
    atomic_uint state;       /* sequentially consistent, see waker.h */
};

struct multifd_ram_block {
    char name[MULTIFD_BLOCK_NAME_MAX + 1];
    uint8_t *host; /* the source never writes through it */
    uint64_t length;
    uint32_t index;
    uint32_t piece_shift; /* a piece is 2^piece_shift bytes, the last may be shorter */
    uint32_t pieces_num;
    struct ram_piece *pieces;
    bool elsewhere; /* source: only the destination has memory of it that is known; no host */
    struct page_bitmap *received; /* destination, of memory that was fresh; NULL: not kept */
};

struct ram_table {
    struct multifd_ram_block **blocks;
    uint32_t num;
};

/*
 * Adds a block; page_size as agreed. NULL with *err for a name that is empty, too long or there
 * already, or a length that is 0 or no multiple of the page size.
 */
struct multifd_ram_block *ram_table_add(struct ram_table *table, const char *name, void *host,
                                        uint64_t length, uint32_t page_size,
                                        struct multifd_error *err);

/* Frees all blocks, whose pieces are deregistered by then. */
void ram_table_clear(struct ram_table *table);

/* The block of that name, or NULL. */
struct multifd_ram_block *ram_table_find(const struct ram_table *table, const char *name);

/* Exchanges a block with the one that has that index. */
void ram_table_move(struct ram_table *table, struct multifd_ram_block *block, uint32_t index);

/* Frees the blocks from that index on; none of their pieces is registered. */
void ram_table_cut(struct ram_table *table, uint32_t num);

/* Bytes of all blocks that this side has memory of. */
uint64_t ram_table_bytes(const struct ram_table *table);

/* Splits a block into pieces of 2^shift bytes, none registered yet. */
int ram_block_split(struct multifd_ram_block *block, uint32_t shift, struct multifd_error *err);

/* The bytes of one piece. */
uint64_t ram_block_piece_length(const struct multifd_ram_block *block, uint32_t piece);

/* A write of [offset, offset + length), which lies in one piece, to the same place. */
static inline void ram_block_write(const struct multifd_ram_block *block, uint64_t offset,
                                   uint32_t length, struct transport_write *write)
{
    const struct ram_piece *at = &block->pieces[offset >> block->piece_shift];
    uint64_t within = offset & ((UINT64_C(1) << block->piece_shift) - 1);

    write->local_address = (uintptr_t)block->host + offset;
    write->remote_address = at->remote_address + within;
    write->length = length;
    write->local_key = at->memory.local_key;
    write->remote_key = at->remote_key;
}

/* ram_block_writes, if need be with several. */
uint32_t ram_block_split_writes(const struct multifd_ram_block *block, uint64_t offset,
                                uint64_t length, uint64_t max_message,
                                struct transport_write *writes);

/*
 * Turns [offset, offset + length) of a block into writes to the same place at the destination,
 * split where a piece ends and at max_message bytes (a multiple of the page size). `writes` has
 * room for one per page. Returns their number.
 */
static inline uint32_t ram_block_writes(const struct multifd_ram_block *block, uint64_t offset,
                                        uint64_t length, uint64_t max_message,
                                        struct transport_write *writes)
{
    uint64_t last = length - 1; /* wraps for none */

    if (last >= max_message || (offset ^ (offset + last)) >> block->piece_shift != 0) {
        return ram_block_split_writes(block, offset, length, max_message, writes);
    }
    ram_block_write(block, offset, (uint32_t)length, writes);
    return 1;
}

#endif
