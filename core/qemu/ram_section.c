/* SPDX-License-Identifier: MIT */
#include "core/base/bytes.h"
#include "core/base/checked.h"
#include "core/base/error.h"
#include "core/qemu/stream_state.h"

#include <stdlib.h>
#include <string.h>

enum record {
    RECORD_ZERO = 0x02,
    RECORD_SIZE = 0x04,
    RECORD_PAGE = 0x08,
    RECORD_END = 0x10,
    RECORD_CONTINUE = 0x20,
    RECORD_XBZRLE = 0x40,
    RECORD_HOOK = 0x80,
    RECORD_COMPRESSED = 0x100,
    RECORD_FLUSH = 0x200,
};

static qemu_take_fn take_block_length;
static qemu_take_fn take_zero_length;

/* ---- The list of blocks ------------------------------------------------------------------ */

static int check_block(const struct qemu_stream *stream, const char *name, uint64_t length,
                       struct multifd_error *err)
{
    if (length == 0 || length % stream->page_size != 0) {
        return error_set(err, MULTIFD_ERROR_PROTOCOL,
                         "main stream refused: RAM block \"%s\" has %llu bytes, no multiple of the "
                         "page size %u",
                         name, (unsigned long long)length, stream->page_size);
    }
    if (length > stream->blocks_left) {
        return error_set(err, MULTIFD_ERROR_PROTOCOL,
                         "main stream refused: RAM block \"%s\" is longer than all blocks "
                         "together, bytes too many %llu",
                         name, (unsigned long long)(length - stream->blocks_left));
    }
    for (uint32_t i = 0; i < stream->blocks_num; i++) {
        if (strcmp(stream->blocks[i].name, name) == 0) {
            return error_set(err, MULTIFD_ERROR_PROTOCOL,
                             "main stream refused: RAM block \"%s\" twice", name);
        }
    }
    if (stream->blocks_num == MULTIFD_BLOCKS_MAX) {
        return error_set(err, MULTIFD_ERROR_LIMIT, "main stream refused: more than %u RAM blocks",
                         MULTIFD_BLOCKS_MAX);
    }
    return 0;
}

static int add_block(struct qemu_stream *stream, const char *name, uint64_t length,
                     struct multifd_error *err)
{
    struct qemu_block *grown =
        realloc(stream->blocks, (stream->blocks_num + 1) * sizeof(*stream->blocks));

    if (grown == NULL) {
        return error_set_nomem(err);
    }
    stream->blocks = grown;
    strcpy(grown[stream->blocks_num].name, name);
    grown[stream->blocks_num].length = length;
    stream->blocks_num++;
    stream->blocks_left -= length;
    return 0;
}

/* What ends the list is that the lengths make the sum. */
static int take_block(struct qemu_stream *stream, const uint8_t *item, struct qemu_event *event,
                      struct multifd_error *err)
{
    uint64_t length = get_be64(item + stream->name_length);
    char name[MULTIFD_BLOCK_NAME_MAX + 1];

    if (qemu_stream_name(item, stream->name_length, name, err) != 0 ||
        check_block(stream, name, length, err) != 0 || add_block(stream, name, length, err) != 0) {
        return -1;
    }
    event->type = QEMU_BLOCK;
    event->block = stream->blocks_num - 1;
    event->last = stream->blocks_left == 0;
    if (event->last) {
        qemu_stream_expect(stream, 8, qemu_ram_take_record);
    } else {
        qemu_stream_expect(stream, 1, take_block_length);
    }
    return 0;
}

static int take_block_length(struct qemu_stream *stream, const uint8_t *item,
                             struct qemu_event *event, struct multifd_error *err)
{
    (void)event;
    (void)err;
    stream->name_length = item[0];
    qemu_stream_expect(stream, item[0] + 8u, take_block);
    return 0;
}

int qemu_ram_take_size(struct qemu_stream *stream, const uint8_t *item, struct qemu_event *event,
                       struct multifd_error *err)
{
    uint64_t word = get_be64(item);
    uint64_t mask = stream->page_size - 1;

    (void)event;
    if ((word & mask) != RECORD_SIZE) {
        return qemu_stream_malformed(err, "the RAM section does not start with a size but with",
                                     word);
    }
    stream->blocks_left = word & ~mask;
    if (stream->blocks_left == 0) {
        return qemu_stream_malformed(err, "a guest without memory, size", word);
    }
    qemu_stream_expect(stream, 1, take_block_length);
    return 0;
}

/* ---- Zero pages -------------------------------------------------------------------------- */

