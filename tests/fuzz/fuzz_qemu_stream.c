/* SPDX-License-Identifier: MIT */
/*
 * Input: a byte that chooses the page size, then QEMU's main stream. It is fed whole and byte by
 * byte: what comes out must be the same, and name nothing but what lies within the RAM blocks.
 */
#include "fuzz.h"

#include "core/qemu/stream.h"

#include <stdbool.h>

#define LEAST_SHIFT 10u

/* What has come out: everything in it is compared. */
struct outcome {
    uint64_t events;
    uint64_t sum; /* of all events, in their order */
    int status;
    int end;
    char message[MULTIFD_ERROR_TEXT];
};

struct feeder {
    struct qemu_stream *stream;
    uint32_t page_size;
    bool list_is_complete;
    enum qemu_event_type last; /* of RAM_DONE and DONE, the one that has come */
    struct outcome outcome;
};

static void check_zero_page(const struct feeder *feeder, const struct qemu_event *event)
{
    const struct qemu_block *block;

    FUZZ_CHECK(feeder->list_is_complete);
    FUZZ_CHECK(event->block < qemu_stream_blocks(feeder->stream));
    block = qemu_stream_block(feeder->stream, event->block);
    FUZZ_CHECK(event->offset % feeder->page_size == 0);
    FUZZ_CHECK(event->offset < block->length);
    FUZZ_CHECK(block->length - event->offset >= feeder->page_size);
}

static void check_block(struct feeder *feeder, const struct qemu_event *event)
{
    const struct qemu_block *block = qemu_stream_block(feeder->stream, event->block);

    FUZZ_CHECK(!feeder->list_is_complete);
    FUZZ_CHECK(event->block == qemu_stream_blocks(feeder->stream) - 1);
    FUZZ_CHECK(event->block < MULTIFD_BLOCKS_MAX);
    FUZZ_CHECK(memchr(block->name, '\0', sizeof(block->name)) != NULL && block->name[0] != '\0');
    FUZZ_CHECK(block->length != 0 && block->length % feeder->page_size == 0);
    feeder->list_is_complete = event->last;
}

static void check_event(struct feeder *feeder, const struct qemu_event *event)
{
    switch (event->type) {
    case QEMU_PING:
        FUZZ_CHECK(qemu_stream_has_return_path(feeder->stream));
        break;
    case QEMU_BLOCK:
        check_block(feeder, event);
        break;
    case QEMU_ZERO_PAGE:
        check_zero_page(feeder, event);
        break;
    case QEMU_SYNC:
        FUZZ_CHECK(feeder->list_is_complete);
        break;
    case QEMU_RAM_DONE:
        FUZZ_CHECK(feeder->last == QEMU_NEEDS_MORE);
        feeder->last = QEMU_RAM_DONE;
        break;
    default:
        FUZZ_CHECK(event->type == QEMU_DONE && feeder->last == QEMU_RAM_DONE);
        feeder->last = QEMU_DONE;
        break;
    }
    FUZZ_CHECK(feeder->last == QEMU_NEEDS_MORE || event->type == feeder->last);
    feeder->outcome.events++;
    feeder->outcome.sum = (feeder->outcome.sum * 31 + event->offset) * 31 + event->block;
    feeder->outcome.sum = (feeder->outcome.sum * 31 + event->value) * 31 + event->type;
}

/* Feeds a piece up to its end or to an error. */
static int feed(struct feeder *feeder, const uint8_t *bytes, size_t length,
                struct multifd_error *err)
{
    struct qemu_event event;

    do {
        const uint8_t *before = bytes;
        size_t left = length;

        if (qemu_stream_next(feeder->stream, &bytes, &length, &event, err) != 0) {
            return -1;
        }
        FUZZ_CHECK((size_t)(bytes - before) == left - length && length <= left);
        if (event.type != QEMU_NEEDS_MORE) {
            check_event(feeder, &event);
        }
    } while (event.type != QEMU_NEEDS_MORE);
    FUZZ_CHECK(length == 0);
    return 0;
}

static void keep_refusal(struct outcome *outcome, const struct multifd_error *err)
{
    fuzz_check_refusal(err);
    memcpy(outcome->message, err->message, strlen(err->message) + 1);
}

/* Each piece is a copy of exactly its length. */
static struct outcome feed_all(const uint8_t *data, size_t size, size_t step, uint32_t page_size)
{
    struct multifd_error err;
    struct feeder feeder = {.stream = qemu_stream_new(page_size, &err), .page_size = page_size};

    FUZZ_CHECK(feeder.stream != NULL);
    fuzz_error_poison(&err);
    for (size_t at = 0; at < size && feeder.outcome.status == 0; at += step) {
        size_t length = size - at < step ? size - at : step;
        uint8_t *piece = malloc(length);

        FUZZ_CHECK(piece != NULL);
        memcpy(piece, data + at, length);
        feeder.outcome.status = feed(&feeder, piece, length, &err);
        free(piece);
    }
    if (feeder.outcome.status == 0) {
        feeder.outcome.end = qemu_stream_end(feeder.stream, &err);
    }
    if (feeder.outcome.status != 0 || feeder.outcome.end != 0) {
        keep_refusal(&feeder.outcome, &err);
    }
    FUZZ_CHECK(feeder.last != QEMU_DONE || feeder.outcome.end == 0);
    qemu_stream_delete(&feeder.stream);
    return feeder.outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct outcome whole, split;
    uint32_t page_size;

    if (size < 2) {
        return 0;
    }
    page_size = UINT32_C(1) << (LEAST_SHIFT + data[0] % 8);
    whole = feed_all(data + 1, size - 1, size - 1, page_size);
    split = feed_all(data + 1, size - 1, 1, page_size);
    FUZZ_CHECK(whole.events == split.events && whole.sum == split.sum);
    FUZZ_CHECK(whole.status == split.status && whole.end == split.end);
    FUZZ_CHECK(strcmp(whole.message, split.message) == 0);
    return 0;
}
