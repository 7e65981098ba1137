/* SPDX-License-Identifier: MIT */
#include "test.h"
#include "transport/socket/greeting.h"

static const struct transport_greeting greeting = {.bytes = "a greeting of 25 bytes...",
                                                   .length = 25};

static void it_is_padded_to_64_bytes(void **state)
{
    uint8_t bytes[SOCKET_GREETING_BYTES];
    uint8_t expected[SOCKET_GREETING_BYTES] = "a greeting of 25 bytes...";

    (void)state;
    memset(bytes, 0xff, sizeof(bytes));
    socket_greeting_encode(&greeting, false, bytes);
    assert_memory_equal(bytes, expected, sizeof(bytes));
    memset(bytes, 0xff, sizeof(bytes));
    socket_greeting_encode(&greeting, true, bytes);
    expected[63] = 1;
    assert_memory_equal(bytes, expected, sizeof(bytes));
}

static void it_comes_back_with_its_padding(void **state)
{
    uint8_t bytes[SOCKET_GREETING_BYTES];
    struct transport_greeting out;

    (void)state;
    for (int refusal = 0; refusal < 2; refusal++) {
        bool refused = refusal == 0;

        socket_greeting_encode(&greeting, refusal == 1, bytes);
        memset(&out, 0xff, sizeof(out));
        assert_true(socket_greeting_decode(bytes, &out, &refused));
        assert_int_equal(out.length, TRANSPORT_GREETING_MAX);
        assert_memory_equal(out.bytes, bytes, TRANSPORT_GREETING_MAX);
        assert_int_equal(refused, refusal == 1);
    }
}

static void what_is_none(void **state)
{
    struct transport_greeting out;
    bool refused;

    (void)state;
    for (size_t at = TRANSPORT_GREETING_MAX; at < SOCKET_GREETING_BYTES; at++) {
        uint8_t bytes[SOCKET_GREETING_BYTES];

        socket_greeting_encode(&greeting, false, bytes);
        bytes[at] = at == SOCKET_GREETING_BYTES - 1 ? 2 : 1;
        out.length = 7;
        assert_false(socket_greeting_decode(bytes, &out, &refused));
        assert_int_equal(out.length, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_padded_to_64_bytes),
        cmocka_unit_test(it_comes_back_with_its_padding),
        cmocka_unit_test(what_is_none),
    };

    return cmocka_run_group_tests_name("transport/socket/greeting", tests, NULL, NULL);
}
