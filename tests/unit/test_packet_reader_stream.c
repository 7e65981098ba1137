/* SPDX-License-Identifier: MIT */
/* Over a byte stream: where a payload is to be read to, and what is refused before any of it is. */
#include "reader_rig.h"

/* A method whose payloads are pieces of one stream. */
static void make_it_a_stream(void)
{
    rig.reader.params.write_flags = MULTIFD_WRITE_FLAG_STREAM;
}

/* Begins a packet, which must succeed. */
static void begin(const struct sent *sent)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    assert_int_equal(rig_begin(sent, &err), 0);
    assert_untouched(&err);
}

static void end(void)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    assert_int_equal(packet_reader_end(&rig.reader, &err), 0);
    assert_untouched(&err);
}

/* Refused while nothing is to be read yet. */
static void refuses(const struct sent *sent, const char *part)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    assert_int_equal(rig_begin(sent, &err), -1);
    assert_error(&err, MULTIFD_ERROR_PROTOCOL, part);
    assert_int_equal(rig.reader.iovs_num, 0);
    assert_int_equal(mock_calls("recv"), 0);
    assert_int_equal(rig.reader.next_num, 0);
}

static void assert_place(uint32_t at, uint32_t page, uint32_t pages)
{
    assert_ptr_equal(rig.reader.iov[at].iov_base, rig.ram + page * PAGE);
    assert_int_equal(rig.reader.iov[at].iov_len, pages * PAGE);
}

static void pages_are_read_to_their_places(void **state)
{
    const struct sent sent = {.block = "pc.ram",
                              .length = 6 * PAGE,
                              .normal_num = 6,
                              .offsets = {4 * PAGE, 5 * PAGE, 9 * PAGE, 8 * PAGE, 0, PAGE}};

    (void)state;
    begin(&sent);
    assert_int_equal(rig.reader.iovs_num, 4); /* those that are adjacent and in order as one */
    assert_place(0, 4, 2);
    assert_place(1, 9, 1);
    assert_place(2, 8, 1);
    assert_place(3, 0, 2);
    end();
    assert_int_equal(mock_calls("recv"), 0); /* the method has nothing to do with it */
    assert_int_equal(rig.reader.next_num, 1);
}

static void each_page_apart(void **state)
{
    struct sent sent = {.block = "pc.ram", .length = PAGES * PAGE, .normal_num = PAGES};

    (void)state;
    for (uint32_t i = 0; i < PAGES; i++) {
        sent.offsets[i] = 2 * i * PAGE;
    }
    begin(&sent);
    assert_int_equal(rig.reader.iovs_num, PAGES);
    for (uint32_t i = 0; i < PAGES; i++) {
        assert_place(i, 2 * i, 1);
    }
}

static void a_payload_is_read_beside_guest_memory(void **state)
{
    const struct sent sent = STAGED(77);

    (void)state;
    begin(&sent);
    assert_int_equal(rig.reader.iovs_num, 1);
    assert_ptr_equal(rig.reader.iov[0].iov_base, rig.reader.payload);
    assert_int_equal(rig.reader.iov[0].iov_len, 77);
    memset(rig.reader.payload, 'p', 77);
    end();
    assert_int_equal(mock_calls("recv"), 1);
    assert_ptr_equal(rig.hook.seen.payload, rig.reader.payload);
    assert_int_equal(rig.hook.seen.next_packet_size, 77);
    assert_int_equal(rig.hook.seen.stream, 1);
    assert_int_equal(rig.hook.last, 'p');
}

/* A piece of a stream never goes straight to the pages, whatever its length. */
static void pieces_may_be_longer_than_their_pages(void **state)
{
    static const uint32_t lengths[] = {1, 2 * PAGE - 1, 2 * PAGE, 2 * PAGE + 1, 2 * PAGES * PAGE};

    (void)state;
    make_it_a_stream();
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        const struct sent sent = STAGED(lengths[i]);

        begin(&sent);
        assert_int_equal(rig.reader.iovs_num, 1);
        assert_ptr_equal(rig.reader.iov[0].iov_base, rig.reader.payload);
        assert_int_equal(rig.reader.iov[0].iov_len, lengths[i]);
        memset(rig.reader.payload, 0, lengths[i]); /* there is room for it */
        end();
    }
    assert_int_equal(mock_calls("recv"), COUNT_OF(lengths));
}

static void impossible_lengths(void **state)
{
    static const uint32_t lengths[] = {0, 2 * PAGE + 1, UINT32_MAX};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        const struct sent sent = STAGED(lengths[i]);

        refuses(&sent, "bytes for 2 pages of 4096 bytes");
    }
}

static void impossible_lengths_of_pieces(void **state)
{
    static const uint32_t lengths[] = {0, 2 * PAGES * PAGE + 1, UINT32_MAX};

    (void)state;
    make_it_a_stream();
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        const struct sent sent = STAGED(lengths[i]);

        refuses(&sent, "bytes for 2 pages of 4096 bytes");
    }
}