static int found_zero(struct qemu_stream *stream, uint8_t fill, struct qemu_event *event,
                      struct multifd_error *err)
{
    const struct qemu_block *block = &stream->blocks[stream->zero_block];

    if (fill != 0) {
        return qemu_stream_malformed(err, "a page that is not zero but filled with", fill);
    }
    if (!range_within(stream->zero_offset, stream->page_size, block->length)) {
        return error_set(
            err, MULTIFD_ERROR_PROTOCOL,
            "main stream refused: zero page at %llu, beyond the end of RAM block \"%s\" "
            "of %llu bytes",
            (unsigned long long)stream->zero_offset, block->name,
            (unsigned long long)block->length);
    }
    event->type = QEMU_ZERO_PAGE;
    event->block = stream->zero_block;
    event->offset = stream->zero_offset;
    qemu_stream_expect(stream, 8, qemu_ram_take_record);
    return 0;
}

static int take_zero_again(struct qemu_stream *stream, const uint8_t *item,
                           struct qemu_event *event, struct multifd_error *err)
{
    return found_zero(stream, item[0], event, err);
}

static int take_zero(struct qemu_stream *stream, const uint8_t *item, struct qemu_event *event,
                     struct multifd_error *err)
{
    char name[MULTIFD_BLOCK_NAME_MAX + 1];

    if (qemu_stream_name(item, stream->name_length, name, err) != 0) {
        return -1;
    }
    for (uint32_t i = 0; i < stream->blocks_num; i++) {
        if (strcmp(stream->blocks[i].name, name) == 0) {
            stream->zero_block = i;
            return found_zero(stream, item[stream->name_length], event, err);
        }
    }
    return error_set(err, MULTIFD_ERROR_PROTOCOL,
                     "main stream refused: zero page of an unknown RAM block \"%s\"", name);
}

static int take_zero_length(struct qemu_stream *stream, const uint8_t *item,
                            struct qemu_event *event, struct multifd_error *err)
{
    (void)event;
    (void)err;
    stream->name_length = item[0];
    qemu_stream_expect(stream, item[0] + 1u, take_zero);
    return 0;
}

/* ---- Records ----------------------------------------------------------------------------- */

static int refuse_record(uint64_t word, struct multifd_error *err)
{
    static const struct {
        uint64_t flag;
        const char *why;
    } settings[] = {
        {RECORD_PAGE,
         "the source sends pages on the main connection: its capability multifd is off"},
        {RECORD_XBZRLE, "the source sends pages as differences: its capability xbzrle must be off"},
        {RECORD_COMPRESSED,
         "the source compresses pages on the main connection: its capability compress must be off, "
         "and multifd on"},
        {RECORD_HOOK, "the source migrates over QEMU's own RDMA, not over sockets with multifd"},
    };

    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        if ((word & settings[i].flag) != 0) {
            return qemu_stream_wrong_setting(err, settings[i].why);
        }
    }
    return qemu_stream_malformed(err, "unknown record", word);
}

static int take_flush(struct qemu_stream *stream, struct qemu_event *event,
                      struct multifd_error *err)
{
    if (stream->section == QEMU_SECTION_START) {
        stream->syncs_at_flush = true;
    }
    if (!stream->syncs_at_flush) {
        return qemu_stream_malformed(err, "SYNC within a round, record", RECORD_FLUSH);
    }
    event->type = QEMU_SYNC; /* and the next record is due */
    return 0;
}

static void take_end(struct qemu_stream *stream, struct qemu_event *event)
{
    if (!stream->syncs_at_flush) {
        event->type = QEMU_SYNC;
    }
    qemu_stream_expect(stream, 5, qemu_stream_take_footer);
}

int qemu_ram_take_record(struct qemu_stream *stream, const uint8_t *item, struct qemu_event *event,
                         struct multifd_error *err)
{
    uint64_t word = get_be64(item);
    uint64_t flags = word & (stream->page_size - 1);
    bool in_setup = stream->section == QEMU_SECTION_START;

    if (word == RECORD_END) {
        take_end(stream, event);
        return 0;
    }
    if (word == RECORD_FLUSH) {
        return take_flush(stream, event, err);
    }
    stream->zero_offset = word - flags;
    if (flags == RECORD_ZERO && !in_setup) {
        qemu_stream_expect(stream, 1, take_zero_length);
        return 0;
    }
    if (flags == (RECORD_ZERO | RECORD_CONTINUE) && stream->zero_block != QEMU_NO_BLOCK) {
        qemu_stream_expect(stream, 1, take_zero_again);
        return 0;
    }
    return refuse_record(word, err);
}
