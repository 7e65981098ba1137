/* SPDX-License-Identifier: MIT */
/* packet_writer: the writes that place a payload, and methods that make a wrong one. */
#include "writer_rig.h"

#include <errno.h>

static void assert_page_write(uint32_t at, uint32_t page, uint32_t pages)
{
    const struct transport_write *write = &rig.writer.writes[at];
    uint32_t piece = page / PIECE;

    assert_true(at < rig.writer.writes_num);
    assert_int_equal(write->local_address, (uintptr_t)rig.host + page * PAGE);
    assert_int_equal(write->length, pages * PAGE);
    assert_int_equal(write->local_key, 100 + piece);
    assert_int_equal(write->remote_key, 200 + piece);
    assert_int_equal(write->remote_address,
                     UINT64_C(0x1000000000) * (piece + 1) + (page % PIECE) * PAGE);
}

/* The message's payload lies in its slots of both sides. */
static void assert_payload_write(uint64_t message, uint32_t length)
{
    const struct transport_write *write = rig.writer.writes;

    assert_int_equal(rig.writer.writes_num, 1);
    assert_int_equal(write->local_address,
                     (uintptr_t)rig.writer.staging.memory + message % LOCAL * PAGES * PAGE);
    assert_int_equal(write->remote_address, REMOTE_ADDRESS + message % REMOTE * PAGES * PAGE);
    assert_int_equal(write->length, length);
    assert_int_equal(write->local_key, FAKE_LOCAL_KEY);
    assert_int_equal(write->remote_key, REMOTE_KEY);
    assert_true(rig.writer.staged);
}

static void pages_go_to_the_same_place(void **state)
{
    (void)state;
    FILL(5, 6, 20, 3, 2);
    rig_compose();
    assert_int_equal(rig.writer.writes_num, 4);
    assert_page_write(0, 5, 2);
    assert_page_write(1, 20, 1);
    assert_page_write(2, 3, 1);
    assert_page_write(3, 2, 1);
    assert_false(rig.writer.staged);
}

static void zero_pages_are_not_written(void **state)
{
    (void)state;
    memset(rig.host + 5 * PAGE, 0, PAGE);
    FILL(4, 5, 6, 7);
    rig_compose();
    assert_int_equal(rig.writer.writes_num, 2);
    assert_page_write(0, 4, 1);
    assert_page_write(1, 6, 2);
}

static void runs_end_where_a_piece_does(void **state)
{
    (void)state;
    FILL(2, 3, 4, 5, 6, 7, 8, 9);
    rig_compose();
    assert_int_equal(rig.writer.writes_num, 3);
    assert_page_write(0, 2, 2);
    assert_page_write(1, 4, 4);
    assert_page_write(2, 8, 2);
}

static void runs_end_at_the_longest_message(void **state)
{
    (void)state;
    rig.config.max_message = PAGE;
    FILL(24, 25, 26, 27, 28, 29, 30, 31); /* as many as there is room for */
    rig_compose();
    assert_int_equal(rig.writer.writes_num, PAGES);
    for (uint32_t i = 0; i < PAGES; i++) {
        assert_page_write(i, 24 + i, 1);
    }
    rig.config.max_message = 3 * PAGE;
    FILL(8, 9, 10, 11);
    rig_compose();
    assert_int_equal(rig.writer.writes_num, 2);
    assert_page_write(0, 8, 3);
    assert_page_write(1, 11, 1);
}

static void give_it_a_flag(struct multifd_send_params *p)
{
    p->flags |= MULTIFD_FLAG_ZSTD;
    multifd_send_fill_packet(p);
}

/* Such a method has a flag of its own, and no payload: its pages are written as they are. */
static void a_zero_copy_method_s_pages(void **state)
{
    (void)state;
    rig.hook.write_flags = MULTIFD_WRITE_FLAG_ZERO_COPY;
    rig.hook.spoil = give_it_a_flag;
    rig_start();
    FILL(9, 10, 1);
    rig_compose();
    assert_int_equal(rig.writer.writes_num, 2);
    assert_page_write(0, 9, 2);
    assert_page_write(1, 1, 1);
    assert_false(rig.writer.staged);
    rig_stop();
}

static void a_payload_is_one_write(void **state)
{
    static const uint32_t lengths[] = {1, 100, PAGE, 3 * PAGE - 1};
    uint64_t offsets[PAGES];

    (void)state;
    for (uint32_t i = 0; i < COUNT_OF(lengths); i++) {
        struct multifd_packet packet;

        rig.hook.length = lengths[i];
        FILL(30, 31, 2);
        rig_compose();
        assert_payload_write(i, lengths[i]);
        packet = rig_decode(offsets);
        assert_int_equal(packet.flags, MULTIFD_FLAG_ZSTD);
        assert_int_equal(packet.next_packet_size, lengths[i]);
        assert_int_equal(packet.normal_pages, 3);
    }
}