/* Pages that go as they are have exactly their bytes. */
static void impossible_lengths_of_pages(void **state)
{
    static const uint32_t lengths[] = {0, 1, PAGE, 2 * PAGE - 1, 2 * PAGE + 1, UINT32_MAX};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        struct sent sent = STAGED(lengths[i]);

        sent.flags = MULTIFD_FLAG_NOCOMP;
        refuses(&sent, "bytes for 2 pages of 4096 bytes");
    }
}

static void a_session_without_methods(void **state)
{
    struct sent sent = STAGED(2 * PAGE);
    struct multifd_error err;

    (void)state;
    packet_reader_fini(&rig.reader);
    memset(&rig.reader, 0, sizeof(rig.reader));
    rig.config.slots = 0;
    assert_int_equal(packet_reader_init(&rig.reader, &rig.config, 9, &err), 0);
    assert_null(rig.reader.payload);
    refuses(&sent, "flags 0x4 on a session without compression");
    sent.length = 77;
    refuses(&sent, "flags 0x4 on a session without compression");
    sent.flags = MULTIFD_FLAG_NOCOMP;
    refuses(&sent, "a payload of 77 bytes");
    sent.length = 2 * PAGE;
    begin(&sent);
    assert_int_equal(rig.reader.iovs_num, 2);
    assert_place(0, 7, 1);
    assert_place(1, 2, 1);
}

static void what_has_no_payload(void **state)
{
    const struct sent zeros = {.block = "pc.ram", .zero_num = 1, .offsets = {3 * PAGE}};

    (void)state;
    begin(&zeros);
    assert_int_equal(rig.reader.iovs_num, 0);
    assert_int_equal(rig.ram[3 * PAGE], RAM_BYTE); /* cleared at the end */
    end();
    assert_int_equal(rig.ram[3 * PAGE], 0);
    rig_take_sync();
    assert_int_equal(rig.reader.iovs_num, 0);
}

/* What is left of a packet that was refused is not read for the next. */
static void headers_are_validated_first(void **state)
{
    struct sent sent = STAGED(2 * PAGE);

    (void)state;
    sent.flags = MULTIFD_FLAG_NOCOMP;
    begin(&sent);
    assert_int_equal(rig.reader.iovs_num, 2);
    sent.offsets[1] = RAM * PAGE;
    refuses(&sent, "is no page of");
    sent.offsets[1] = sent.offsets[0];
    refuses(&sent, "twice");
    sent.block = "bios";
    refuses(&sent, "unknown ramblock");
}

static void nothing_is_staged(void **state)
{
    (void)state;
    assert_non_null(rig.reader.payload);
    assert_null(rig.reader.staging.memory);
    assert_int_equal(mock_live(), 0); /* no memory is registered */
}

/* ---- QEMU ---- */

static void numbers_may_come_twice(void **state)
{
    struct multifd_error err;
    struct sent pages = {.block = "pc.ram",
                         .flags = MULTIFD_FLAG_SYNC,
                         .length = PAGE,
                         .normal_num = 1,
                         .packet_num = 7};
    struct sent nothing = {.packet_num = 7};

    (void)state;
    rig.config.form = PACKET_QEMU;
    begin(&pages);
    assert_int_equal(rig.reader.iovs_num, 1);
    assert_int_equal(rig.reader.params.flags, 0); /* SYNC is not the method's */
    end();
    begin(&nothing);
    assert_int_equal(rig.reader.iovs_num, 0);
    end();
    nothing.packet_num = 6;
    assert_int_equal(rig_begin(&nothing, &err), -1);
    assert_error(&err, MULTIFD_ERROR_PROTOCOL, "packet_num 6 after");
    nothing.packet_num = 8;
    begin(&nothing);
    end();
}

/* One block after another, and none in between. */
static void a_stale_name_is_not_looked_up(void **state)
{
    struct sent sent = {.block = "gone", .flags = MULTIFD_FLAG_SYNC, .length = 118983};

    (void)state;
    rig.config.form = PACKET_QEMU;
    begin(&sent);
    assert_int_equal(rig.reader.iovs_num, 0);
    assert_int_equal(rig.reader.packet.next_packet_size, 0);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_stream(pages_are_read_to_their_places),
        with_stream(each_page_apart),
        with_stream(a_payload_is_read_beside_guest_memory),
        with_stream(pieces_may_be_longer_than_their_pages),
        with_stream(impossible_lengths),
        with_stream(impossible_lengths_of_pieces),
        with_stream(impossible_lengths_of_pages),
        with_stream(a_session_without_methods),
        with_stream(what_has_no_payload),
        with_stream(headers_are_validated_first),
        with_stream(nothing_is_staged),
        with_stream(numbers_may_come_twice),
        with_stream(a_stale_name_is_not_looked_up),
    };

    return cmocka_run_group_tests_name("core/packet_reader, streams", tests, NULL, NULL);
}
