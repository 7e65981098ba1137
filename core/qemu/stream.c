/* SPDX-License-Identifier: MIT */
#include "core/qemu/stream.h"

#include "core/base/bytes.h"
#include "core/base/error.h"
#include "core/qemu/stream_state.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static_assert(QEMU_ITEM_MAX == UINT8_MAX + 8, "the longest name and what may stand behind it");

void qemu_stream_expect(struct qemu_stream *stream, uint32_t due, qemu_take_fn *take)
{
    stream->due = due;
    stream->take = take;
}

int qemu_stream_malformed(struct multifd_error *err, const char *what, uint64_t value)
{
    return error_set(err, MULTIFD_ERROR_PROTOCOL, "main stream refused: %s %#llx", what,
                     (unsigned long long)value);
}

int qemu_stream_wrong_setting(struct multifd_error *err, const char *why)
{
    return error_set(err, MULTIFD_ERROR_INVALID, "main stream refused: %s", why);
}

int qemu_stream_name(const uint8_t *bytes, uint8_t length, char *name, struct multifd_error *err)
{
    if (length == 0) {
        return qemu_stream_malformed(err, "a name without letters, length", length);
    }
    for (uint8_t i = 0; i < length; i++) {
        if (bytes[i] < ' ' || bytes[i] == 0x7f) {
            return qemu_stream_malformed(err, "a name that cannot be printed, byte", bytes[i]);
        }
    }
    memcpy(name, bytes, length);
    name[length] = '\0';
    return 0;
}

/* Whether the item that is due is complete; it is left where it came if all of it came at once. */
static bool collect(struct qemu_stream *stream, const uint8_t **bytes, size_t *length,
                    const uint8_t **item)
{
    uint32_t part = stream->due - stream->have;

    if (*length < part) {
        part = (uint32_t)*length;
    }
    *item = *bytes;
    if (part != stream->due) {
        memcpy(stream->item + stream->have, *bytes, part);
        *item = stream->item;
    }
    stream->have += part;
    *bytes += part;
    *length -= part;
    if (stream->have != stream->due) {
        return false;
    }
    stream->have = 0;
    return true;
}

static int skip_devices(struct qemu_stream *stream, const uint8_t **bytes, size_t *length,
                        struct qemu_event *event, struct multifd_error *err)
{
    size_t skipped;

    if (qemu_device_state_is_complete(&stream->devices)) {
        return qemu_stream_malformed(err, "something behind its end,", **bytes);
    }
    skipped = qemu_device_state_skip(&stream->devices, *bytes, *length);
    *bytes += skipped;
    *length -= skipped;
    if (stream->devices.bytes > QEMU_DEVICE_STATE_MAX) {
        return qemu_stream_malformed(err, "state of devices without an end, bytes",
                                     stream->devices.bytes);
    }
    if (qemu_device_state_is_complete(&stream->devices)) {
        event->type = QEMU_DONE;
    }
    return 0;
}

int qemu_stream_next(struct qemu_stream *stream, const uint8_t **bytes, size_t *length,
                     struct qemu_event *event, struct multifd_error *err)
{
    *event = (struct qemu_event){.type = QEMU_NEEDS_MORE};
    while (*length != 0 && event->type == QEMU_NEEDS_MORE) {
        const uint8_t *item;

        if (stream->take == NULL) {
            return skip_devices(stream, bytes, length, event, err);
        }
        if (collect(stream, bytes, length, &item) && stream->take(stream, item, event, err) != 0) {
            return -1;
        }
    }
    return 0;
}

int qemu_stream_end(const struct qemu_stream *stream, struct multifd_error *err)
{
    if (stream->take != NULL) {
        return error_set(err, MULTIFD_ERROR_DISCONNECTED,
                         "the source closed the main connection before all RAM had come");
    }
    if (!qemu_device_state_is_complete(&stream->devices) &&
        !qemu_device_state_may_end(&stream->devices)) {
        return error_set(err, MULTIFD_ERROR_DISCONNECTED,
                         "the source closed the main connection within the state of its devices");
    }
    return 0;
}

struct qemu_stream *qemu_stream_new(uint32_t page_size, struct multifd_error *err)
{
    struct qemu_stream *stream = calloc(1, sizeof(*stream));

    if (stream == NULL) {
        error_set_nomem(err);
        return NULL;
    }
    stream->page_size = page_size;
    stream->zero_block = QEMU_NO_BLOCK;
    qemu_stream_expect(stream, 8, qemu_opening_take_magic);
    return stream;
}

void qemu_stream_delete(struct qemu_stream **stream)
{
    if (*stream == NULL) {
        return;
    }
    free((*stream)->blocks);
    free(*stream);
    *stream = NULL;
}

uint32_t qemu_stream_blocks(const struct qemu_stream *stream)
{
    return stream->blocks_num;
}

const struct qemu_block *qemu_stream_block(const struct qemu_stream *stream, uint32_t block)
{
    return &stream->blocks[block];
}

bool qemu_stream_has_return_path(const struct qemu_stream *stream)
{
    return stream->return_path;
}