/* All that is sent counts, or the sides would not mean the same slot. */
static void every_message_uses_up_a_slot(void **state)
{
    enum kind { STAGED, AS_IT_IS, ZERO, SYNC };
    static const enum kind kinds[] = {STAGED, SYNC,   STAGED, ZERO,   STAGED, AS_IT_IS,
                                      STAGED, STAGED, SYNC,   SYNC,   STAGED, ZERO,
                                      ZERO,   ZERO,   STAGED, STAGED, STAGED, STAGED};

    (void)state;
    for (uint32_t i = 0; i < COUNT_OF(kinds); i++) {
        memset(rig.host, kinds[i] == ZERO ? 0 : 1, (size_t)BLOCK * PAGE);
        rig.hook.length = kinds[i] == STAGED ? 10 + i : 0;
        if (kinds[i] == SYNC) {
            rig_fill_sync(1);
        } else {
            FILL(12);
        }
        rig_compose();
        if (kinds[i] == STAGED) {
            assert_payload_write(i, 10 + i);
        } else {
            assert_false(rig.writer.staged);
            assert_int_equal(rig.writer.writes_num, kinds[i] == AS_IT_IS ? 1 : 0);
        }
        assert_int_equal(rig.writer.messages, i + 1);
    }
}

/* What is in the slots of packets before stays until their turn comes again. */
static void a_slot_keeps_its_payload(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < LOCAL; i++) {
        rig.hook.length = 100 + i;
        FILL(i);
        rig_compose();
    }
    for (uint32_t i = 0; i < LOCAL; i++) {
        const uint8_t *slot = staging_slot(&rig.writer.staging, i);

        assert_int_equal(slot[99 + i], 0x5a);
        assert_int_equal(slot[100 + i], 0);
    }
}

static void the_method_fails(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    mock_fail("send_prepare", EIO);
    FILL(1);
    assert_int_equal(rig_try_compose(&err), -1);
    assert_error(&err, MULTIFD_ERROR_METHOD, "send_prepare");
    assert_int_equal(rig.writer.writes_num, 0);
}

static void assert_refused(const char *part)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    assert_int_equal(rig_try_compose(&err), -1);
    assert_error(&err, MULTIFD_ERROR_METHOD, part);
    assert_false(rig.writer.staged);
}

static void elsewhere(struct multifd_send_params *p)
{
    static uint8_t own[PAGE];

    p->iov[1].iov_base = own;
}

static void a_byte_further(struct multifd_send_params *p)
{
    p->iov[1].iov_base = p->payload + 1;
}

static void in_the_slot_before(struct multifd_send_params *p)
{
    p->iov[1].iov_base = p->payload - p->payload_max;
}

static void iov_of_no_bytes(struct multifd_send_params *p)
{
    p->iov[1].iov_len = 0;
}

static void no_bytes_at_all(struct multifd_send_params *p)
{
    p->iov[1].iov_len = 0;
    p->next_packet_size = 0;
}

static void iov_too_short(struct multifd_send_params *p)
{
    p->iov[1].iov_len--;
}

static void iov_too_long(struct multifd_send_params *p)
{
    p->iov[1].iov_len = (UINT64_C(1) << 32) + p->next_packet_size; /* the same in 32 bits */
}

static void header_says_less(struct multifd_send_params *p)
{
    p->next_packet_size--;
}

static void only_the_header(struct multifd_send_params *p)
{
    p->iovs_num = 1;
}

static void in_two_parts(struct multifd_send_params *p)
{
    p->iov[1].iov_len = 50;
    p->iov[2] = (struct iovec){p->payload + 50, p->next_packet_size - 50};
    p->iovs_num = 3;
}

static void guest_memory(struct multifd_send_params *p)
{
    p->iov[1].iov_base = rig.host;
}

static void wrong_payloads_are_refused(void **state)
{
    static void (*const spoils[])(struct multifd_send_params *) = {
        elsewhere,       a_byte_further, in_the_slot_before, iov_of_no_bytes,
        no_bytes_at_all, iov_too_long,   header_says_less,   only_the_header,
        in_two_parts,    iov_too_short,  guest_memory};

    (void)state;
    rig.hook.length = 100;
    FILL(3);
    rig_compose(); /* so that there is a slot before */
    for (size_t i = 0; i < COUNT_OF(spoils); i++) {
        rig.hook.spoil = spoils[i];
        FILL(1, 2);
        assert_refused("payload");
    }
}

