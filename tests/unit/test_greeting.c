/* SPDX-License-Identifier: MIT */
#include "core/greeting.h"
#include "test.h"

static const struct transport_greeting example = {
    .bytes = {'M',  'F',  'R',  'D',                          /* magic */
              0x00, 0x01,                                     /* version */
              0x02, 0xc8,                                     /* kind, channel */
              0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, /* UUID */
              0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f, /* */
              0x01},                                          /* reason */
    .length = 28};

static struct greeting example_fields(void)
{
    struct greeting greeting = {.kind = GREETING_CHANNEL, .channel = 200, .reason = GREETING_BUSY};

    for (uint8_t i = 0; i < GREETING_UUID_BYTES; i++) {
        greeting.uuid[i] = (uint8_t)(0x10 + i);
    }
    return greeting;
}

static void assert_refused(const struct transport_greeting *in, enum multifd_error_code code,
                           const char *part)
{
    struct multifd_error err = ERROR_UNTOUCHED;
    struct greeting greeting;

    assert_int_equal(greeting_decode(in, &greeting, &err), -1);
    assert_error(&err, code, part);
    assert_int_equal(greeting_explain(in, &err), -1);
    assert_error(&err, code, part);
}

static void encode_is_byte_exact(void **state)
{
    const struct greeting greeting = example_fields();
    struct transport_greeting out;

    (void)state;
    memset(&out, 0xee, sizeof(out));
    greeting_encode(&greeting, &out);
    assert_int_equal(out.length, 28);
    assert_memory_equal(out.bytes, example.bytes, sizeof(example.bytes));
}

static void decode_reads_every_field(void **state)
{
    const struct greeting expected = example_fields();
    struct multifd_error err = ERROR_UNTOUCHED;
    struct greeting greeting;

    (void)state;
    memset(&greeting, 0xee, sizeof(greeting));
    assert_int_equal(greeting_decode(&example, &greeting, &err), 0);
    assert_untouched(&err);
    assert_int_equal(greeting.version, 1);
    assert_int_equal(greeting.kind, GREETING_CHANNEL);
    assert_int_equal(greeting.channel, 200);
    assert_memory_equal(greeting.uuid, expected.uuid, GREETING_UUID_BYTES);
    assert_int_equal(greeting.reason, GREETING_BUSY);
}

static void others_are_not_multifd(void **state)
{
    struct transport_greeting in;

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        in = example;
        in.bytes[i] ^= 1;
        assert_refused(&in, MULTIFD_ERROR_CONNECT, "not multifd");
    }
    in = example;
    for (in.length = 0; in.length < 6; in.length++) {
        assert_refused(&in, MULTIFD_ERROR_CONNECT, "not multifd");
    }
}

/* Another version's greeting may look different behind the version. */
static void another_version_is_named(void **state)
{
    struct transport_greeting in = example;

    (void)state;
    in.bytes[5] = 2;
    assert_refused(&in, MULTIFD_ERROR_VERSION, "version 2");
    in.length = 6;
    assert_refused(&in, MULTIFD_ERROR_VERSION, "version 2");
    in.length = 32;
    in.bytes[27] = 1;
    in.bytes[4] = 1;
    assert_refused(&in, MULTIFD_ERROR_VERSION, "version 258");
}

static void other_lengths_are_malformed(void **state)
{
    struct transport_greeting in = example;

    (void)state;
    for (in.length = 6; in.length < 28; in.length++) {
        assert_refused(&in, MULTIFD_ERROR_PROTOCOL, "malformed");
    }
    for (in.length = 29; in.length <= TRANSPORT_GREETING_MAX; in.length++) {
        in.bytes[in.length - 1] = 1;
        assert_refused(&in, MULTIFD_ERROR_PROTOCOL, "malformed");
        in.bytes[in.length - 1] = 0;
    }
}

static void unknown_values_are_malformed(void **state)
{
    static const struct {
        size_t at;
        uint8_t value;
    } cases[] = {{6, 0}, {6, 3}, {6, 255}, {24, 5}, {24, 255}, {25, 1}, {26, 1}, {27, 1}};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct transport_greeting in = example;

        in.bytes[cases[i].at] = cases[i].value;
        assert_refused(&in, MULTIFD_ERROR_PROTOCOL, "malformed");
    }
}

