/* SPDX-License-Identifier: MIT */
/* packet_writer: its life, its headers and its zero pages. */
#include "writer_rig.h"

#include <errno.h>

static void what_a_channel_starts_with(void **state)
{
    (void)state;
    assert_int_equal(rig.writer.params.id, 9);
    assert_int_equal(rig.writer.params.page_size, PAGE);
    assert_int_equal(rig.writer.params.page_count, PAGES);
    assert_int_equal(rig.writer.params.level, -5);
    assert_calls("");
}

static void the_method_comes_before_the_staging(void **state)
{
    struct multifd_error err;

    (void)state;
    assert_int_equal(packet_writer_start(&rig.writer, &err), 0);
    assert_calls("send_setup mmap register_memory ");
    assert_int_equal(rig.writer.params.payload_max, PAGES * PAGE);
    assert_int_equal(fake_memory_registered.length, 4 * PAGES * PAGE);
    assert_int_equal(fake_memory_registered.access, 0);
    mock_log_clear();
    packet_writer_stop(&rig.writer);
    assert_calls("send_cleanup ");
    assert_int_equal(packet_writer_release(&rig.writer, &err), 0);
    assert_calls("send_cleanup deregister_memory munmap ");
}

static void a_session_without_staging(void **state)
{
    struct multifd_error err;

    (void)state;
    rig.config.slots = 0;
    assert_int_equal(packet_writer_start(&rig.writer, &err), 0);
    assert_calls("send_setup ");
    FILL(1);
    rig_compose();
    assert_null(rig.hook.seen.payload);
    assert_int_equal(rig.hook.seen.payload_max, 0);
    rig_stop();
    assert_calls("send_setup send_prepare send_cleanup ");
}

static void assert_start_fails(enum multifd_error_code code, const char *part, const char *calls)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    assert_int_equal(packet_writer_start(&rig.writer, &err), -1);
    assert_error(&err, code, part);
    assert_calls(calls);
    rig_stop();
    assert_null(rig.writer.params.iov);
    assert_int_equal(mock_live(), 0);
}

static void the_method_fails_to_start(void **state)
{
    (void)state;
    mock_fail("send_setup", EIO);
    assert_start_fails(MULTIFD_ERROR_METHOD, "send_setup", "send_setup ");
}

static void the_method_has_no_memory(void **state)
{
    (void)state;
    mock_fail_nth("malloc", 1, ENOMEM);
    assert_start_fails(MULTIFD_ERROR_SYSTEM, "memory", "send_setup ");
}

static void the_staging_cannot_be_mapped(void **state)
{
    (void)state;
    mock_fail("mmap", ENOMEM);
    assert_start_fails(MULTIFD_ERROR_SYSTEM, "mmap", "send_setup mmap ");
}

static void the_staging_cannot_be_registered(void **state)
{
    (void)state;
    mock_fail("register_memory", ENOMEM);
    assert_start_fails(MULTIFD_ERROR_DEVICE, "register_memory",
                       "send_setup mmap register_memory munmap ");
}

static void the_staging_cannot_be_deregistered(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    rig_start();
    packet_writer_stop(&rig.writer);
    mock_fail("deregister_memory", EBUSY);
    assert_int_equal(packet_writer_release(&rig.writer, &err), -1);
    assert_error(&err, MULTIFD_ERROR_DEVICE, "deregister_memory");
    assert_calls("send_cleanup deregister_memory munmap ");
}

static void no_memory(void **state)
{
    (void)state;
    for (unsigned nth = 1; nth <= 2; nth++) {
        struct packet_writer other = {.messages = 0};
        struct multifd_error err = ERROR_UNTOUCHED;

        mock_fail_nth("malloc", nth, ENOMEM);
        assert_int_equal(packet_writer_init(&other, &rig.config, 0, &err), -1);
        assert_error(&err, MULTIFD_ERROR_SYSTEM, "memory");
        mock_succeed("malloc");
        assert_null(other.writes);
        assert_null(other.zero);
        packet_writer_fini(&other);
    }
}

static void fini_of_a_zeroed_one(void **state)
{
    struct packet_writer other = {.messages = 0};
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    other.config = &rig.config;
    assert_int_equal(packet_writer_release(&other, &err), 0);
    packet_writer_fini(&other);
    assert_calls("");
}

/* Each choice of zero pages, among pages in no order. */
static void zero_pages_are_split_off_in_order(void **state)
{
    static const uint32_t pages[PAGES] = {5, 4, 17, 30, 0, 2, 9, 31};

    (void)state;
    for (uint32_t mask = 0; mask < 1u << PAGES; mask++) {
        uint64_t decoded[PAGES];
        struct multifd_packet packet;
        uint32_t normal = 0;
        uint32_t zero = 0;

        rig_fill(pages, PAGES);
        for (uint32_t i = 0; i < PAGES; i++) {
            memset(rig.host + pages[i] * PAGE, (mask >> i & 1) != 0 ? 0 : 1, PAGE);
        }
        rig_compose();
        packet = rig_decode(decoded);
        assert_int_equal(packet.zero_pages, __builtin_popcount(mask));
        assert_int_equal(packet.normal_pages, PAGES - packet.zero_pages);
        for (uint32_t i = 0; i < PAGES; i++) {
            uint32_t at = (mask >> i & 1) != 0 ? packet.normal_pages + zero++ : normal++;

            assert_int_equal(decoded[at], pages[i] * PAGE);
        }
    }
    assert_int_equal(mock_calls("send_prepare"), (1u << PAGES) - 1);
}

