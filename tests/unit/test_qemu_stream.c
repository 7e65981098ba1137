/* SPDX-License-Identifier: MIT */
#include "core/qemu/device_state.h"
#include "qemu_rig.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static void whole_stream_is_taken_however_split(void **state)
{
    const struct bytes all = BYTES(ALL);
    struct multifd_error err;

    (void)state;
    assert_int_equal(assert_events(all,
                                   BLOCKS_TEXT "sync, zero a 0, zero a 4096, sync, sync, "
                                               "ram done, done, ",
                                   &err),
                     0);
    assert_untouched(&err);
}

static void every_event_has_just_its_own_values(void **state)
{
    const struct bytes all = BYTES(ALL);
    struct multifd_error err = ERROR_UNTOUCHED;
    struct qemu_stream *stream = new_stream();
    const uint8_t *bytes = (const uint8_t *)all.at;
    size_t length = all.length;
    struct qemu_event event;

    (void)state;
    do {
        memset(&event, 0xee, sizeof(event));
        assert_int_equal(qemu_stream_next(stream, &bytes, &length, &event, &err), 0);
        if (event.type != QEMU_BLOCK) {
            assert_false(event.last);
        }
        if (event.type != QEMU_ZERO_PAGE) {
            assert_true(event.offset == 0);
        }
        assert_int_equal(event.value, 0);
    } while (event.type != QEMU_NEEDS_MORE);
    assert_ptr_equal(bytes, (const uint8_t *)all.at + all.length);
    assert_int_equal(qemu_stream_blocks(stream), 2);
    assert_false(qemu_stream_has_return_path(stream));
    qemu_stream_delete(&stream);
}

/* A source that was told to go on wants to hear of it between any two bytes. */
static void nothing_more_is_taken_than_the_event_needs(void **state)
{
    const struct bytes all = BYTES(SETUP PART);
    struct multifd_error err = ERROR_UNTOUCHED;
    struct qemu_stream *stream = new_stream();
    const uint8_t *bytes = (const uint8_t *)all.at;
    size_t length = all.length;
    struct qemu_event event;

    (void)state;
    do {
        assert_int_equal(qemu_stream_next(stream, &bytes, &length, &event, &err), 0);
    } while (event.type != QEMU_SYNC);
    assert_int_equal(length, sizeof(FOOTER PART) - 1);
    assert_memory_equal(bytes, FOOTER PART, length);
    qemu_stream_delete(&stream);
}

static void no_bytes_need_more(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;
    struct qemu_stream *stream = new_stream();
    const uint8_t *bytes = NULL;
    size_t length = 0;
    struct qemu_event event;

    (void)state;
    assert_int_equal(qemu_stream_next(stream, &bytes, &length, &event, &err), 0);
    assert_int_equal(event.type, QEMU_NEEDS_MORE);
    assert_null(bytes);
    qemu_stream_delete(&stream);
}

static void a_block_is_remembered_over_rounds(void **state)
{
    const struct bytes all =
        BYTES(SETUP PART ZERO_A ZERO_B AGAIN0 END FOOTER PART AGAIN0 ZERO_A1 AGAIN0 END FOOTER);
    struct multifd_error err;

    (void)state;
    (void)assert_events(all,
                        BLOCKS_TEXT "sync, zero a 0, zero bb 0, zero bb 0, sync, zero bb 0, "
                                    "zero a 4096, zero a 0, sync, ",
                        &err);
}

/* From QEMU 8.1 on: SYNC goes with a record of its own. */
static void sync_comes_with_flush_when_setup_has_it(void **state)
{
    const struct bytes all =
        BYTES(OPENING START SIZE BLOCK_A BLOCK_B FLUSH END FOOTER PART ZERO_A FLUSH AGAIN1 END
                  FOOTER PART END FOOTER LAST FLUSH END FOOTER);
    struct multifd_error err;

    (void)state;
    (void)assert_events(all, BLOCKS_TEXT "sync, zero a 0, sync, zero a 4096, sync, ram done, ",
                        &err);
}

