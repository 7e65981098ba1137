/* SPDX-License-Identifier: MIT */
#include "core/qemu/device_state.h"

#include "core/base/bytes.h"

#include <string.h>

enum mark {
    AT_FOOTER = 0,
    AT_END = 5,
    AT_DESCRIPTION = 6,
    AT_LENGTH = 7,
    AT_BRACE = 11,
};

static bool is_mark(const uint8_t *last)
{
    return last[AT_FOOTER] == 0x7e && last[AT_END] == 0x00 && last[AT_DESCRIPTION] == 0x06 &&
           last[AT_BRACE] == '{';
}

/* The bytes up to the next one that may end a mark, or to the end of the description. */
static size_t next_part(const struct qemu_device_state *state, const uint8_t *bytes, size_t length)
{
    const uint8_t *brace;

    if (state->end > state->bytes && state->end - state->bytes < length) {
        length = state->end - state->bytes;
    }
    brace = memchr(bytes, '{', length);
    return brace != NULL ? (size_t)(brace - bytes) + 1 : length;
}

static void remember(struct qemu_device_state *state, const uint8_t *bytes, size_t length)
{
    state->bytes += length;
    if (length > QEMU_MARK_BYTES) {
        bytes += length - QEMU_MARK_BYTES;
        length = QEMU_MARK_BYTES;
    }
    memmove(state->last, state->last + length, QEMU_MARK_BYTES - length);
    memcpy(state->last + QEMU_MARK_BYTES - length, bytes, length);
}

size_t qemu_device_state_skip(struct qemu_device_state *state, const uint8_t *bytes, size_t length)
{
    size_t skipped = 0;

    while (skipped < length) {
        size_t part = next_part(state, bytes + skipped, length - skipped);

        remember(state, bytes + skipped, part);
        skipped += part;
        if (is_mark(state->last)) {
            state->end = state->bytes - 1 + get_be32(state->last + AT_LENGTH);
        }
        if (qemu_device_state_is_complete(state)) {
            break;
        }
    }
    return skipped;
}

bool qemu_device_state_is_complete(const struct qemu_device_state *state)
{
    return state->end != 0 && state->bytes == state->end;
}

bool qemu_device_state_may_end(const struct qemu_device_state *state)
{
    const uint8_t *footer = state->last + QEMU_MARK_BYTES - 6;

    return footer[0] == 0x7e && footer[5] == 0x00;
}