/* The look ahead may be long before: the packet is what the look has seen. */
static void a_batch_is_looked_at_before_its_turn(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;
    struct page_batch ahead;

    (void)state;
    memset(rig.host + 3 * PAGE, 0, PAGE);
    FILL(2, 3, 4);
    ahead = rig.batch;
    packet_writer_look(&rig.writer, &ahead);
    assert_int_equal(ahead.zero_num, 1);
    assert_calls("");
    rig.host[3 * PAGE] = 1;
    assert_int_equal(packet_writer_compose(&rig.writer, &ahead, rig.bytes, &err), 0);
    assert_int_equal(rig.writer.params.normal_num, 2);
    assert_int_equal(rig.writer.params.normal[1], 4 * PAGE);
    assert_int_equal(rig.writer.params.zero_num, 1);
    assert_int_equal(rig.writer.params.zero[0], 3 * PAGE);
}

static void one_byte_makes_a_page_normal(void **state)
{
    (void)state;
    memset(rig.host, 0, 2 * PAGE);
    rig.host[PAGE - 1] = 1;
    FILL(1, 0);
    rig_compose();
    assert_int_equal(rig.writer.params.normal_num, 1);
    assert_int_equal(rig.writer.params.normal[0], 0);
    assert_int_equal(rig.writer.params.zero_num, 1);
    assert_int_equal(rig.writer.params.zero[0], PAGE);
}

static void zero_pages_alone_are_not_the_method_s(void **state)
{
    uint64_t decoded[PAGES];
    struct multifd_packet packet;

    (void)state;
    rig.hook.length = 100;
    FILL(6);
    rig_compose(); /* one that leaves its marks */
    mock_log_clear();
    memset(rig.host, 0, (size_t)BLOCK * PAGE);
    FILL(3, 2, 4, 5);
    rig_compose();
    assert_calls("");
    packet = rig_decode(decoded);
    assert_int_equal(packet.packet_num, 6);
    assert_int_equal(packet.flags, 0);
    assert_int_equal(packet.next_packet_size, 0);
    assert_int_equal(packet.normal_pages, 0);
    assert_int_equal(packet.zero_pages, 4);
    assert_int_equal(packet.zero_runs, 3);
    assert_int_equal(decoded[0], 3 * PAGE);
    assert_int_equal(decoded[2], 4 * PAGE + 1);
    assert_int_equal(rig.writer.zero_pages, 4);
    assert_string_equal(packet.ramblock, "pc.ram");
    assert_int_equal(rig.writer.writes_num, 0);
    assert_false(rig.writer.staged);
    assert_int_equal(rig.writer.messages, 2);
}

/* The memory is not zero: who looked at it would know. */
static void pages_known_to_be_zero_are_not_looked_at(void **state)
{
    uint64_t decoded[PAGES];

    (void)state;
    FILL(3, 2, 8);
    rig.batch.known_zero = true;
    rig.batch.runs_pages = 3;
    rig_compose();
    assert_calls("");
    assert_int_equal(rig.writer.params.normal_num, 0);
    assert_int_equal(rig.writer.params.zero_num, 3);
    assert_int_equal(rig.writer.params.zero[1], 2 * PAGE);
    assert_int_equal(rig_decode(decoded).zero_runs, 3);
    rig.config.detect_zero_pages = false;
    rig.batch.runs_pages = 0;
    rig_compose();
    assert_int_equal(rig.writer.params.normal_num, 3);
    assert_int_equal(rig.writer.params.zero_num, 0);
}

static void zero_pages_are_normal_unless_looked_for(void **state)
{
    (void)state;
    rig.config.detect_zero_pages = false;
    memset(rig.host, 0, (size_t)BLOCK * PAGE);
    FILL(3, 2, 8);
    rig_compose();
    assert_calls("send_prepare ");
    assert_int_equal(rig.hook.seen.normal_num, 3);
    assert_int_equal(rig.hook.seen.zero_num, 0);
    assert_int_equal(rig.writer.writes_num, 3);
}

static void the_method_finds_a_fresh_packet(void **state)
{
    (void)state;
    memset(rig.host + 2 * PAGE, 0, PAGE);
    for (int round = 0; round < 2; round++) {
        rig.hook.length = round == 0 ? 10 : 0;
        FILL(1, 2, 3);
        rig_compose();
        assert_string_equal(rig.hook.seen.ramblock, "pc.ram");
        assert_ptr_equal(rig.hook.seen.host, rig.host);
        assert_int_equal(rig.hook.seen.normal_num, 2);
        assert_int_equal(rig.hook.seen.normal[1], 3 * PAGE);
        assert_int_equal(rig.hook.seen.zero_num, 1);
        assert_int_equal(rig.hook.seen.zero[0], 2 * PAGE);
        assert_int_equal(rig.hook.seen.packet_num, rig.batch.packet_num);
        assert_int_equal(rig.hook.seen.flags, 0);
        assert_int_equal(rig.hook.seen.next_packet_size, 0);
        assert_int_equal(rig.hook.seen.payload_max, PAGES * PAGE);
        assert_ptr_equal(rig.hook.seen.packet, rig.bytes);
    }
}