static void configuration_may_have_subsections(void **state)
{
    const struct bytes all =
        BYTES(OPENING "\5\22configuration/uuid\0\0\0\1"
                      "0123456789abcdef"
                      "\5\36configuration/target-page-bits\0\0\0\1\0\0\0\14" START SIZE BLOCK_A
                          BLOCK_B END FOOTER);
    struct multifd_error err;

    (void)state;
    (void)assert_events(all, BLOCKS_TEXT "sync, ", &err);
}

static void commands_are_taken_where_sections_are(void **state)
{
    const struct bytes all =
        BYTES(OPENING "\10\0\1\0\0"
                      "\10\0\2\0\4\0\0\0\1" START SIZE BLOCK_A BLOCK_B END FOOTER
                      "\10\0\2\0\4\x80\0\0\2" PART END FOOTER "\10\0\13\0\0" LAST END FOOTER);
    struct multifd_error err = ERROR_UNTOUCHED;
    struct qemu_stream *stream = new_stream();
    char text[1024] = "";

    (void)state;
    assert_int_equal(feed(stream, all, all.length, text, &err), 0);
    assert_true(qemu_stream_has_return_path(stream));
    qemu_stream_delete(&stream);
    (void)assert_events(all, "ping 1, " BLOCKS_TEXT "sync, ping 2147483650, sync, sync, ram done, ",
                        &err);
}

static void the_longest_names_fit(void **state)
{
    char all[1024];
    char name[256];
    char expected[1024];
    struct multifd_error err;
    size_t at = sizeof(MAGIC) - 1;

    (void)state;
    memset(name, 'n', 255);
    name[255] = '\0';
    memcpy(all, MAGIC "\7\0\0\0\377", at + 5);
    at += 5;
    memcpy(all + at, name, 255);
    at += 255;
    memcpy(all + at, START "\0\0\0\0\0\0\20\4\377", sizeof(START) - 1 + 9);
    at += sizeof(START) - 1 + 9;
    memcpy(all + at, name, 255);
    at += 255;
    memcpy(all + at, "\0\0\0\0\0\0\20\0", 8);
    at += 8;
    memcpy(all + at, END FOOTER PART "\0\0\0\0\0\0\0\2\377", 27);
    at += 27;
    memcpy(all + at, name, 256);
    at += 256;
    sprintf(expected, "block %s 4096 last, sync, zero ", name);
    strcat(strcat(expected, name), " 0, ");
    (void)assert_events((struct bytes){all, at}, expected, &err);
}

static void any_printable_name_is_taken(void **state)
{
    const struct bytes all = BYTES(OPENING START "\0\0\0\0\0\0\20\4\3 ~\xff\0\0\0\0\0\0\20\0");
    struct multifd_error err;

    (void)state;
    (void)assert_events(all, "block  ~\xff 4096 last, ", &err);
}

static void pages_of_other_sizes_leave_more_room_for_flags(void **state)
{
    static const char all[] =
        OPENING START "\0\0\0\0\0\2\0\4\1a\0\0\0\0\0\2\0\0" END FOOTER PART "\0\0\0\0\0\1\0\2\1a\0";
    struct multifd_error err = ERROR_UNTOUCHED;
    struct qemu_stream *stream = qemu_stream_new(65536, &err);
    char text[256] = "";

    (void)state;
    assert_int_equal(feed(stream, (struct bytes){all, sizeof(all) - 1}, 1, text, &err), 0);
    assert_string_equal(text, "block a 131072 last, sync, zero a 65536, ");
    assert_int_equal(feed(stream, (struct bytes)BYTES("\0\0\0\0\0\0\20\2\1a\0"), 1, text, &err),
                     -1);
    assert_error(&err, MULTIFD_ERROR_PROTOCOL, "unknown record 0x1002");
    qemu_stream_delete(&stream);
}

