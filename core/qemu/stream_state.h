/* SPDX-License-Identifier: MIT */
/*
 * stream_state - what the parts of the parser share; for core/qemu only.
 *
 * The stream is a sequence of items whose length is known when their turn comes. Each is handed,
 * whole, to the function that was set to take it, which sets the next one.
 */
#ifndef MULTIFD_QEMU_STREAM_STATE_H
#define MULTIFD_QEMU_STREAM_STATE_H

#include "core/qemu/device_state.h"
#include "core/qemu/stream.h"

/* The longest item: a name of 255 bytes and two u32, or a u64, behind it. */
#define QEMU_ITEM_MAX 263u

#define QEMU_NO_BLOCK UINT32_MAX

/* Takes the item that is due. *event is QEMU_NEEDS_MORE before; -1 with *err to refuse the stream.
 */
typedef int qemu_take_fn(struct qemu_stream *stream, const uint8_t *item, struct qemu_event *event,
                         struct multifd_error *err);

enum qemu_section {
    QEMU_SECTION_END_OF_STREAM = 0x00,
    QEMU_SECTION_START = 0x01,
    QEMU_SECTION_PART = 0x02,
    QEMU_SECTION_END = 0x03,
    QEMU_SECTION_FULL = 0x04,
    QEMU_SUBSECTION = 0x05,
    QEMU_CONFIGURATION = 0x07,
    QEMU_COMMAND = 0x08,
    QEMU_FOOTER = 0x7e,
};

struct qemu_stream {
    qemu_take_fn *take; /* NULL: from here on it is device state */
    uint32_t due;       /* bytes of the item that is due */
    uint32_t have;      /* bytes of it that have come */
    uint8_t item[QEMU_ITEM_MAX];

    uint32_t page_size;
    bool in_configuration; /* a subsection may follow */
    bool return_path;
    uint8_t name_length; /* of the name that is due */
    uint8_t section;     /* the section that is open */
    bool ram_started;    /* the RAM section has an id and its blocks are known */
    uint32_t ram_id;
    struct qemu_block *blocks;
    uint32_t blocks_num;
    uint64_t blocks_left; /* bytes of blocks still to be listed */
    bool syncs_at_flush;  /* a record 0x200 means SYNC, not the end of the records */
    uint32_t zero_block;  /* the block that a zero page named last */
    uint64_t zero_offset;
    struct qemu_device_state devices;
};

/* The next item: its length, from 1 to QEMU_ITEM_MAX, and who takes it. */
void qemu_stream_expect(struct qemu_stream *stream, uint32_t due, qemu_take_fn *take);

/* A section or a command, or the rest of the configuration. */
void qemu_stream_expect_section(struct qemu_stream *stream);

/* Refuses the stream for a value that it has; returns -1. */
int qemu_stream_malformed(struct multifd_error *err, const char *what, uint64_t value);

/* Refuses it for a setting of the source, in a whole sentence; returns -1. */
int qemu_stream_wrong_setting(struct multifd_error *err, const char *why);

/*
 * Copies a name of so many bytes with a NUL behind it to `name`, which has room for 256. -1 with
 * *err for one that is empty or cannot be printed.
 */
int qemu_stream_name(const uint8_t *bytes, uint8_t length, char *name, struct multifd_error *err);

/* Takes what every stream starts with. */
qemu_take_fn qemu_opening_take_magic;

/* Takes a subsection of the configuration. */
qemu_take_fn qemu_opening_take_subsection;

/* Takes the first record of a RAM section that has just started. */
qemu_take_fn qemu_ram_take_size;

/* Takes a record of a later one. */
qemu_take_fn qemu_ram_take_record;

/* Takes what follows the last record of a section. */
qemu_take_fn qemu_stream_take_footer;

#endif
