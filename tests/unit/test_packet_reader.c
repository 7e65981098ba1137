/* SPDX-License-Identifier: MIT */
/* packet_reader: its life, and the packets that it refuses. */
#include "reader_rig.h"

#include <errno.h>

static void the_peer_writes_to_the_staging(void **state)
{
    (void)state;
    assert_calls("mmap register_memory ");
    assert_int_equal(fake_memory_registered.access, TRANSPORT_REMOTE_WRITE);
    assert_int_equal(fake_memory_registered.length, SLOTS * PAGES * PAGE);
    assert_int_equal(rig.reader.params.id, 9);
    assert_int_equal(rig.reader.params.page_size, PAGE);
    assert_int_equal(rig.reader.params.page_count, PAGES);
}

static void no_staging_where_none_is_needed(void **state)
{
    (void)state;
    assert_calls("");
    assert_null(rig.reader.payload);
    assert_null(rig.reader.staging.memory);
}

static void assert_init_fails(enum multifd_error_code code, const char *part)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    assert_int_equal(packet_reader_init(&rig.reader, &rig.config, 9, &err), -1);
    assert_error(&err, code, part);
    assert_null(rig.reader.offsets);
    assert_null(rig.reader.seen);
    assert_null(rig.reader.payload);
    assert_null(rig.reader.staging.memory);
    assert_int_equal(mock_live(), 0);
    assert_int_equal(packet_reader_release(&rig.reader, &err), 0);
    packet_reader_fini(&rig.reader);
}

static void each_part_of_it_can_fail(void **state)
{
    static const char *const calls[] = {"mmap", "register_memory"};

    for (unsigned nth = 1; nth <= 4; nth++) { /* offsets, the set and its entries, the payload */
        mock_fail_nth("malloc", nth, ENOMEM);
        assert_init_fails(MULTIFD_ERROR_SYSTEM, "memory");
        mock_succeed("malloc");
        assert_int_equal(rig_clear(state), 0);
        assert_int_equal(rig_prepare(state), 0);
    }
    for (size_t i = 0; i < COUNT_OF(calls); i++) {
        mock_fail(calls[i], ENOMEM);
        assert_init_fails(i == 0 ? MULTIFD_ERROR_SYSTEM : MULTIFD_ERROR_DEVICE, calls[i]);
        mock_succeed(calls[i]);
    }
}

static void fini_of_a_zeroed_one(void **state)
{
    (void)state;
    packet_reader_fini(&rig.reader);
    assert_calls("");
}

static void releasing_reports_a_failure(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    mock_fail("deregister_memory", EBUSY);
    assert_int_equal(packet_reader_release(&rig.reader, &err), -1);
    assert_error(&err, MULTIFD_ERROR_DEVICE, "deregister_memory");
    assert_calls("mmap register_memory deregister_memory munmap ");
}

static void the_method_is_set_up_and_ended(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    mock_log_clear();
    assert_int_equal(packet_reader_start(&rig.reader, &err), 0);
    assert_non_null(rig.reader.params.compress_data);
    packet_reader_stop(&rig.reader);
    assert_calls("recv_setup recv_cleanup ");
    assert_untouched(&err);
}

static void the_method_fails_to_start(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    mock_fail("recv_setup", EIO);
    assert_int_equal(packet_reader_start(&rig.reader, &err), -1);
    assert_error(&err, MULTIFD_ERROR_METHOD, "recv_setup");
    packet_reader_stop(&rig.reader);
}

static void a_method_without_setup(void **state)
{
    const struct multifd_methods simple = {.recv = rig_method.recv};
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    mock_log_clear();
    rig.config.method = &simple;
    assert_int_equal(packet_reader_start(&rig.reader, &err), 0);
    packet_reader_stop(&rig.reader);
    assert_calls("");
    assert_untouched(&err);
}

