/* SPDX-License-Identifier: MIT */
#include "core/base/bytes.h"
#include "core/message.h"
#include "core/options.h"
#include "test.h"

/* Each type with fields that differ from each other, and its frame's length in bytes. */
static const struct {
    uint32_t length;
    struct message message;
} examples[] = {
    {12 + 36,
     {.type = MESSAGE_HELLO,
      .hello = {4096, 128, 255, MULTIFD_FLAG_ZSTD, 1, 30, 10000, 1, REGISTRATION_ON_DEMAND}}},
    {12 + 4, {.type = MESSAGE_HELLO_OK, .hello_ok = {5000}}},
    {12 + 12 + 8 + 2 + 6 + 8 + 2 + 8,
     {.type = MESSAGE_RAM_BLOCKS,
      .ram_blocks = {.first = 3,
                     .total = 5,
                     .num = 2,
                     .blocks = {{0x100000000, "pc.ram"}, {0x1000000, "vga.vram"}}}}},
    {12, {.type = MESSAGE_RAM_BLOCKS_OK}},
    {12 + 12, {.type = MESSAGE_PIECES_REQUEST, .pieces = {.block = 7, .first = 9, .num = 256}}},
    {12 + 12 + 2 * 12,
     {.type = MESSAGE_PIECES,
      .pieces = {.block = 1023,
                 .first = 5,
                 .num = 2,
                 .pieces = {{0xf102030405060708, 0xa1a2a3a4}, {1, 2}}}}},
    {12 + 8, {.type = MESSAGE_SYNC_DONE, .round = 0xf102030405060708}},
    {12 + 40, {.type = MESSAGE_FINISH, .totals = {1, 2, 3, 0xf000000000000004, 5}}},
    {12 + 36, {.type = MESSAGE_BLOCK_DIGEST, .digest = {.block = 3, .digest = {1, 2, [31] = 9}}}},
    {12 + 40, {.type = MESSAGE_FINISH_OK, .totals = {9, 8, 7, 6, 5}}},
    {12, {.type = MESSAGE_BYE}},
    {12 + 8 + 2 + 5,
     {.type = MESSAGE_ERROR, .error = {MULTIFD_ERROR_TIMEOUT, MULTIFD_CONTROL_CHANNEL, "quiet"}}},
    {12, {.type = MESSAGE_PING}},
    {12 + 20, {.type = MESSAGE_STAGING, .staging = {254, 16, 0xf102030405060708, 0xa1a2a3a4}}},
    {12 + 12, {.type = MESSAGE_BRIDGE_HELLO, .bridge_hello = {5000, 255, 1024}}},
    {12 + 8, {.type = MESSAGE_BRIDGE_READY, .main_bytes = 0xf102030405060708}},
    {12, {.type = MESSAGE_BRIDGE_COMMIT}},
};

static uint8_t frame[MESSAGE_MAX + 16];

static struct message decode(uint32_t length)
{
    struct multifd_error err = ERROR_UNTOUCHED;
    struct message message;

    memset(&message, 0, sizeof(message));
    if (message_decode(frame, length, &message, &err) != 0) {
        fail_msg("%s", err.message);
    }
    assert_untouched(&err);
    return message;
}

static void assert_refused(size_t length, const char *part)
{
    struct multifd_error err = ERROR_UNTOUCHED;
    struct message message;

    assert_int_equal(message_decode(frame, length, &message, &err), -1);
    assert_error(&err, MULTIFD_ERROR_PROTOCOL, part);
}

static void every_type_has_an_example_and_a_name(void **state)
{
    (void)state;
    assert_int_equal(COUNT_OF(examples), MESSAGE_TYPES - 1);
    for (int i = 1; i < MESSAGE_TYPES; i++) {
        assert_int_equal(examples[i - 1].message.type, i);
        for (int j = 1; j < i; j++) {
            assert_string_not_equal(message_name((enum message_type)i),
                                    message_name((enum message_type)j));
        }
    }
    assert_string_equal(message_name(MESSAGE_SYNC_DONE), "SYNC_DONE");
}

static void a_hello_is_byte_exact(void **state)
{
    static const uint8_t expected[] = {
        'M',  'F',  'D',  'C',                          /* magic */
        0x00, 0x00, 0x00, 0x30, 0x00, 0x00, 0x00, 0x01, /* length, type */
        0x00, 0x00, 0x10, 0x00, 0x00, 0x00, 0x00, 0x80, /* page_size, page_count */
        0x00, 0x00, 0x00, 0xff, 0x00, 0x00, 0x00, 0x04, /* channels, method */
        0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x1e, /* verify, piece_shift */
        0x00, 0x00, 0x27, 0x10, 0x00, 0x00, 0x00, 0x01, /* timeout_ms, zero_pages */
        0x00, 0x00, 0x00, 0x01,                         /* registration */
    };

    (void)state;
    assert_int_equal(message_encode(&examples[0].message, frame), sizeof(expected));
    assert_memory_equal(frame, expected, sizeof(expected));
}

