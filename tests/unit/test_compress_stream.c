/* SPDX-License-Identifier: MIT */
/* What every method that compresses keeps over a byte stream, tried with each of them. */
#include "compress_rig.h"

#include "compress/zlib.h"
#include "compress/zstd.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define PAGE  4096u
#define PAGES 32u

static const struct rig_method methods[] = {
    {&multifd_zlib_ops, MULTIFD_FLAG_ZLIB, "zlib", 0, 9},
    {&multifd_zstd_ops, MULTIFD_FLAG_ZSTD, "zstd", -7, 20},
};

static const struct rig_method *method;
static struct rig rig;

static int make(void **state)
{
    mock_setup(NULL);
    method = *state;
    rig_make_stream(&rig, method, PAGE, PAGES, 1);
    rig_adjacent(&rig, 3);
    rig_fill_text(&rig);
    return 0;
}

static int release(void **state)
{
    rig_release(&rig);
    return mock_teardown(state);
}

static int choose(void **state)
{
    method = *state;
    return mock_setup(state);
}

static void any_order(struct rig *of)
{
    static void (*const orders[])(struct rig *, uint32_t) = {rig_adjacent, rig_every_other,
                                                             rig_backwards};

    orders[rig_random() % COUNT_OF(orders)](of, 1 + rig_random() % of->page_count);
}

static void both_sides_know_that_it_is_a_stream(void **state)
{
    (void)state;
    assert_int_equal(rig.send.write_flags, MULTIFD_WRITE_FLAG_STREAM);
    assert_int_equal(rig.recv.write_flags, MULTIFD_WRITE_FLAG_STREAM);
}

static void many_packets_pass(uint32_t page_size, uint32_t page_count, int level, unsigned packets)
{
    static void (*const fills[])(struct rig *) = {rig_fill_zero, rig_fill_text, rig_fill_random,
                                                  rig_fill_mixed};
    struct rig other;

    rig_make_stream(&other, method, page_size, page_count, level);
    for (unsigned i = 0; i < packets; i++) {
        fills[rig_random() % COUNT_OF(fills)](&other);
        any_order(&other);
        rig_pass(&other);
    }
    rig_release(&other);
}

static void packets_of_every_size(void **state)
{
    (void)state;
    many_packets_pass(512, 16, 1, 300);
    many_packets_pass(PAGE, PAGES, 1, 100);
    many_packets_pass(65536, 8, 1, 20);
    many_packets_pass(1 << 20, 1, 1, 10);
}

static void every_level_works(void **state)
{
    (void)state;
    for (int level = method->lowest; level <= method->highest; level++) {
        many_packets_pass(PAGE, 4, level, 6);
    }
}

/* A packet that is like the one before costs next to nothing: that is what a stream is for. */
static void packets_share_their_history(void **state)
{
    uint32_t first;

    (void)state;
    rig_fill_random(&rig);
    rig_adjacent(&rig, 2);
    rig_pass(&rig);
    first = rig.send.next_packet_size;
    rig_pass(&rig);
    assert_true(first > 2 * PAGE);
    assert_true(rig.send.next_packet_size < PAGE / 8);
}

/* No packet can be left out of a stream, so one may be longer than its pages. */
static void what_does_not_shrink_is_part_of_it_too(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 30; i++) {
        rig_fill_random(&rig);
        rig_adjacent(&rig, 1 + i);
        rig_pass(&rig);
        assert_true(rig.send.next_packet_size > (1 + i) * PAGE);
        assert_true(rig.send.next_packet_size < (1 + i) * (PAGE + 64) + 64);
    }
    rig_fill_text(&rig);
    rig_pass(&rig);
    assert_true(rig.send.next_packet_size < rig.pages * PAGE);
}

/* Nor may it go on with a piece that had no room. */
static void no_room_is_an_error(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    rig_fill_random(&rig);
    rig.send.payload_max = 3 * PAGE;
    assert_int_equal(method->ops->send_prepare(&rig.send, &err), -1);
    assert_error(&err, MULTIFD_ERROR_METHOD, method->name);
    assert_int_equal(mock_calls("multifd_send_fill_packet"), 0);
}

static atomic_bool changing;

/* See test_compress.c. */
__attribute__((no_sanitize("thread"))) static void *guest(void *opaque)
{
    volatile uint8_t *ram = opaque;
    uint32_t x = 1;

    while (atomic_load_explicit(&changing, memory_order_relaxed)) {
        for (unsigned i = 0; i < 4096; i++) {
            x = x * 1664525u + 1013904223u;
            ram[PAGE + (x >> 8) % (16 * PAGE)] = (uint8_t)(x >> 25);
        }
    }
    return NULL;
}