static void malformed_messages(void **state)
{
    static const uint8_t bytes[PACKET_FIXED];
    const struct transport_message message = {bytes, sizeof(bytes)};
    struct sent sent = STAGED(10);
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    assert_int_equal(packet_reader_begin(&rig.reader, &message, &err), -1);
    assert_error(&err, MULTIFD_ERROR_PROTOCOL, "magic");
    sent.flags |= MULTIFD_FLAG_SYNC;
    rig_refuses(&sent, "SYNC, and sync_channels 0");
}

static void a_sync_comes_with_the_last_pages(void **state)
{
    struct sent sent = STAGED(10);

    (void)state;
    sent.flags |= MULTIFD_FLAG_SYNC;
    sent.sync_channels = 7;
    rig_take(&sent);
    assert_int_equal(rig.reader.packet.flags, MULTIFD_FLAG_SYNC | MULTIFD_FLAG_ZSTD);
    assert_int_equal(rig.reader.packet.sync_channels, 7);
    assert_int_equal(rig.reader.params.flags, MULTIFD_FLAG_ZSTD);
    assert_int_equal(mock_calls("recv"), 1);
}

static void packet_numbers_grow(void **state)
{
    struct sent sent = STAGED(10);

    (void)state;
    rig_take(&sent); /* 0 */
    assert_int_equal(rig.reader.next_num, 1);
    sent.packet_num = 50;
    rig_take(&sent);
    rig_refuses(&sent, "packet_num 50 after 50");
    sent.packet_num = 49;
    rig_refuses(&sent, "packet_num 49 after 50");
    sent.packet_num = UINT64_MAX;
    rig_refuses(&sent, "packet_num");
    sent.packet_num = 51;
    rig_take(&sent);
    sent.packet_num = UINT64_MAX - 1;
    rig_take(&sent);
    rig_refuses(&sent, "packet_num");
    sent.packet_num = UINT64_MAX;
    rig_refuses(&sent, "packet_num");
    sent = (struct sent){.flags = MULTIFD_FLAG_SYNC, .sync_channels = 1, .packet_num = 3};
    rig_refuses(&sent, "packet_num 3"); /* SYNCs count too */
}

static void a_page_comes_once(void **state)
{
    static const uint32_t pages[][4] = {
        {6, 6, 1, 2}, {6, 1, 2, 6}, {1, 2, 6, 6}, {1, 6, 6, 2}, {6, 1, 6, 2}};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(pages); i++) {
        for (uint32_t normal = 0; normal <= 4; normal++) {
            struct sent sent = STAGED(normal == 0 ? 0 : 10);

            sent.flags = normal == 0 ? 0 : MULTIFD_FLAG_ZSTD;
            sent.normal_num = normal;
            sent.zero_num = 4 - normal;
            for (uint32_t at = 0; at < 4; at++) {
                sent.offsets[at] = pages[i][at] * PAGE;
            }
            rig_refuses(&sent, "a page of \"pc.ram\" twice");
        }
    }
}

static void offsets_are_pages_of_the_block(void **state)
{
    static const uint64_t wrong[] = {1,
                                     PAGE / 2,
                                     5 * PAGE + 1,
                                     RAM * PAGE,
                                     RAM * PAGE - 1,
                                     UINT64_C(1) << 63,
                                     UINT64_MAX - PAGE + 1,
                                     UINT64_MAX};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        for (uint32_t at = 0; at < 4; at++) { /* of two normal and two zero pages */
            struct sent sent = STAGED(10);

            sent.zero_num = 2;
            sent.offsets[2] = 8 * PAGE;
            sent.offsets[3] = (RAM - 1) * PAGE; /* the last that there is */
            sent.offsets[at] = wrong[i];
            rig_refuses(&sent, "is no page of \"pc.ram\"");
        }
    }
}