static void ram_blocks_are_byte_exact(void **state)
{
    static const uint8_t expected[] = {
        'M',  'F',  'D',  'C',                                    /* magic */
        0x00, 0x00, 0x00, 0x3a, 0x00, 0x00, 0x00, 0x03,           /* length, type */
        0x00, 0x00, 0x00, 0x03, 0x00, 0x00, 0x00, 0x05,           /* first, total */
        0x00, 0x00, 0x00, 0x02,                                   /* num */
        0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00,           /* length */
        0x00, 0x06, 'p',  'c',  '.',  'r',  'a',  'm',            /* name */
        0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00,           /* length */
        0x00, 0x08, 'v',  'g',  'a',  '.',  'v',  'r',  'a', 'm', /* name */
    };

    (void)state;
    assert_int_equal(message_encode(&examples[2].message, frame), sizeof(expected));
    assert_memory_equal(frame, expected, sizeof(expected));
}

static void pieces_and_errors_are_byte_exact(void **state)
{
    static const uint8_t pieces[] = {
        0x00, 0x00, 0x03, 0xff, 0x00, 0x00, 0x00, 0x05, 0x00, 0x00, 0x00, 0x02, /* the range */
        0xf1, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0xa1, 0xa2, 0xa3, 0xa4, /* address, key */
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x02,
    };
    static const uint8_t error[] = {
        0x00, 0x00, 0x00, MULTIFD_ERROR_TIMEOUT, 0xff, 0xff, 0xff, 0xfe, 0x00, 0x05, 'q', 'u',
        'i',  'e',  't',
    };

    (void)state;
    message_encode(&examples[MESSAGE_PIECES - 1].message, frame);
    assert_memory_equal(frame + 12, pieces, sizeof(pieces));
    message_encode(&examples[MESSAGE_ERROR - 1].message, frame);
    assert_memory_equal(frame + 12, error, sizeof(error));
}

static void every_type_makes_the_round_trip(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(examples); i++) {
        struct message message;

        memset(frame, 0xaa, sizeof(frame));
        assert_int_equal(message_encode(&examples[i].message, frame), examples[i].length);
        assert_int_equal(frame[examples[i].length], 0xaa);
        message = decode(examples[i].length);
        assert_memory_equal(&message, &examples[i].message, sizeof(message));
    }
}

static void the_longest_frames_fit(void **state)
{
    struct message blocks = {
        .type = MESSAGE_RAM_BLOCKS,
        .ram_blocks = {.total = MULTIFD_BLOCKS_MAX, .num = MESSAGE_MAX_BLOCKS}};
    struct message pieces = {.type = MESSAGE_PIECES, .pieces = {.num = MESSAGE_MAX_PIECES}};
    struct message error = {.type = MESSAGE_ERROR};
    struct message out;

    (void)state;
    for (uint32_t i = 0; i < MESSAGE_MAX_BLOCKS; i++) {
        memset(blocks.ram_blocks.blocks[i].name, 'n', MULTIFD_BLOCK_NAME_MAX);
    }
    memset(error.error.text, 't', MULTIFD_ERROR_TEXT - 1);
    out = decode(message_encode(&blocks, frame));
    assert_string_equal(out.ram_blocks.blocks[15].name, blocks.ram_blocks.blocks[15].name);
    out = decode(message_encode(&pieces, frame));
    assert_int_equal(out.pieces.num, MESSAGE_MAX_PIECES);
    out = decode(message_encode(&error, frame));
    assert_string_equal(out.error.text, error.error.text);
}

/* With the length in the frame as it should be, only what is missing can tell. */
static void every_truncation_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(examples); i++) {
        for (uint32_t length = 0; length < examples[i].length; length++) {
            message_encode(&examples[i].message, frame);
            assert_refused(length, "refused");
            put_be32(frame + 4, length);
            assert_refused(length, "refused");
        }
    }
}

static void bytes_behind_the_end_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(examples); i++) {
        uint32_t length = message_encode(&examples[i].message, frame);

        assert_refused(length + 1, "length");
        put_be32(frame + 4, length + 1);
        assert_refused(length + 1, message_name(examples[i].message.type));
    }
    message_encode(&examples[0].message, frame);
    put_be32(frame + 4, MESSAGE_MAX + 1);
    assert_refused(MESSAGE_MAX + 1, "length");
}