static void every_reason_is_explained(void **state)
{
    char texts[GREETING_FAILED + 1][MULTIFD_ERROR_TEXT];

    (void)state;
    for (unsigned reason = GREETING_WELCOME; reason <= GREETING_FAILED; reason++) {
        struct multifd_error err = ERROR_UNTOUCHED;
        struct transport_greeting in = example;

        in.bytes[24] = (uint8_t)reason;
        assert_int_equal(greeting_explain(&in, &err), -1);
        assert_error(&err, MULTIFD_ERROR_REFUSED, "refused");
        strcpy(texts[reason], err.message);
        for (unsigned other = 0; other < reason; other++) {
            assert_string_not_equal(texts[reason], texts[other]);
        }
    }
    assert_non_null(strstr(texts[GREETING_BUSY], "busy"));
    assert_non_null(strstr(texts[GREETING_VERSION_DIFFERS], "version"));
}

/* ---- QEMU's MultiFDInit_t, of which 25 bytes are not 0 ---- */

static struct transport_greeting init(void)
{
    struct greeting greeting = {
        .kind = GREETING_CHANNEL, .channel = 254, .uuid = "0123456789abcde"};
    struct transport_greeting made;

    memset(&made, 0xee, sizeof(made));
    greeting_encode_init(&greeting, &made);
    return made;
}

static void init_is_byte_exact(void **state)
{
    static const uint8_t expected[] = "\x11\x22\x33\x44\0\0\0\x01"
                                      "0123456789abcde\0\xfe\0\0\0\0\0\0";
    const struct transport_greeting made = init();

    (void)state;
    assert_int_equal(made.length, 25);
    assert_memory_equal(made.bytes, expected, TRANSPORT_GREETING_MAX);
}

static void init_is_a_channel_s_greeting(void **state)
{
    struct transport_greeting in = init();
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    for (; in.length <= TRANSPORT_GREETING_MAX; in.length++) {
        struct greeting greeting;

        memset(&greeting, 0xee, sizeof(greeting));
        assert_int_equal(greeting_decode(&in, &greeting, &err), 0);
        assert_int_equal(greeting.version, GREETING_VERSION);
        assert_int_equal(greeting.kind, GREETING_CHANNEL);
        assert_int_equal(greeting.channel, 254);
        assert_int_equal(greeting.reason, GREETING_WELCOME);
        assert_string_equal((const char *)greeting.uuid, "0123456789abcde");
        assert_int_equal(greeting_check_answer(&in, &in, &err), 0);
    }
    assert_untouched(&err);
}

static void malformed_inits(void **state)
{
    struct transport_greeting in = init();

    (void)state;
    for (in.length = 8; in.length < 25; in.length++) {
        assert_refused(&in, MULTIFD_ERROR_PROTOCOL, "malformed");
    }
    for (in.length = 0; in.length < 8; in.length++) {
        assert_refused(&in, MULTIFD_ERROR_CONNECT, "not multifd");
    }
    for (in.length = 26; in.length <= TRANSPORT_GREETING_MAX; in.length++) {
        in.bytes[in.length - 1] = 1;
        assert_refused(&in, MULTIFD_ERROR_PROTOCOL, "malformed");
        in.bytes[in.length - 1] = 0;
    }
    in = init();
    in.bytes[4] = 1;
    assert_refused(&in, MULTIFD_ERROR_VERSION, "version 16777217 of multifd");
    in.bytes[3] ^= 1;
    assert_refused(&in, MULTIFD_ERROR_CONNECT, "not multifd");
}

static void an_answer_gives_back_what_was_offered(void **state)
{
    const struct transport_greeting offer = init();
    struct transport_greeting answer = offer;
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    assert_int_equal(greeting_check_answer(&answer, &offer, &err), 0);
    answer.bytes[24] = 3;
    assert_int_equal(greeting_check_answer(&answer, &offer, &err), -1);
    assert_error(&err, MULTIFD_ERROR_PROTOCOL, "answers another one");
    answer.length = 5;
    assert_int_equal(greeting_check_answer(&answer, &offer, &err), -1);
    assert_error(&err, MULTIFD_ERROR_CONNECT, "not multifd");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encode_is_byte_exact),
        cmocka_unit_test(decode_reads_every_field),
        cmocka_unit_test(others_are_not_multifd),
        cmocka_unit_test(another_version_is_named),
        cmocka_unit_test(other_lengths_are_malformed),
        cmocka_unit_test(unknown_values_are_malformed),
        cmocka_unit_test(every_reason_is_explained),
        cmocka_unit_test(init_is_byte_exact),
        cmocka_unit_test(init_is_a_channel_s_greeting),
        cmocka_unit_test(malformed_inits),
        cmocka_unit_test(an_answer_gives_back_what_was_offered),
    };

    return cmocka_run_group_tests_name("core/greeting", tests, NULL, NULL);
}