static void blocks_are_not_too_many(void **state)
{
    static char all[64 + (MULTIFD_BLOCKS_MAX + 1) * 13];
    struct multifd_error err = ERROR_UNTOUCHED;
    struct qemu_stream *stream = new_stream();
    char *to = all + sizeof(OPENING START) - 1;
    static char text[64 * 1024];

    (void)state;
    memcpy(all, OPENING START, sizeof(OPENING START) - 1);
    memcpy(to, "\0\0\0\1\0\0\0\4", 8);
    to += 8;
    for (unsigned i = 0; i <= MULTIFD_BLOCKS_MAX; i++) {
        sprintf(to, "\4%04u", i);
        memcpy(to + 5, "\0\0\0\0\0\0\20\0", 8);
        to += 13;
    }
    assert_int_equal(feed(stream, (struct bytes){all, (size_t)(to - all - 13)}, 1000, text, &err),
                     0);
    assert_int_equal(qemu_stream_blocks(stream), MULTIFD_BLOCKS_MAX);
    assert_string_equal(qemu_stream_block(stream, 1023)->name, "1023");
    assert_int_equal(feed(stream, (struct bytes){to - 13, 13}, 1000, text, &err), -1);
    assert_error(&err, MULTIFD_ERROR_LIMIT, "more than 1024 RAM blocks");
    assert_int_equal(qemu_stream_blocks(stream), MULTIFD_BLOCKS_MAX);
    qemu_stream_delete(&stream);
}

static void the_end_is_told_from_a_break(void **state)
{
    static const struct {
        struct bytes all;
        const char *text; /* NULL: it is the end */
    } cases[] = {
        {BYTES(""), "before all RAM had come"},
        {BYTES(SETUP), "before all RAM had come"},
        {BYTES(SETUP LAST END), "before all RAM had come"},
        {BYTES(SETUP LAST END FOOTER), "within the state of its devices"},
        {BYTES(SETUP LAST END FOOTER DEVICE), "within the state of its devices"},
        {BYTES(SETUP LAST END FOOTER DEVICE "\0"), NULL}, /* without a description */
        {BYTES(SETUP LAST END FOOTER DEVICE "\1"), "within the state of its devices"},
        {BYTES(SETUP LAST END FOOTER DEVICE "\0\6"), "within the state of its devices"},
        {BYTES(SETUP LAST END FOOTER DEVICE "\0\6\0\0\0\10{\"a\":[]"), "within the state"},
        {BYTES(SETUP LAST END FOOTER DEVICE TAIL), NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct multifd_error err = ERROR_UNTOUCHED;
        struct qemu_stream *stream = new_stream();
        char text[1024] = "";

        assert_int_equal(feed(stream, cases[i].all, 4, text, &err), 0);
        assert_int_equal(qemu_stream_end(stream, &err), cases[i].text == NULL ? 0 : -1);
        if (cases[i].text != NULL) {
            assert_error(&err, MULTIFD_ERROR_DISCONNECTED, cases[i].text);
        } else {
            assert_untouched(&err);
        }
        qemu_stream_delete(&stream);
    }
}

/* What looks like the end and is not: another length, another letter, one behind the other. */
static void device_state_may_look_like_the_end(void **state)
{
    static const struct bytes ends[] = {
        BYTES(SETUP LAST END FOOTER DEVICE "\0\6\0\0\xff\xff{" DEVICE TAIL),
        BYTES(SETUP LAST END FOOTER DEVICE "\0\6\0\0\0\0{" DEVICE TAIL),
        BYTES(SETUP LAST END FOOTER DEVICE "\0\6\0\0\0\2[]" DEVICE TAIL),
        BYTES(SETUP LAST END FOOTER DEVICE "\1\6\0\0\0\2{}" DEVICE TAIL),
        BYTES(SETUP LAST END FOOTER DEVICE "\0\7\0\0\0\2{}" DEVICE TAIL),
        BYTES(SETUP LAST END FOOTER "\x7f\0\0\0\0\0\6\0\0\0\2{}" DEVICE TAIL),
    };
    struct multifd_error err;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        assert_int_equal(assert_events(ends[i], BLOCKS_TEXT "sync, sync, ram done, done, ", &err),
                         0);
    }
}

