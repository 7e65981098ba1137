/* SPDX-License-Identifier: MIT */
#include "core/bridge/frame.h"

#include "core/base/bytes.h"
#include "test.h"

static uint8_t frame[BRIDGE_FRAME_MAX];
static const uint8_t header[1344] = {1, 2, 3};

static void assert_refused(uint32_t length)
{
    struct multifd_error err = ERROR_UNTOUCHED;
    struct bridge_frame found;

    assert_int_equal(bridge_frame_decode(frame, length, &found, &err), -1);
    assert_error(&err, MULTIFD_ERROR_PROTOCOL, "malformed");
}

static uint32_t compose(const struct bridge_packet *packet)
{
    static const uint64_t zeros[] = {4096, UINT64_C(1) << 40};
    struct bridge_packet whole = *packet;

    whole.header = header;
    memset(frame, 0xee, sizeof(frame));
    return bridge_frame_packet(&whole, zeros, frame);
}

static void bytes_come_back(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;
    struct bridge_frame found;

    (void)state;
    bridge_frame_begin(BRIDGE_FRAME_BYTES, BRIDGE_FRAME_START + 5, frame);
    assert_int_equal(bridge_frame_decode(frame, BRIDGE_FRAME_START + 5, &found, &err), 0);
    assert_int_equal(found.kind, BRIDGE_FRAME_BYTES);
    assert_int_equal(found.length, 5);
    assert_ptr_equal(found.bytes, frame + BRIDGE_FRAME_START);
    bridge_frame_begin(BRIDGE_FRAME_BYTES, BRIDGE_FRAME_START, frame);
    assert_refused(BRIDGE_FRAME_START);
}

static void packets_come_back(void **state)
{
    static const struct bridge_packet packets[] = {
        {.flags = BRIDGE_PACKET_BUFFERED, .block = 3, .pages = 7, .header_bytes = 1344, .zeros = 2},
        {.block = BRIDGE_NO_BLOCK, .payload = 100, .header_bytes = 1344},
        {.block = BRIDGE_NO_BLOCK, .payload = 100}, /* goes on */
        {.block = BRIDGE_NO_BLOCK, .header_bytes = 1344},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(packets); i++) {
        struct multifd_error err = ERROR_UNTOUCHED;
        const struct bridge_packet *sent = &packets[i];
        struct bridge_frame found;
        uint32_t length = compose(sent);

        assert_int_equal(bridge_frame_decode(frame, length, &found, &err), 0);
        assert_int_equal(found.kind, BRIDGE_FRAME_PACKET);
        assert_int_equal(found.packet.flags, sent->flags);
        assert_int_equal(found.packet.block, sent->block);
        assert_int_equal(found.packet.pages, sent->pages);
        assert_int_equal(found.packet.payload, sent->payload);
        assert_int_equal(found.packet.header_bytes, sent->header_bytes);
        assert_int_equal(found.packet.zeros, sent->zeros);
        assert_memory_equal(found.packet.header, header, sent->header_bytes);
        if (sent->zeros == 2) {
            assert_int_equal(get_be64(found.packet.zero_offsets + 8), UINT64_C(1) << 40);
        }
        assert_refused(length - 1);
        assert_refused(length + 1);
    }
}

static void wrong_packets_are_refused(void **state)
{
    static const struct bridge_packet packets[] = {
        {.block = BRIDGE_NO_BLOCK},                                   /* nothing at all */
        {.block = BRIDGE_NO_BLOCK, .pages = 1, .header_bytes = 1344}, /* pages of nothing */
        {.block = BRIDGE_NO_BLOCK, .zeros = 1, .header_bytes = 1344},
        {.block = 1, .header_bytes = 1344}, /* a block for nothing */
        {.block = 1, .pages = 1, .header_bytes = 1344, .payload = 1},
        {.block = 1, .pages = 1},
        {.block = 1, .pages = BRIDGE_PAGES_MAX + 1, .header_bytes = 1344},
        {.flags = 2, .block = 1, .pages = 1, .header_bytes = 1344},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(packets); i++) {
        assert_refused(compose(&packets[i]));
    }
}

static void wrong_starts_are_refused(void **state)
{
    const struct bridge_packet packet = {.block = BRIDGE_NO_BLOCK, .header_bytes = 1344};
    uint32_t length = compose(&packet);

    (void)state;
    for (uint32_t at = 0; at < BRIDGE_FRAME_START; at += 4) {
        (void)compose(&packet);
        put_be32(frame + at, 9);
        assert_refused(length);
    }
    (void)compose(&packet);
    put_be32(frame + 4, 0);
    assert_refused(length);
    for (uint32_t cut = 0; cut < BRIDGE_PACKET_START; cut++) {
        (void)compose(&packet);
        put_be32(frame + 8, cut);
        assert_refused(cut);
    }
    (void)compose(&packet); /* counts whose sum would wrap */
    put_be32(frame + 28, UINT32_MAX);
    assert_refused(length);
    (void)compose(&packet);
    put_be32(frame + 32, 0x20000000);
    assert_refused(length);
}

static void greetings_come_back(void **state)
{
    const struct bridge_greeting sent = {
        .kind = BRIDGE_GREETING_CHANNEL, .channel = 254, .session = "abcdef", .uuid = "0123456789"};
    struct multifd_error err = ERROR_UNTOUCHED;
    struct transport_greeting wire;
    struct bridge_greeting found;

    (void)state;
    bridge_greeting_encode(&sent, &wire);
    assert_int_equal(bridge_greeting_decode(&wire, &found, &err), 0);
    assert_untouched(&err);
    assert_int_equal(found.kind, sent.kind);
    assert_int_equal(found.channel, sent.channel);
    assert_memory_equal(found.session, sent.session, BRIDGE_SESSION_BYTES);
    assert_memory_equal(found.uuid, sent.uuid, BRIDGE_UUID_BYTES);
    wire.bytes[7] = 255;
    assert_int_equal(bridge_greeting_decode(&wire, &found, &err), -1);
    assert_error(&err, MULTIFD_ERROR_PROTOCOL, "malformed");
    wire.bytes[5] = 2;
    assert_int_equal(bridge_greeting_decode(&wire, &found, &err), -1);
    assert_error(&err, MULTIFD_ERROR_VERSION, "version 2");
    wire.bytes[0] = 0;
    assert_int_equal(bridge_greeting_decode(&wire, &found, &err), -1);
    assert_error(&err, MULTIFD_ERROR_CONNECT, "not a bridge");
}

static void a_refusal_says_why(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;
    struct transport_greeting wire;

    (void)state;
    bridge_greeting_refuse(true, &wire);
    assert_int_equal(bridge_greeting_explain(&wire, &err), -1);
    assert_error(&err, MULTIFD_ERROR_REFUSED, "busy");
    bridge_greeting_refuse(false, &wire);
    assert_int_equal(bridge_greeting_explain(&wire, &err), -1);
    assert_error(&err, MULTIFD_ERROR_REFUSED, "does not expect");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_come_back),           cmocka_unit_test(packets_come_back),
        cmocka_unit_test(wrong_packets_are_refused), cmocka_unit_test(wrong_starts_are_refused),
        cmocka_unit_test(greetings_come_back),       cmocka_unit_test(a_refusal_says_why),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
