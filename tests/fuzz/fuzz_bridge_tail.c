/* SPDX-License-Identifier: MIT */
/*
 * Input: a byte that says how long pieces are, then what follows the RAM on QEMU's main stream. It
 * is added whole, and in pieces of which all that is ready is taken at once: the same is kept back.
 */
#include "fuzz.h"

#include "core/bridge/tail.h"

struct kept {
    size_t from; /* bytes that were not kept back */
    bool complete;
    bool may_be_complete;
};

static void add(struct bridge_tail *tail, const uint8_t *data, size_t size)
{
    struct multifd_error err;

    FUZZ_CHECK(bridge_tail_add(tail, data, size, &err) == 0);
}

/* Takes what is ready: the next bytes of the input. */
static size_t take(struct bridge_tail *tail, const uint8_t *data, size_t left)
{
    const uint8_t *bytes;
    size_t ready = bridge_tail_ready(tail, &bytes);

    FUZZ_CHECK(ready <= left && (ready == 0 || memcmp(bytes, data, ready) == 0));
    bridge_tail_take(tail, ready);
    return ready;
}

static struct kept pass(const uint8_t *data, size_t size, size_t piece)
{
    struct bridge_tail tail = {.bytes = NULL};
    struct kept kept = {.from = 0};
    size_t part;

    bridge_tail_watch(&tail);
    for (size_t at = 0; at < size; at += part) {
        part = piece < size - at ? piece : size - at;
        add(&tail, data + at, part);
        kept.from += take(&tail, data + kept.from, at + part - kept.from);
    }
    kept.complete = bridge_tail_is_complete(&tail);
    kept.may_be_complete = bridge_tail_may_be_complete(&tail);
    bridge_tail_open(&tail);
    FUZZ_CHECK(kept.from + take(&tail, data + kept.from, size - kept.from) == size);
    bridge_tail_fini(&tail);
    return kept;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kept whole;
    struct kept pieces;

    if (size < 2) {
        return 0;
    }
    whole = pass(data + 1, size - 1, size - 1);
    pieces = pass(data + 1, size - 1, 1 + (size_t)data[0] % 32);
    FUZZ_CHECK(whole.from == pieces.from && whole.complete == pieces.complete &&
               whole.may_be_complete == pieces.may_be_complete);
    /* What is kept back begins with a footer. */
    FUZZ_CHECK(whole.from == size - 1 || data[1 + whole.from] == 0x7e);
    FUZZ_CHECK(whole.from != size - 1 || !whole.complete);
    return 0;
}