static void runs_are_pages_of_the_block(void **state)
{
    static const struct sent wrong[] = {
        {.zero_num = 1, .offsets = {(RAM - 3) * PAGE + 3}, .run_pages = 4},
        {.zero_num = 1, .offsets = {PAGE - 1}, .run_pages = PAGE},
        {.zero_num = 2, .offsets = {0, RAM * PAGE}},
        {.zero_num = 1, .offsets = {UINT64_MAX}, .run_pages = PAGE},
        {.zero_num = 1, .offsets = {UINT64_C(1) << 63}},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        struct sent sent = wrong[i];

        sent.block = "pc.ram";
        rig_refuses(&sent, "is no page of \"pc.ram\"");
    }
}

static void runs_do_not_meet(void **state)
{
    static const struct sent wrong[] = {
        {.zero_num = 2, .offsets = {4 * PAGE + 3, 7 * PAGE}, .run_pages = 5},
        {.zero_num = 2, .offsets = {7 * PAGE, 4 * PAGE + 3}, .run_pages = 5},
        {.zero_num = 3, .offsets = {9 * PAGE + 1, 0, 9 * PAGE + 1}, .run_pages = 5},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        struct sent sent = wrong[i];

        sent.block = "pc.ram";
        rig_refuses(&sent, "a page of \"pc.ram\" twice");
    }
}

static void runs_have_as_many_pages_as_is_said(void **state)
{
    static const struct sent wrong[] = {
        {.zero_num = 1, .offsets = {3}, .run_pages = 3},
        {.zero_num = 1, .offsets = {3}, .run_pages = 5},
        {.zero_num = 2, .offsets = {PAGE - 1, PAGE * PAGE}, .run_pages = PAGE + 1},
        {.zero_num = 2, .offsets = {1, 4 * PAGE + 1}, .run_pages = UINT32_MAX},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        struct sent sent = wrong[i];

        sent.block = "pc.ram";
        rig_refuses(&sent, "zero pages, or too many");
    }
}

static void a_block_s_own_length_counts(void **state)
{
    struct sent sent = STAGED(10);

    (void)state;
    rig_take(&sent); /* pc.ram, where such an offset is all right */
    sent.block = "vga";
    rig_refuses(&sent, "offset 28672 is no page of \"vga\"");
    sent.offsets[0] = (VGA - 1) * PAGE;
    rig_take(&sent);
    assert_ptr_equal(rig.hook.seen.host, rig.vga);
}

static void unknown_blocks(void **state)
{
    static const char *const names[] = {"pc.ra", "pc.ram0", "PC.RAM", ""};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        struct sent sent = STAGED(10);

        sent.block = names[i];
        rig_refuses(&sent, "unknown ramblock");
        sent.block = "pc.ram";
        rig_take(&sent); /* the one before is known again */
    }
}

static void a_sync_needs_no_block(void **state)
{
    struct sent sent = STAGED(10);

    (void)state;
    rig_take_sync();
    rig_take(&sent);
    assert_ptr_equal(rig.hook.seen.host, rig.ram);
    rig_take_sync();
    rig_take(&sent);
    assert_int_equal(mock_calls("recv"), 2);
    assert_int_equal(rig.reader.messages, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_reader(the_peer_writes_to_the_staging),
        with_in_place(no_staging_where_none_is_needed),
        with_config(each_part_of_it_can_fail),
        with_config(fini_of_a_zeroed_one),
        with_reader(releasing_reports_a_failure),
        with_reader(the_method_is_set_up_and_ended),
        with_reader(the_method_fails_to_start),
        with_reader(a_method_without_setup),
        with_reader(malformed_messages),
        with_reader(a_sync_comes_with_the_last_pages),
        with_reader(packet_numbers_grow),
        with_reader(a_page_comes_once),
        with_reader(offsets_are_pages_of_the_block),
        with_reader(runs_are_pages_of_the_block),
        with_reader(runs_do_not_meet),
        with_reader(runs_have_as_many_pages_as_is_said),
        with_reader(a_block_s_own_length_counts),
        with_reader(unknown_blocks),
        with_reader(a_sync_needs_no_block),
    };

    return cmocka_run_group_tests_name("core/packet_reader", tests, NULL, NULL);
}