static void pages_may_change_meanwhile(void **state)
{
    pthread_t thread;

    (void)state;
    rig_adjacent(&rig, 16);
    atomic_store(&changing, true);
    assert_int_equal(pthread_create(&thread, NULL, guest, rig.source), 0);
    for (unsigned i = 0; i < 100; i++) {
        struct multifd_error err = ERROR_UNTOUCHED;

        rig_prepare(&rig);
        assert_true(rig_is_compressed(&rig));
        assert_int_equal(rig_receive(&rig, rig.send.payload, rig.send.next_packet_size, &err), 0);
    }
    atomic_store(&changing, false);
    assert_int_equal(pthread_join(thread, NULL), 0);
    rig_pass(&rig);
    rig_fill_text(&rig);
    rig_pass(&rig);
}

/* ---- What a hostile source may send ---- */

/* A copy of the next piece. */
struct piece {
    uint8_t *bytes;
    uint32_t length;
};

static struct piece next_piece(void)
{
    struct piece piece;

    rig_prepare(&rig);
    piece.length = rig.send.next_packet_size;
    piece.bytes = malloc(piece.length);
    assert_non_null(piece.bytes);
    memcpy(piece.bytes, rig.send.payload, piece.length);
    return piece;
}

static void take(const struct piece *piece)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    assert_int_equal(rig_receive(&rig, piece->bytes, piece->length, &err), 0);
    assert_untouched(&err);
}

/* Takes anything; a refusal is the peer's fault, and rig_receive sees that it harms nothing. */
static int try_to_take(const uint8_t *bytes, size_t length)
{
    struct multifd_error err = ERROR_UNTOUCHED;
    int status = rig_receive(&rig, bytes, length, &err);

    if (status != 0) {
        assert_error(&err, MULTIFD_ERROR_PROTOCOL, "packet refused: ");
    }
    return status;
}

/* But for the last bytes, which make no output: where they are missed, the next piece shows it. */
static void each_cut_is_refused(void **state)
{
    struct piece first = next_piece();
    struct piece second;
    struct piece third;
    uint32_t taken = 0;

    (void)state;
    rig_fill_text(&rig);
    second = next_piece();
    third = next_piece();
    for (uint32_t length = 1; length < second.length; length++) {
        rig_renew_receiver(&rig);
        take(&first);
        if (try_to_take(second.bytes, length) == 0) {
            rig_assert_arrived(&rig);
            assert_int_equal(try_to_take(third.bytes, third.length), -1);
            taken++;
        }
    }
    assert_true(taken < 8);
    rig_renew_receiver(&rig);
    take(&first);
    take(&second);
    take(&third);
    free(first.bytes);
    free(second.bytes);
    free(third.bytes);
}

static void each_change_stays_in_its_pages(void **state)
{
    struct piece first;
    struct piece second;

    (void)state;
    rig_adjacent(&rig, 1);
    memset(rig.source + PAGE + 100, 'x', PAGE - 100); /* not too long */
    first = next_piece();
    memset(rig.source + PAGE + 50, 'y', 20);
    second = next_piece();
    for (uint32_t at = 0; at < second.length; at++) {
        for (unsigned change = 1; change < 256; change += 51) {
            rig_renew_receiver(&rig);
            take(&first);
            second.bytes[at] ^= (uint8_t)change;
            try_to_take(second.bytes, second.length);
            second.bytes[at] ^= (uint8_t)change;
        }
    }
    free(first.bytes);
    free(second.bytes);
}

static void a_lost_piece_stays_in_its_pages(void **state)
{
    struct piece pieces[4];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(pieces); i++) {
        rig_fill_mixed(&rig);
        pieces[i] = next_piece();
    }
    for (size_t lost = 0; lost + 1 < COUNT_OF(pieces); lost++) {
        bool fine = true;

        rig_renew_receiver(&rig);
        for (size_t i = 0; i < COUNT_OF(pieces) && fine; i++) {
            fine = i == lost || try_to_take(pieces[i].bytes, pieces[i].length) == 0;
        }
        assert_true(lost != 0 || !fine); /* without the start it is no stream at all */
    }
    for (size_t i = 0; i < COUNT_OF(pieces); i++) {
        free(pieces[i].bytes);
    }
}

static void random_bytes_stay_in_their_pages(void **state)
{
    struct piece first = next_piece();
    unsigned refused = 0;

    (void)state;
    for (unsigned i = 0; i < 200; i++) {
        uint8_t bytes[600];

        for (size_t at = 0; at < sizeof(bytes); at++) {
            bytes[at] = (uint8_t)rig_random();
        }
        rig_renew_receiver(&rig);
        refused += try_to_take(bytes, sizeof(bytes)) != 0;
        rig_renew_receiver(&rig);
        take(&first);
        refused += try_to_take(bytes, 1 + rig_random() % sizeof(bytes)) != 0;
    }
    assert_int_equal(refused, 400);
    free(first.bytes);
}

static void another_number_of_pages_is_refused(void **state)
{
    struct piece piece = next_piece();

    (void)state;
    for (uint32_t pages = 1; pages < 6; pages++) {
        rig_renew_receiver(&rig);
        rig_adjacent(&rig, pages);
        if (pages == 3) {
            take(&piece);
        } else {
            rig_refuses(&rig, piece.bytes, piece.length,
                        pages > 3 ? "ends before its pages, after 12288 of" : "");
        }
    }
    free(piece.bytes);
}

