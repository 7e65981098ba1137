/* SPDX-License-Identifier: MIT */
/* packet_reader: where payloads come from, and zero pages. */
#include "reader_rig.h"

#include "compress/nocomp.h"

#include <errno.h>
#include <sys/mman.h>

/* Pages that were sent as they are need no method, in any session. */
static void pages_in_place(void **state)
{
    struct sent sent = {
        .block = "pc.ram", .length = 2 * PAGE, .normal_num = 2, .offsets = {PAGE, 0}};

    (void)state;
    mock_log_clear();
    rig_take(&sent);
    assert_ptr_equal(rig.reader.block->host, rig.ram);
    sent.length--;
    rig_refuses(&sent, "2 pages");
    sent.length = 0;
    rig_refuses(&sent, "2 pages");
    sent.length = 2 * PAGE + 1;
    rig_refuses(&sent, "2 pages");
    assert_calls("");
}

static void a_session_without_methods_takes_no_other_flag(void **state)
{
    struct sent sent = STAGED(2 * PAGE);

    (void)state;
    rig.config.method = &multifd_nocomp_ops;
    rig_refuses(&sent, "flags 0x4");
    sent.length = 100;
    rig_refuses(&sent, "");
}

static void the_method_sees_the_packet(void **state)
{
    const struct sent sent = {.block = "vga",
                              .flags = MULTIFD_FLAG_ZLIB, /* another's: it is asked all the same */
                              .length = 5,
                              .normal_num = 1,
                              .zero_num = 1,
                              .offsets = {3 * PAGE, PAGE}};

    (void)state;
    rig_take(&sent);
    assert_ptr_equal(rig.hook.seen.host, rig.vga);
    assert_int_equal(rig.hook.seen.normal_num, 1);
    assert_int_equal(rig.hook.seen.normal[0], 3 * PAGE);
    assert_int_equal(rig.hook.seen.flags, MULTIFD_FLAG_ZLIB);
    assert_int_equal(rig.hook.seen.next_packet_size, 5);
    assert_non_null(rig.hook.seen.payload);
}

/* Of slot n % SLOTS for the message n, whatever the messages before were. */
static void payloads_come_from_the_message_s_slot(void **state)
{
    const struct sent zero = {.block = "vga", .zero_num = 1};
    const struct sent in_place = {.block = "vga", .length = PAGE, .normal_num = 1};

    (void)state;
    for (uint32_t i = 0; i < 4 * SLOTS; i++) {
        struct sent sent = STAGED(100 + i);

        for (uint32_t slot = 0; slot < SLOTS; slot++) {
            memset(rig.reader.staging.memory + (size_t)slot * PAGES * PAGE, (int)slot + 1, 100 + i);
        }
        rig_take(&sent);
        assert_int_equal(rig.hook.first, (rig.reader.messages - 1) % SLOTS + 1);
        assert_int_equal(rig.hook.last, rig.hook.first);
        assert_false(rig.hook.in_slot);
        if (i % 4 == 1) {
            rig_take_sync();
        } else if (i % 4 == 2) {
            rig_take(&zero);
        } else if (i % 4 == 3) {
            rig_take(&in_place);
        }
    }
    assert_int_equal(rig.reader.messages, 7 * SLOTS);
}

static void the_peer_cannot_change_a_payload(void **state)
{
    const struct sent sent = STAGED(2 * PAGE - 1);

    (void)state;
    memset(rig.reader.staging.memory, 0x33, rig.reader.staging.bytes);
    rig.hook.overwrite = true;
    rig_take(&sent);
    assert_int_equal(rig.hook.first, 0x33);
    assert_int_equal(rig.hook.last, 0x33);
}

/* A payload as large as its pages was sent from guest memory, with another flag or not. */
static void a_method_s_pages_in_place(void **state)
{
    const struct sent staged = STAGED(100);
    const struct sent sent = STAGED(2 * PAGE);

    (void)state;
    rig_take(&staged);
    rig_take(&sent);
    assert_int_equal(mock_calls("recv"), 2);
    assert_null(rig.hook.seen.payload);
    assert_int_equal(rig.hook.seen.next_packet_size, 2 * PAGE);
}

static void payloads_of_no_possible_length(void **state)
{
    static const uint32_t lengths[] = {0, 2 * PAGE + 1, PAGES * PAGE, PAGES * PAGE + 1, UINT32_MAX};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        struct sent sent = STAGED(lengths[i]);

        sent.zero_num = 1;
        rig_refuses(&sent, "for 2 pages of 4096 bytes");
    }
}

static void the_method_fails(void **state)
{
    struct sent sent = STAGED(100);
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    mock_fail("recv", EIO);
    sent.zero_num = 1;
    assert_int_equal(rig_try_take(&sent, &err), -1);
    assert_error(&err, MULTIFD_ERROR_METHOD, "recv");
    assert_int_equal(rig.ram[0], RAM_BYTE); /* the zero page was not cleared */
    assert_int_equal(rig.reader.messages, 0);
    assert_int_equal(rig.reader.next_num, 0);
}