static void other_magics_and_types_are_refused(void **state)
{
    static const uint32_t types[] = {0, MESSAGE_TYPES, UINT32_MAX, 0x01000001};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        message_encode(&examples[MESSAGE_PING - 1].message, frame);
        put_be32(frame + 8, types[i]);
        assert_refused(12, "type");
    }
    for (size_t i = 0; i < 4; i++) {
        message_encode(&examples[MESSAGE_PING - 1].message, frame);
        frame[i] ^= 1;
        assert_refused(12, "refused");
    }
}

/* An example with one 32-bit field changed is refused. */
static void assert_field_refused(enum message_type type, size_t at, uint32_t value)
{
    uint32_t length = message_encode(&examples[type - 1].message, frame);

    put_be32(frame + 12 + at, value);
    assert_refused(length, message_name(type));
}

static void hello_is_bounded(void **state)
{
    (void)state;
    assert_field_refused(MESSAGE_HELLO, 8, 256);
    assert_field_refused(MESSAGE_HELLO, 8, UINT32_MAX);
    assert_field_refused(MESSAGE_HELLO, 16, 2);
    assert_field_refused(MESSAGE_HELLO, 20, 64);
    assert_field_refused(MESSAGE_HELLO, 32, REGISTRATION_MODES);
}

static void ram_blocks_are_bounded(void **state)
{
    (void)state;
    assert_field_refused(MESSAGE_RAM_BLOCKS, 0, 4); /* 4 + 2 of 5 */
    assert_field_refused(MESSAGE_RAM_BLOCKS, 0, UINT32_MAX);
    assert_field_refused(MESSAGE_RAM_BLOCKS, 0, UINT32_MAX - 1); /* with 2 it would wrap */
    assert_field_refused(MESSAGE_RAM_BLOCKS, 4, 4);
    assert_field_refused(MESSAGE_RAM_BLOCKS, 4, MULTIFD_BLOCKS_MAX + 1);
    assert_field_refused(MESSAGE_RAM_BLOCKS, 8, 0);
    assert_field_refused(MESSAGE_RAM_BLOCKS, 8, 1);
    assert_field_refused(MESSAGE_RAM_BLOCKS, 8, 3);
    assert_field_refused(MESSAGE_RAM_BLOCKS, 8, UINT32_MAX);
}

static void more_entries_than_fit_are_refused(void **state)
{
    uint8_t *at = frame + 12 + 12;

    (void)state;
    message_encode(&examples[MESSAGE_RAM_BLOCKS - 1].message, frame);
    put_be32(frame + 12, 0);
    put_be32(frame + 16, 100);
    put_be32(frame + 20, MESSAGE_MAX_BLOCKS + 1);
    for (uint32_t i = 0; i <= MESSAGE_MAX_BLOCKS; i++) {
        put_be64(at, 4096);
        put_be16(at + 8, 1);
        at[10] = 'n';
        at += 11;
    }
    put_be32(frame + 4, (uint32_t)(at - frame));
    assert_refused((size_t)(at - frame), "RAM_BLOCKS");

    message_encode(&examples[MESSAGE_PIECES - 1].message, frame);
    put_be32(frame + 20, MESSAGE_MAX_PIECES + 1);
    put_be32(frame + 4, 24 + 12 * (MESSAGE_MAX_PIECES + 1));
    assert_refused(24 + 12 * (MESSAGE_MAX_PIECES + 1), "PIECES");
}

static void pieces_are_bounded(void **state)
{
    static const enum message_type types[] = {MESSAGE_PIECES_REQUEST, MESSAGE_PIECES};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        assert_field_refused(types[i], 0, MULTIFD_BLOCKS_MAX);
        assert_field_refused(types[i], 4, UINT32_MAX);
        assert_field_refused(types[i], 8, 0);
        assert_field_refused(types[i], 8, MESSAGE_MAX_PIECES + 1);
    }
}

static void digests_are_bounded(void **state)
{
    (void)state;
    assert_field_refused(MESSAGE_BLOCK_DIGEST, 0, MULTIFD_BLOCKS_MAX);
}

static void errors_are_bounded(void **state)
{
    (void)state;
    assert_field_refused(MESSAGE_ERROR, 0, MULTIFD_ERROR_SYSTEM + 1);
    assert_field_refused(MESSAGE_ERROR, 4, MULTIFD_CHANNELS_MAX); /* channels count from 0 */
    assert_field_refused(MESSAGE_ERROR, 4, (uint32_t)-3);
}