static void a_sync_is_a_message_without_pages(void **state)
{
    struct multifd_packet packet;

    (void)state;
    rig.hook.length = 100;
    memset(rig.host + 2 * PAGE, 0, PAGE);
    FILL(1, 2);
    rig_compose(); /* one that leaves its marks */
    mock_log_clear();
    rig_fill_sync(200);
    rig.batch.packet_num = UINT64_C(1) << 40;
    rig_compose();
    assert_calls("");
    packet = rig_decode(NULL);
    assert_int_equal(rig.writer.params.packet_len, packet_bytes(0));
    assert_int_equal(packet.flags, MULTIFD_FLAG_SYNC);
    assert_int_equal(packet.sync_channels, 200);
    assert_int_equal(packet.packet_num, UINT64_C(1) << 40);
    assert_int_equal(packet.next_packet_size, 0);
    assert_string_equal(packet.ramblock, "");
    assert_int_equal(rig.writer.writes_num, 0);
    assert_false(rig.writer.staged);
    assert_int_equal(rig.writer.messages, 2);
}

/* The method knows nothing of it. */
static void a_sync_rides_on_the_last_pages(void **state)
{
    uint64_t decoded[PAGES];
    struct multifd_packet packet;

    (void)state;
    for (int staged = 0; staged <= 1; staged++) {
        rig.hook.length = staged ? 100 : 0;
        FILL(1, 2);
        rig.batch.flags = MULTIFD_FLAG_SYNC;
        rig.batch.sync_channels = 3;
        rig_compose();
        packet = rig_decode(decoded);
        assert_int_equal(rig.hook.seen.flags, 0);
        assert_int_equal(packet.flags, MULTIFD_FLAG_SYNC | (staged ? MULTIFD_FLAG_ZSTD : 0u));
        assert_int_equal(packet.sync_channels, 3);
        assert_int_equal(packet.normal_pages, 2);
        assert_int_equal(packet.next_packet_size, staged ? 100 : 2 * PAGE);
        assert_int_equal(rig.writer.writes_num, 1);
    }
}

static void a_header_without_iov(void **state)
{
    const uint64_t offset = 7 * PAGE;
    uint64_t decoded[PAGES];
    struct multifd_send_params params = {.page_count = PAGES,
                                         .ramblock = "pc.ram",
                                         .normal = &offset,
                                         .normal_num = 1,
                                         .next_packet_size = 5,
                                         .flags = MULTIFD_FLAG_ZLIB,
                                         .packet_num = 8,
                                         .packet = rig.bytes};
    struct multifd_packet packet;

    (void)state;
    multifd_send_fill_packet(&params);
    assert_int_equal(params.packet_len, packet_bytes(1));
    rig.writer.params.packet_len = params.packet_len;
    packet = rig_decode(decoded);
    assert_int_equal(packet.flags, MULTIFD_FLAG_ZLIB);
    assert_int_equal(packet.next_packet_size, 5);
    assert_int_equal(packet.packet_num, 8);
    assert_int_equal(decoded[0], offset);
}

static void the_header_is_the_first_slot(void **state)
{
    (void)state;
    FILL(7, 3);
    rig_compose();
    assert_int_equal(rig.writer.params.packet_len, packet_bytes(2));
    assert_ptr_equal(rig.writer.params.iov[0].iov_base, rig.bytes);
    assert_int_equal(rig.writer.params.iov[0].iov_len, packet_bytes(2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_writer(what_a_channel_starts_with),
        with_writer(the_method_comes_before_the_staging),
        with_writer(a_session_without_staging),
        with_writer(the_method_fails_to_start),
        with_writer(the_method_has_no_memory),
        with_writer(the_staging_cannot_be_mapped),
        with_writer(the_staging_cannot_be_registered),
        with_writer(the_staging_cannot_be_deregistered),
        with_writer(no_memory),
        with_writer(fini_of_a_zeroed_one),
        with_writer(a_header_without_iov),
        with_started(zero_pages_are_split_off_in_order),
        with_started(a_batch_is_looked_at_before_its_turn),
        with_started(one_byte_makes_a_page_normal),
        with_started(zero_pages_alone_are_not_the_method_s),
        with_started(pages_known_to_be_zero_are_not_looked_at),
        with_started(zero_pages_are_normal_unless_looked_for),
        with_started(the_method_finds_a_fresh_packet),
        with_started(a_sync_is_a_message_without_pages),
        with_started(a_sync_rides_on_the_last_pages),
        with_started(the_header_is_the_first_slot),
    };

    return cmocka_run_group_tests_name("core/packet_writer", tests, NULL, NULL);
}
