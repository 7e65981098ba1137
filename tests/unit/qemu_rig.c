/* SPDX-License-Identifier: MIT */
#include "qemu_rig.h"

#include <stdio.h>
#include <stdlib.h>

struct qemu_stream *new_stream(void)
{
    struct multifd_error err = ERROR_UNTOUCHED;
    struct qemu_stream *stream = qemu_stream_new(PAGE, &err);

    assert_non_null(stream);
    assert_untouched(&err);
    return stream;
}

/* Adds an event to the text. */
static void tell(const struct qemu_stream *stream, const struct qemu_event *event, char *text)
{
    char *to = text + strlen(text);
    const char *name = event->type == QEMU_BLOCK || event->type == QEMU_ZERO_PAGE
                           ? qemu_stream_block(stream, event->block)->name
                           : "";

    switch (event->type) {
    case QEMU_PING:
        sprintf(to, "ping %u, ", event->value);
        break;
    case QEMU_BLOCK:
        assert_int_equal(event->block, qemu_stream_blocks(stream) - 1);
        sprintf(to, "block %s %llu%s, ", name,
                (unsigned long long)qemu_stream_block(stream, event->block)->length,
                event->last ? " last" : "");
        break;
    case QEMU_SYNC:
        strcpy(to, "sync, ");
        break;
    case QEMU_ZERO_PAGE:
        sprintf(to, "zero %s %llu, ", name, (unsigned long long)event->offset);
        break;
    case QEMU_RAM_DONE:
        strcpy(to, "ram done, ");
        break;
    case QEMU_DONE:
        strcpy(to, "done, ");
        break;
    default:
        fail();
    }
}

int feed(struct qemu_stream *stream, struct bytes all, size_t step, char *text,
         struct multifd_error *err)
{
    struct qemu_event event = {.type = QEMU_NEEDS_MORE};
    int status = 0;

    for (size_t at = 0; at < all.length && status == 0; at += step) {
        size_t length = all.length - at < step ? all.length - at : step;
        uint8_t *piece = malloc(length);
        const uint8_t *bytes = piece;

        memcpy(piece, all.at + at, length);
        do {
            status = qemu_stream_next(stream, &bytes, &length, &event, err);
            if (status == 0 && event.type != QEMU_NEEDS_MORE) {
                tell(stream, &event, text);
            }
        } while (status == 0 && event.type != QEMU_NEEDS_MORE);
        assert_true(status != 0 || length == 0);
        free(piece);
    }
    return status;
}

int assert_events(struct bytes all, const char *expected, struct multifd_error *err)
{
    const size_t steps[] = {all.length, 1, 2, 3, 7, 64};
    int status = 0;

    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        struct multifd_error untouched = ERROR_UNTOUCHED;
        struct qemu_stream *stream = new_stream();
        char text[1024] = "";

        *err = untouched;
        assert_int_equal(feed(stream, all, steps[i], text, err), 0);
        assert_untouched(err);
        assert_string_equal(text, expected);
        status = qemu_stream_end(stream, err);
        qemu_stream_delete(&stream);
        assert_null(stream);
    }
    return status;
}

void assert_refused(struct bytes all, enum multifd_error_code code, const char *part)
{
    const size_t steps[] = {all.length, 1, 5};

    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        struct multifd_error err = ERROR_UNTOUCHED;
        struct qemu_stream *stream = new_stream();
        char text[1024] = "";

        if (feed(stream, all, steps[i], text, &err) != -1) {
            fail_msg("taken: \"%s\"", part);
        }
        assert_error(&err, code, part);
        assert_error(&err, code, "main stream refused: ");
        qemu_stream_delete(&stream);
    }
}