static void nothing_comes_behind_the_end(void **state)
{
    const struct bytes all = BYTES(ALL "x");

    (void)state;
    assert_refused(all, MULTIFD_ERROR_PROTOCOL, "behind its end, 0x78");
}

static void device_state_has_a_limit(void **state)
{
    const struct bytes all = BYTES(SETUP LAST END FOOTER);
    struct multifd_error err = ERROR_UNTOUCHED;
    struct qemu_stream *stream = new_stream();
    uint8_t *zeros = calloc(1, QEMU_DEVICE_STATE_MAX / 16);
    struct qemu_event event;
    char text[256] = "";

    (void)state;
    assert_int_equal(feed(stream, all, all.length, text, &err), 0);
    for (unsigned i = 0; i < 17; i++) {
        const uint8_t *bytes = zeros;
        size_t length = i < 16 ? QEMU_DEVICE_STATE_MAX / 16 : 1;

        assert_int_equal(qemu_stream_next(stream, &bytes, &length, &event, &err), i < 16 ? 0 : -1);
        assert_int_equal(event.type, QEMU_NEEDS_MORE);
    }
    assert_error(&err, MULTIFD_ERROR_PROTOCOL, "without an end, bytes 0x40000001");
    free(zeros);
    qemu_stream_delete(&stream);
}

static void answers_are_byte_exact(void **state)
{
    uint8_t answer[QEMU_ANSWER_BYTES];

    (void)state;
    qemu_pong(0x01020304, answer);
    assert_memory_equal(answer, "\0\2\0\4\1\2\3\4", sizeof(answer));
    qemu_shut(true, answer);
    assert_memory_equal(answer, "\0\1\0\4\0\0\0\0", sizeof(answer));
    qemu_shut(false, answer);
    assert_memory_equal(answer, "\0\1\0\4\0\0\0\1", sizeof(answer));
}

static void no_memory_is_an_error(void **state)
{
    const struct bytes all = BYTES(SETUP);
    struct multifd_error err = ERROR_UNTOUCHED;
    struct qemu_stream *stream;
    const uint8_t *bytes = (const uint8_t *)all.at;
    size_t length = all.length;
    struct qemu_event event;

    (void)state;
    mock_fail_nth("malloc", 1, ENOMEM);
    assert_null(qemu_stream_new(PAGE, &err));
    assert_error(&err, MULTIFD_ERROR_SYSTEM, "memory");
    stream = new_stream();
    assert_int_equal(qemu_stream_next(stream, &bytes, &length, &event, &err), 0);
    mock_fail_nth("malloc", 1, ENOMEM);
    assert_int_equal(qemu_stream_next(stream, &bytes, &length, &event, &err), -1);
    assert_error(&err, MULTIFD_ERROR_SYSTEM, "memory");
    assert_int_equal(qemu_stream_blocks(stream), 1);
    qemu_stream_delete(&stream);
    qemu_stream_delete(&stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        mocked_test(whole_stream_is_taken_however_split),
        mocked_test(every_event_has_just_its_own_values),
        mocked_test(nothing_more_is_taken_than_the_event_needs),
        mocked_test(no_bytes_need_more),
        mocked_test(a_block_is_remembered_over_rounds),
        mocked_test(sync_comes_with_flush_when_setup_has_it),
        mocked_test(configuration_may_have_subsections),
        mocked_test(commands_are_taken_where_sections_are),
        mocked_test(the_longest_names_fit),
        mocked_test(any_printable_name_is_taken),
        mocked_test(pages_of_other_sizes_leave_more_room_for_flags),
        mocked_test(blocks_are_not_too_many),
        mocked_test(the_end_is_told_from_a_break),
        mocked_test(device_state_may_look_like_the_end),
        mocked_test(nothing_comes_behind_the_end),
        mocked_test(device_state_has_a_limit),
        mocked_test(answers_are_byte_exact),
        mocked_test(no_memory_is_an_error),
    };

    return cmocka_run_group_tests_name("core/qemu/stream", tests, NULL, NULL);
}
