/* SPDX-License-Identifier: MIT */
/*
 * stream - what QEMU sends on its main migration connection while its pages travel over multifd.
 *
 * A parser without input or output of its own: it is fed with bytes as they arrive, split anywhere,
 * and returns events. Everything is validated before it is returned. All integers are big-endian:
 *
 *   u32 0x5145564d, u32 3                 magic and version
 *   07, u32 length, machine type          configuration
 *     05, name, u32 1, ...                  its subsections, if any
 *   08, u16 command, u16 length, data     commands, if any: 1 opens the return path, 2 is a ping
 *   01, u32 id, "ram", u32 0, u32 4       the RAM section starts:
 *     u64 size of all blocks | 0x04         the sum of
 *     name, u64 length                      each block's length, in bytes
 *     u64 0x10                              end of the records
 *   7e, u32 id                            footer: the end of a section
 *   02, u32 id, records, u64 0x10, 7e, u32 id     a round, any number of times
 *   03, u32 id, records, u64 0x10, 7e, u32 id     the last one: the guest is stopped
 *   04 ... 7e, u32 id                     the state of a device, any number of times
 *   00, 06, u32 length, description       the end; just 00 with "suppress-vmdesc=on"
 *
 * A name is a byte that tells its length, and that many letters. A record is for a page that is
 * zero: u64 offset | 0x02, its block's name, a byte 0; or u64 offset | 0x22, a byte 0, and it is of
 * the block that was named last. Offsets are multiples of the page size, so there is room for
 * flags.
 *
 * Up to QEMU 8.0 (and later, with machine types that old) the setup and each round end with a SYNC
 * on all channels before the record 0x10. Later ones have it before a record 0x200 of its own; such
 * a record in the setup tells which it is. Either way the event is QEMU_SYNC.
 *
 * Proven against QEMU 7.2; what later ones send differently is taken, but has not been tried.
 */
#ifndef MULTIFD_QEMU_STREAM_H
#define MULTIFD_QEMU_STREAM_H

#include <multifd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum qemu_event_type {
    QEMU_NEEDS_MORE, /* all bytes are used up */
    QEMU_PING,       /* to be answered with qemu_pong of `value` */
    QEMU_BLOCK,      /* RAM block number `block` is known; `last` of the list */
    QEMU_SYNC,       /* every channel has a SYNC here */
    QEMU_ZERO_PAGE,  /* the page at `offset` of RAM block `block` is zero */
    QEMU_RAM_DONE,   /* all rounds are over; the state of the devices is skipped from here on */
    QEMU_DONE,       /* the source has sent all it had; with a return path, wants qemu_shut */
};

struct qemu_event {
    enum qemu_event_type type;
    uint32_t block;
    bool last;
    uint32_t value;
    uint64_t offset;
};

struct qemu_block {
    char name[MULTIFD_BLOCK_NAME_MAX + 1];
    uint64_t length;
};

struct qemu_stream;

/* Pages have that size, a power of two of 1024 at least. NULL with *err when there is no memory. */
struct qemu_stream *qemu_stream_new(uint32_t page_size, struct multifd_error *err);

/* Frees; accepts NULL. */
void qemu_stream_delete(struct qemu_stream **stream);

/*
 * Takes bytes up to the next event: moves *bytes on and lessens *length by what it has used. 0, or
 * -1 with *err: MULTIFD_ERROR_INVALID for what must be set otherwise at the source,
 * MULTIFD_ERROR_VERSION or MULTIFD_ERROR_LIMIT, else MULTIFD_ERROR_PROTOCOL. After an error the
 * stream is only good for qemu_stream_delete.
 */
int qemu_stream_next(struct qemu_stream *stream, const uint8_t **bytes, size_t *length,
                     struct qemu_event *event, struct multifd_error *err);

/*
 * The source has closed the connection: 0 when it had sent all it had, -1 with
 * MULTIFD_ERROR_DISCONNECTED when it had not.
 */
int qemu_stream_end(const struct qemu_stream *stream, struct multifd_error *err);

/* The RAM blocks known so far; a block's number is below that, and its address does not last. */
uint32_t qemu_stream_blocks(const struct qemu_stream *stream);
const struct qemu_block *qemu_stream_block(const struct qemu_stream *stream, uint32_t block);

/* Whether the source waits for answers on the connection (its capability return-path). */
bool qemu_stream_has_return_path(const struct qemu_stream *stream);

/* An answer on the return path. */
#define QEMU_ANSWER_BYTES 8u

/* To a ping, at once. */
void qemu_pong(uint32_t value, uint8_t answer[QEMU_ANSWER_BYTES]);

/*
 * The last one, when QEMU_DONE has come or anything has failed: QEMU reports the migration as
 * completed only if it hears `success`. Not before QEMU_DONE, when it sometimes fails: it closes
 * the connection then although it is still sending.
 */
void qemu_shut(bool success, uint8_t answer[QEMU_ANSWER_BYTES]);

#endif
