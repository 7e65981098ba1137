/* SPDX-License-Identifier: MIT */
#include "core/bridge/tail.h"

#include "core/base/bytes.h"
#include "core/base/error.h"

#include <stdlib.h>
#include <string.h>

#define FOOTER      0x7e
#define DESCRIPTION 0x06

enum mark {
    AT_END = 5,
    AT_DESCRIPTION = 6,
    AT_LENGTH = 7,
    AT_BRACE = 11,
    MARK_BYTES = 12,
};

void bridge_tail_fini(struct bridge_tail *tail)
{
    free(tail->bytes);
    memset(tail, 0, sizeof(*tail));
}

static void move_up(struct bridge_tail *tail)
{
    memmove(tail->bytes, tail->bytes + tail->first, tail->end - tail->first);
    tail->end -= tail->first;
    tail->scan = tail->scan > tail->first ? tail->scan - tail->first : 0;
    tail->first = 0;
}

int bridge_tail_add(struct bridge_tail *tail, const uint8_t *bytes, size_t length,
                    struct multifd_error *err)
{
    if (tail->first != 0 && tail->end + length > tail->size) {
        move_up(tail);
    }
    if (tail->end + length > tail->size) {
        size_t size = (tail->end + length) * 2;
        uint8_t *grown = realloc(tail->bytes, size);

        if (grown == NULL) {
            return error_set_nomem(err);
        }
        tail->bytes = grown;
        tail->size = size;
    }
    memcpy(tail->bytes + tail->end, bytes, length);
    tail->end += length;
    return 0;
}

void bridge_tail_watch(struct bridge_tail *tail)
{
    tail->watched = true;
    tail->scan = tail->end;
}

/* Bytes of the end that starts there; known when the mark has come. */
static size_t end_bytes(const uint8_t *at)
{
    return AT_BRACE + (size_t)get_be32(at + AT_LENGTH);
}

/* Whether what has come shows that the end does not start at that footer. */
static bool is_disproved(const uint8_t *at, size_t have)
{
    if ((have > AT_END && at[AT_END] != 0) ||
        (have > AT_DESCRIPTION && at[AT_DESCRIPTION] != DESCRIPTION)) {
        return true;
    }
    return have >= MARK_BYTES &&
           (at[AT_BRACE] != '{' || end_bytes(at) < have || end_bytes(at) > BRIDGE_TAIL_MAX);
}

static void scan(struct bridge_tail *tail)
{
    while (tail->scan != tail->end) {
        const uint8_t *from = tail->bytes + tail->scan;
        const uint8_t *at = memchr(from, FOOTER, tail->end - tail->scan);

        if (at == NULL) {
            tail->scan = tail->end;
            return;
        }
        tail->scan += (size_t)(at - from);
        if (!is_disproved(at, tail->end - tail->scan)) {
            return;
        }
        tail->scan++;
    }
}

size_t bridge_tail_ready(struct bridge_tail *tail, const uint8_t **bytes)
{
    if (tail->bytes == NULL) {
        *bytes = NULL;
        return 0;
    }
    if (!tail->watched || tail->open) {
        tail->scan = tail->end;
    } else {
        scan(tail);
    }
    *bytes = tail->bytes + tail->first;
    return tail->scan - tail->first;
}

void bridge_tail_take(struct bridge_tail *tail, size_t length)
{
    tail->first += length;
}

bool bridge_tail_is_complete(const struct bridge_tail *tail)
{
    size_t have = tail->end - tail->scan;

    return tail->watched && have >= MARK_BYTES && end_bytes(tail->bytes + tail->scan) == have;
}

bool bridge_tail_may_be_complete(const struct bridge_tail *tail)
{
    return tail->watched && tail->end - tail->scan == AT_END + 1;
}

void bridge_tail_open(struct bridge_tail *tail)
{
    tail->open = true;
}