/* A payload as large as the pages would be taken for pages that are in place. */
static void payloads_that_save_nothing_are_refused(void **state)
{
    static const uint32_t lengths[] = {2 * PAGE, 2 * PAGE + 1, PAGES * PAGE};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        rig.hook.length = lengths[i];
        FILL(1, 2);
        assert_refused("too long");
    }
}

/* Each spoils the pages 4, 5 and 8, which are two runs. */
static void outside_of_the_block(struct multifd_send_params *p)
{
    p->iov[2].iov_base = rig.host + (size_t)BLOCK * PAGE;
}

static void before_the_block(struct multifd_send_params *p)
{
    p->iov[2].iov_base = (void *)((uintptr_t)rig.host - PAGE);
}

static void across_the_block_s_end(struct multifd_send_params *p)
{
    p->iov[1].iov_base = rig.host + (size_t)(BLOCK - 1) * PAGE;
}

static void half_a_page_further(struct multifd_send_params *p)
{
    p->iov[2].iov_base = rig.host + 8 * PAGE + PAGE / 2;
}

static void half_a_page_less(struct multifd_send_params *p)
{
    p->iov[1].iov_len -= PAGE / 2;
}

static void half_a_page_moved(struct multifd_send_params *p)
{
    p->iov[1].iov_len -= PAGE / 2;
    p->iov[2].iov_len += PAGE / 2;
}

static void one_page_more(struct multifd_send_params *p)
{
    p->iov[2].iov_len += PAGE;
}

static void one_run_more(struct multifd_send_params *p)
{
    p->iov[3] = (struct iovec){rig.host, PAGE};
    p->iovs_num = 4;
}

static void all_memory(struct multifd_send_params *p)
{
    p->iov[2].iov_len = UINT64_MAX - PAGE + 1;
}

static void in_the_staging(struct multifd_send_params *p)
{
    p->iov[1].iov_base = p->payload;
}

/* What is left out would be lost: the destination takes all pages of the packet for written. */
static void one_page_less(struct multifd_send_params *p)
{
    p->iov[1].iov_len -= PAGE;
}

static void one_run_less(struct multifd_send_params *p)
{
    p->iovs_num = 2;
}

static void no_run(struct multifd_send_params *p)
{
    p->iovs_num = 1;
}

static void an_empty_run(struct multifd_send_params *p)
{
    p->iov[2].iov_len = 0;
}

static void more_runs_than_iov_has(struct multifd_send_params *p)
{
    p->iovs_num = p->page_count + 2;
}

static void a_header_of_fewer_bytes(struct multifd_send_params *p)
{
    p->next_packet_size -= PAGE;
}

static void wrong_pages_are_refused(void **state)
{
    static void (*const spoils[])(struct multifd_send_params *) = {outside_of_the_block,
                                                                   before_the_block,
                                                                   across_the_block_s_end,
                                                                   half_a_page_further,
                                                                   half_a_page_less,
                                                                   one_page_more,
                                                                   one_run_more,
                                                                   all_memory,
                                                                   in_the_staging,
                                                                   half_a_page_moved,
                                                                   one_page_less,
                                                                   one_run_less,
                                                                   no_run,
                                                                   an_empty_run,
                                                                   more_runs_than_iov_has,
                                                                   a_header_of_fewer_bytes};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(spoils); i++) {
        rig.hook.spoil = spoils[i];
        FILL(4, 5, 8);
        assert_refused("iov is not made of the packet's pages");
    }
}

static void all_of_the_block(struct multifd_send_params *p)
{
    p->iov[1].iov_len = (size_t)BLOCK * PAGE;
}

/* There is no room for the writes of more pages than a packet has. */
static void more_pages_than_a_packet_has(void **state)
{
    (void)state;
    rig.config.max_message = PAGE;
    rig.hook.spoil = all_of_the_block;
    FILL(0, 1, 2, 3, 4, 5, 6, 7);
    assert_refused("iov is not made of the packet's pages");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_started(pages_go_to_the_same_place),
        with_started(zero_pages_are_not_written),
        with_started(runs_end_where_a_piece_does),
        with_started(runs_end_at_the_longest_message),
        with_writer(a_zero_copy_method_s_pages),
        with_started(a_payload_is_one_write),
        with_started(every_message_uses_up_a_slot),
        with_started(a_slot_keeps_its_payload),
        with_started(the_method_fails),
        with_started(wrong_payloads_are_refused),
        with_started(payloads_that_save_nothing_are_refused),
        with_started(wrong_pages_are_refused),
        with_started(more_pages_than_a_packet_has),
    };

    return cmocka_run_group_tests_name("core/packet_writer payload", tests, NULL, NULL);
}