static void zero_pages_are_cleared(void **state)
{
    const struct sent sent = {
        .block = "pc.ram", .zero_num = 3, .offsets = {9 * PAGE, 0, (RAM - 1) * PAGE}};

    (void)state;
    mock_log_clear();
    rig.ram[PAGE - 1] = 0;
    rig_take(&sent);
    assert_calls("");
    for (uint32_t i = 0; i < RAM * PAGE; i++) {
        uint32_t page = i / PAGE;

        assert_int_equal(rig.ram[i], page == 9 || page == 0 || page == RAM - 1 ? 0 : RAM_BYTE);
    }
}

static void runs_of_zero_pages_are_cleared(void **state)
{
    const struct sent sent = {
        .block = "pc.ram", .zero_num = 2, .offsets = {9 * PAGE + 1, 3}, .run_pages = 6};

    (void)state;
    rig_take(&sent);
    assert_int_equal(rig.reader.packet.zero_pages, 6);
    for (uint32_t i = 0; i < RAM * PAGE; i++) {
        uint32_t page = i / PAGE;

        assert_int_equal(rig.ram[i], page <= 3 || page == 9 || page == 10 ? 0 : RAM_BYTE);
    }
}

static void zero_pages_beside_a_payload(void **state)
{
    struct sent sent = STAGED(10);

    (void)state;
    sent.zero_num = 1;
    sent.offsets[2] = 5 * PAGE;
    rig_take(&sent);
    assert_int_equal(mock_calls("recv"), 1);
    assert_int_equal(rig.hook.seen.normal_num, 2);
    assert_int_equal(rig.ram[5 * PAGE], 0);
    assert_int_equal(rig.ram[6 * PAGE - 1], 0);
    assert_int_equal(rig.ram[7 * PAGE], RAM_BYTE); /* the method's to write */
}

/* A page that is zero already is not even written to. */
static void zero_pages_are_left_alone(void **state)
{
    const struct sent sent = {
        .block = "pc.ram", .zero_num = 3, .offsets = {3 * PAGE, 4 * PAGE, 5 * PAGE}};

    (void)state;
    memset(rig.ram + 4 * PAGE, 0, PAGE);
    assert_int_equal(mprotect(rig.ram + 4 * PAGE, PAGE, PROT_READ), 0);
    rig_take(&sent);
    assert_int_equal(mprotect(rig.ram + 4 * PAGE, PAGE, PROT_READ | PROT_WRITE), 0);
    assert_int_equal(rig.ram[3 * PAGE], 0);
    assert_int_equal(rig.ram[5 * PAGE], 0);
}

/* Of fresh memory only what was received is looked at; the rest may be a hole that a look fills. */
static void zero_pages_of_fresh_memory(void **state)
{
    const struct sent zero = {
        .block = "pc.ram", .zero_num = 3, .offsets = {3 * PAGE, 4 * PAGE, 5 * PAGE}};
    const struct sent normal = {
        .block = "pc.ram", .normal_num = 1, .length = PAGE, .offsets = {4 * PAGE}};
    struct multifd_ram_block *block = rig.config.blocks->blocks[0];
    struct multifd_error err;

    (void)state;
    block->received = page_bitmap_new(block->length, 12, &err);
    assert_non_null(block->received);
    rig_take(&zero);
    assert_int_equal(rig.ram[3 * PAGE], RAM_BYTE); /* which a fresh page would not have */
    assert_int_equal(rig.ram[4 * PAGE], RAM_BYTE);
    rig_take(&normal);
    rig_take(&zero);
    assert_int_equal(rig.ram[3 * PAGE], RAM_BYTE);
    assert_int_equal(rig.ram[4 * PAGE], 0);
    assert_int_equal(rig.ram[5 * PAGE - 1], 0);
    assert_int_equal(rig.ram[5 * PAGE], RAM_BYTE);
}

static void zero_pages_must_be_agreed_on(void **state)
{
    struct sent sent = STAGED(10);

    (void)state;
    rig.config.zero_pages = false;
    rig_take(&sent);
    sent.zero_num = 1;
    rig_refuses(&sent, "agreed");
    sent = (struct sent){.block = "pc.ram", .zero_num = 1};
    rig_refuses(&sent, "agreed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_reader(pages_in_place),
        with_in_place(pages_in_place),
        with_in_place(a_session_without_methods_takes_no_other_flag),
        with_reader(the_method_sees_the_packet),
        with_reader(payloads_come_from_the_message_s_slot),
        with_reader(the_peer_cannot_change_a_payload),
        with_reader(a_method_s_pages_in_place),
        with_reader(payloads_of_no_possible_length),
        with_reader(the_method_fails),
        with_reader(zero_pages_are_cleared),
        with_reader(runs_of_zero_pages_are_cleared),
        with_reader(zero_pages_beside_a_payload),
        with_reader(zero_pages_are_left_alone),
        with_reader(zero_pages_of_fresh_memory),
        with_reader(zero_pages_must_be_agreed_on),
    };

    return cmocka_run_group_tests_name("core/packet_reader payload", tests, NULL, NULL);
}