/* A name's two bytes of length, then the name, at that place of an example. */
static void assert_text_refused(enum message_type type, size_t at, uint16_t claimed)
{
    uint32_t length = message_encode(&examples[type - 1].message, frame);

    put_be16(frame + 12 + at, claimed);
    assert_refused(length, message_name(type));
}

static void texts_are_bounded(void **state)
{
    (void)state;
    assert_text_refused(MESSAGE_RAM_BLOCKS, 20, 5);
    assert_text_refused(MESSAGE_RAM_BLOCKS, 20, 7);
    assert_text_refused(MESSAGE_RAM_BLOCKS, 20, UINT16_MAX);
    assert_text_refused(MESSAGE_ERROR, 8, 4);
    assert_text_refused(MESSAGE_ERROR, 8, 6);
    assert_text_refused(MESSAGE_ERROR, 8, UINT16_MAX);
}

/* A frame with one text of that length that is all there. */
static uint32_t text_frame(enum message_type type, size_t at, uint16_t claimed)
{
    uint32_t length = (uint32_t)(12 + at + 2 + claimed);

    message_encode(&examples[type - 1].message, frame);
    put_be32(frame + 20, 1); /* one RAM block */
    if (type == MESSAGE_ERROR) {
        put_be32(frame + 12, MULTIFD_ERROR_TIMEOUT);
        put_be32(frame + 16, 0);
    }
    put_be16(frame + 12 + at, claimed);
    memset(frame + 12 + at + 2, 'n', claimed);
    put_be32(frame + 4, length);
    return length;
}

static void texts_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    assert_int_equal(
        strlen(decode(text_frame(MESSAGE_RAM_BLOCKS, 20, 255)).ram_blocks.blocks[0].name), 255);
    assert_refused(text_frame(MESSAGE_RAM_BLOCKS, 20, 256), "RAM_BLOCKS");
    assert_int_equal(strlen(decode(text_frame(MESSAGE_ERROR, 8, 511)).error.text), 511);
    assert_refused(text_frame(MESSAGE_ERROR, 8, 512), "ERROR");
}

static void texts_with_a_nul_are_refused(void **state)
{
    uint32_t length = text_frame(MESSAGE_ERROR, 8, 9);

    (void)state;
    frame[length - 3] = '\0';
    assert_refused(length, "ERROR");
    length = text_frame(MESSAGE_RAM_BLOCKS, 20, 9);
    frame[length - 1] = '\0';
    assert_refused(length, "RAM_BLOCKS");
}

static void an_error_has_no_control_characters(void **state)
{
    uint32_t length = text_frame(MESSAGE_ERROR, 8, 8);

    (void)state;
    memcpy(frame + length - 8, "\033[2J\x7f\n\t\xc3", 8);
    assert_string_equal(decode(length).error.text, "?[2J???\xc3");
}

/* Names stand in errors and on terminals like any text; changing one would make it another's. */
static void a_name_with_control_characters_is_refused(void **state)
{
    uint32_t length = text_frame(MESSAGE_RAM_BLOCKS, 20, 5);

    (void)state;
    frame[length - 2] = '\033';
    assert_refused(length, "RAM_BLOCKS");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_has_an_example_and_a_name),
        cmocka_unit_test(a_hello_is_byte_exact),
        cmocka_unit_test(ram_blocks_are_byte_exact),
        cmocka_unit_test(pieces_and_errors_are_byte_exact),
        cmocka_unit_test(every_type_makes_the_round_trip),
        cmocka_unit_test(the_longest_frames_fit),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(bytes_behind_the_end_are_refused),
        cmocka_unit_test(other_magics_and_types_are_refused),
        cmocka_unit_test(hello_is_bounded),
        cmocka_unit_test(ram_blocks_are_bounded),
        cmocka_unit_test(more_entries_than_fit_are_refused),
        cmocka_unit_test(pieces_are_bounded),
        cmocka_unit_test(digests_are_bounded),
        cmocka_unit_test(errors_are_bounded),
        cmocka_unit_test(texts_are_bounded),
        cmocka_unit_test(texts_that_do_not_fit_are_refused),
        cmocka_unit_test(texts_with_a_nul_are_refused),
        cmocka_unit_test(an_error_has_no_control_characters),
        cmocka_unit_test(a_name_with_control_characters_is_refused),
    };

    return cmocka_run_group_tests_name("core/message", tests, NULL, NULL);
}
