/* SPDX-License-Identifier: MIT */
#include "test.h"
#include "transport/verbs/private_data.h"

static const uint8_t example[48] = {
    28,   0,                                        /* bytes of the greeting */
    0x01, 0x02,                                     /* receive slots */
    0xa1, 0xb2, 0xc3, 0xd4,                         /* key */
    0xf1, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, /* address */
    'g',  'r',  'e',  'e',  't',
};

static const struct verbs_sender_peer self = {.receive_slots = 0x0102,
                                              .keepalive_key = 0xa1b2c3d4,
                                              .keepalive_address = UINT64_C(0xf102030405060708)};

static void it_fits_what_rdma_cm_carries(void **state)
{
    (void)state;
    assert_int_equal(VERBS_PRIVATE_DATA_BYTES, 48);
}

static void encode_is_byte_exact(void **state)
{
    const struct transport_greeting greeting = {.bytes = "greet", .length = 28};
    uint8_t data[50];

    (void)state;
    memset(data, 0xaa, sizeof(data));
    verbs_private_data_encode(&greeting, &self, data);
    assert_memory_equal(data, example, 48);
    assert_int_equal(data[48], 0xaa);
}

static void encode_sends_nothing_behind_the_greeting(void **state)
{
    struct transport_greeting greeting = {.length = 5};
    uint8_t data[48];

    (void)state;
    memset(greeting.bytes, 'x', sizeof(greeting.bytes));
    verbs_private_data_encode(&greeting, &self, data);
    assert_int_equal(data[16 + 4], 'x');
    for (size_t i = 16 + 5; i < sizeof(data); i++) {
        assert_int_equal(data[i], 0);
    }
}

static void assert_nothing(const uint8_t *data, size_t length)
{
    struct transport_greeting greeting;
    struct verbs_sender_peer peer;

    memset(&greeting, 0xee, sizeof(greeting));
    memset(&peer, 0xee, sizeof(peer));
    verbs_private_data_decode(data, length, &greeting, &peer);
    assert_int_equal(greeting.length, 0);
    assert_int_equal(peer.receive_slots, 0);
    assert_int_equal(peer.keepalive_key, 0);
    assert_int_equal(peer.keepalive_address, 0);
}

static void assert_example(const uint8_t *data, size_t length)
{
    struct transport_greeting greeting;
    struct verbs_sender_peer peer;

    memset(&greeting, 0xee, sizeof(greeting));
    verbs_private_data_decode(data, length, &greeting, &peer);
    assert_int_equal(greeting.length, 28);
    assert_memory_equal(greeting.bytes, example + 16, 28);
    assert_int_equal(peer.receive_slots, 0x0102);
    assert_int_equal(peer.keepalive_key, 0xa1b2c3d4);
    assert_int_equal(peer.keepalive_address, UINT64_C(0xf102030405060708));
}

static void decode_reads_every_field(void **state)
{
    (void)state;
    assert_example(example, sizeof(example));
}

static void decode_accepts_padding(void **state)
{
    uint8_t padded[196] = {0};

    (void)state;
    memcpy(padded, example, sizeof(example));
    assert_example(padded, 56);
    assert_example(padded, 196);
}

static void decode_of_something_shorter_finds_nothing(void **state)
{
    (void)state;
    for (size_t length = 0; length < sizeof(example); length++) {
        assert_nothing(example, length);
    }
    assert_nothing(NULL, 0);
}

static void decode_of_a_greeting_too_long_finds_nothing(void **state)
{
    uint8_t data[48];

    (void)state;
    memcpy(data, example, sizeof(example));
    data[0] = 33;
    assert_nothing(data, sizeof(data));
    data[0] = 255;
    assert_nothing(data, sizeof(data));
}

static void the_longest_greeting_makes_the_round_trip(void **state)
{
    struct transport_greeting greeting = {.length = 32};
    struct transport_greeting out;
    struct verbs_sender_peer peer;
    uint8_t data[48];

    (void)state;
    for (uint8_t i = 0; i < 32; i++) {
        greeting.bytes[i] = (uint8_t)(0xf0 - i);
    }
    verbs_private_data_encode(&greeting, &self, data);
    verbs_private_data_decode(data, sizeof(data), &out, &peer);
    assert_int_equal(out.length, 32);
    assert_memory_equal(out.bytes, greeting.bytes, 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_fits_what_rdma_cm_carries),
        cmocka_unit_test(encode_is_byte_exact),
        cmocka_unit_test(encode_sends_nothing_behind_the_greeting),
        cmocka_unit_test(decode_reads_every_field),
        cmocka_unit_test(decode_accepts_padding),
        cmocka_unit_test(decode_of_something_shorter_finds_nothing),
        cmocka_unit_test(decode_of_a_greeting_too_long_finds_nothing),
        cmocka_unit_test(the_longest_greeting_makes_the_round_trip),
    };

    return cmocka_run_group_tests_name("transport/verbs/private_data", tests, NULL, NULL);
}