/* The source's page is one byte longer than the destination's. */
static void one_byte_too_many_is_refused(void **state)
{
    struct rig other;

    (void)state;
    for (int content = 0; content < 2; content++) {
        struct multifd_send_params p = {
            .page_size = 1025, .page_count = 1, .stream = 1, .level = 1, .payload_max = 4100};
        static const uint64_t offset = 0;
        struct multifd_error err;
        uint8_t payload[4100];

        rig_make_stream(&other, method, 1024, 1, 1);
        rig_adjacent(&other, 1);
        (content == 0 ? rig_fill_zero : rig_fill_random)(&other);
        p.host = other.source;
        p.payload = payload;
        p.normal = &offset;
        p.normal_num = 1;
        assert_int_equal(method->ops->send_setup(&p, &err), 0);
        assert_int_equal(method->ops->send_prepare(&p, &err), 0);
        rig_refuses(&other, payload, p.next_packet_size, "");
        method->ops->send_cleanup(&p);
        rig_release(&other);
    }
}

static void two_pieces_are_not_one(void **state)
{
    struct piece first = next_piece();
    struct piece second;
    uint8_t *both;

    (void)state;
    second = next_piece();
    both = malloc(first.length + second.length);
    assert_non_null(both);
    memcpy(both, first.bytes, first.length);
    memcpy(both + first.length, second.bytes, second.length);
    rig_refuses(&rig, both, first.length + second.length, "");
    /* But where one ends is the source's affair, if its pages are all there. */
    rig_renew_receiver(&rig);
    assert_int_equal(try_to_take(both, first.length + 1), 0);
    assert_int_equal(try_to_take(second.bytes + 1, second.length - 1), 0);
    rig_assert_arrived(&rig);
    free(both);
    free(first.bytes);
    free(second.bytes);
}

static void what_no_piece_can_be_is_refused(void **state)
{
    struct piece piece = next_piece();
    struct multifd_error err;

    (void)state;
    rig_refuses(&rig, piece.bytes, 0, "a compressed payload of 0 bytes");
    rig.recv.flags = MULTIFD_FLAG_NOCOMP;
    rig.recv.payload = piece.bytes;
    rig.recv.next_packet_size = piece.length;
    assert_int_equal(method->ops->recv(&rig.recv, &err), -1);
    assert_error(&err, MULTIFD_ERROR_PROTOCOL, "flags 0x0 on a session with");
    rig.recv.flags = method->flag;
    rig.recv.payload = NULL;
    assert_int_equal(method->ops->recv(&rig.recv, &err), -1);
    assert_error(&err, MULTIFD_ERROR_PROTOCOL, "a compressed payload");
    take(&piece); /* none of it has touched the stream */
    free(piece.bytes);
}

static void no_memory(void **state)
{
    struct multifd_send_params send = {.page_size = PAGE, .page_count = 2, .stream = 1, .level = 1};
    struct multifd_recv_params recv = {.page_size = PAGE, .page_count = 2, .stream = 1};
    struct multifd_error err;

    (void)state;
    for (unsigned nth = 1; nth <= 2; nth++) {
        mock_fail_nth("malloc", nth, ENOMEM);
        assert_int_equal(method->ops->send_setup(&send, &err), -1);
        method->ops->send_cleanup(&send);
        mock_succeed("malloc");
        mock_fail_nth("malloc", nth, ENOMEM);
        assert_int_equal(method->ops->recv_setup(&recv, &err), -1);
        method->ops->recv_cleanup(&recv);
        mock_succeed("malloc");
    }
}

/* clang-format off */
#define of_each(function, setup, teardown)                                       \
    {"zlib: " #function, function, setup, teardown, (void *)(uintptr_t)&methods[0]}, \
    {"zstd: " #function, function, setup, teardown, (void *)(uintptr_t)&methods[1]}
#define with_rig(function) of_each(function, make, release)
#define alone(function)    of_each(function, choose, mock_teardown)
/* clang-format on */

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_rig(both_sides_know_that_it_is_a_stream),
        alone(packets_of_every_size),
        alone(every_level_works),
        with_rig(packets_share_their_history),
        with_rig(what_does_not_shrink_is_part_of_it_too),
        with_rig(no_room_is_an_error),
        with_rig(pages_may_change_meanwhile),
        with_rig(each_cut_is_refused),
        with_rig(each_change_stays_in_its_pages),
        with_rig(a_lost_piece_stays_in_its_pages),
        with_rig(random_bytes_stay_in_their_pages),
        with_rig(another_number_of_pages_is_refused),
        alone(one_byte_too_many_is_refused),
        with_rig(two_pieces_are_not_one),
        with_rig(what_no_piece_can_be_is_refused),
        alone(no_memory),
    };

    return cmocka_run_group_tests_name("compress, as streams", tests, NULL, NULL);
}
