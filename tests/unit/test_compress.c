/* SPDX-License-Identifier: MIT */
/* What every method that compresses keeps, tried with each of them. */
#include "compress_rig.h"

#include "compress/zlib.h"
#include "compress/zstd.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define PAGE  4096u
#define PAGES 128u

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
    rig_make(&rig, method, PAGE, PAGES, 1);
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

static void contents_come_back(uint32_t page_size, uint32_t page_count)
{
    static void (*const fills[])(struct rig *) = {rig_fill_zero, rig_fill_text, rig_fill_mixed};
    static void (*const orders[])(struct rig *, uint32_t) = {rig_adjacent, rig_every_other,
                                                             rig_backwards};
    const uint32_t few = page_count < 2 ? 1 : 2;
    const uint32_t counts[] = {1, few, page_count - page_count / 3, page_count};
    struct rig other;

    rig_make(&other, method, page_size, page_count, 1);
    for (size_t i = 0; i < COUNT_OF(fills); i++) {
        fills[i](&other);
        for (size_t j = 0; j < COUNT_OF(orders) * COUNT_OF(counts); j++) {
            orders[j % COUNT_OF(orders)](&other, counts[j / COUNT_OF(orders)]);
            if (fills[i] != rig_fill_mixed || other.pages > 1) { /* one random page: see below */
                rig_pass(&other);
            }
        }
    }
    rig_release(&other);
}

static void small_pages_come_back(void **state)
{
    (void)state;
    contents_come_back(512, 1024);
}

static void pages_come_back(void **state)
{
    (void)state;
    contents_come_back(PAGE, PAGES);
}

static void larger_pages_come_back(void **state)
{
    (void)state;
    contents_come_back(65536, 8);
}

static void a_large_page_comes_back(void **state)
{
    (void)state;
    contents_come_back(2u << 20, 1);
}

static void what_does_not_shrink_goes_as_it_is(void **state)
{
    (void)state;
    rig_fill_random(&rig);
    rig_adjacent(&rig, PAGES);
    rig_prepare(&rig);
    assert_false(rig_is_compressed(&rig));
    assert_int_equal(rig.send.iovs_num, 2);
    rig_every_other(&rig, PAGES);
    rig_prepare(&rig);
    assert_false(rig_is_compressed(&rig));
    assert_int_equal(rig.send.iovs_num, PAGES + 1);
    rig_fill_text(&rig);
    rig_pass(&rig);
}

/* Around the point where compressing begins to pay: rig_is_compressed knows each packet's limit. */
static void a_payload_is_smaller_than_its_pages(void **state)
{
    unsigned compressed = 0;

    (void)state;
    rig_adjacent(&rig, 1);
    rig_fill_random(&rig);
    for (uint32_t zeros = 0; zeros < 128; zeros++) {
        memset(rig.source + 2 * PAGE - zeros, 0, zeros);
        rig_prepare(&rig);
        compressed += rig_is_compressed(&rig);
    }
    assert_true(compressed > 0 && compressed < 128);
}

static void what_has_no_room_goes_as_it_is(void **state)
{
    uint32_t length;

    (void)state;
    rig_pass(&rig);
    length = rig.send.next_packet_size;
    for (uint32_t room = 0; room <= 64 && room < length; room++) {
        rig.send.payload_max = room;
        rig_prepare(&rig);
        assert_false(rig_is_compressed(&rig));
    }
    rig.send.payload_max = length - 1;
    rig_prepare(&rig);
    assert_false(rig_is_compressed(&rig));
    rig.send.payload_max = PAGE * PAGES;
    rig_pass(&rig);
    assert_int_equal(rig.send.next_packet_size, length);
}

static uint32_t length_of_level(int level)
{
    struct rig other;
    uint32_t length;

    rig_make(&other, method, PAGE, 16, level);
    rig_adjacent(&other, 16);
    memcpy(other.source, rig.source, other.ram_bytes);
    rig_prepare(&other);
    length = other.send.next_packet_size;
    if (rig_is_compressed(&other)) {
        rig_pass(&other);
    }
    rig_release(&other);
    return length;
}

static void every_level_works(void **state)
{
    (void)state;
    for (int level = method->lowest; level <= method->highest; level++) {
        const uint32_t length = length_of_level(level);

        assert_true(level < 1 || length < 16 * PAGE);
    }
    assert_true(length_of_level(method->highest) < length_of_level(1));
    assert_true(length_of_level(1) < length_of_level(method->lowest));
}

static void one_channel_takes_many_packets(void **state)
{
    static const uint8_t nonsense[] = "this is no payload of any method";

    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        rig.source[PAGE + rig_random() % (PAGES * PAGE)] = (uint8_t)rig_random();
        rig_every_other(&rig, 1 + rig_random() % 4);
        rig_pass(&rig);
        if (i % 7 == 0) {
            rig_refuses(&rig, nonsense, sizeof(nonsense), method->name);
            rig_refuses(&rig, rig.send.payload, rig.send.next_packet_size / 2, "");
        }
    }
}

static atomic_bool changing;

/*
 * The guest. It is not instrumented: that it writes at any time is the point, and no mistake for
 * ThreadSanitizer to report.
 */
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
    for (unsigned i = 0; i < 300; i++) {
        struct multifd_error err = ERROR_UNTOUCHED;

        rig_prepare(&rig);
        if (rig_is_compressed(&rig)) {
            assert_int_equal(rig_receive(&rig, rig.send.payload, rig.send.next_packet_size, &err),
                             0);
        }
    }
    atomic_store(&changing, false);
    assert_int_equal(pthread_join(thread, NULL), 0);
    rig_fill_text(&rig);
    rig_pass(&rig);
}

static void each_cut_is_refused(void **state)
{
    (void)state;
    rig_prepare(&rig);
    for (uint32_t length = 0; length < rig.send.next_packet_size; length++) {
        rig_refuses(&rig, rig.send.payload, length, length == 0 ? "0 bytes for 3 pages" : "");
    }
    rig_refuses(&rig, rig.send.payload, rig.send.next_packet_size - 1, "cut off");
    rig_pass(&rig);
}

/* Whatever comes out of it, rig_receive sees that it stays in its pages. */
static unsigned change_each_byte(struct rig *other)
{
    unsigned refused = 0;

    for (uint32_t at = 0; at < other->send.next_packet_size; at++) {
        for (unsigned change = 1; change < 256; change++) {
            struct multifd_error err = ERROR_UNTOUCHED;

            other->send.payload[at] ^= (uint8_t)change;
            if (rig_receive(other, other->send.payload, other->send.next_packet_size, &err) != 0) {
                assert_error(&err, MULTIFD_ERROR_PROTOCOL, "packet refused: ");
                refused++;
            }
            other->send.payload[at] ^= (uint8_t)change;
        }
    }
    return refused;
}

static void each_change_stays_in_its_pages(void **state)
{
    static const char text[] = "some text, more text, other text";
    struct rig other;

    (void)state;
    rig_make(&other, method, 512, 2, 1);
    rig_fill_zero(&other);
    memcpy(other.source + 3 * 512, text, sizeof(text));
    rig_every_other(&other, 2);
    rig_pass(&other);
    assert_true(change_each_byte(&other) > 255);
    rig_pass(&other);
    rig_adjacent(&other, 2);
    rig_pass(&other);
    assert_true(change_each_byte(&other) > 255);
    rig_release(&other);
}

static void bytes_behind_the_end_are_refused(void **state)
{
    uint8_t *payload = rig.send.payload;
    uint32_t length;

    (void)state;
    rig_prepare(&rig);
    length = rig.send.next_packet_size;
    memset(payload + length, 0, 3);
    rig_refuses(&rig, payload, length + 1, "1 bytes behind the end");
    rig_refuses(&rig, payload, length + 3, "3 bytes behind the end");
    memcpy(payload + length, payload, length);
    rig_refuses(&rig, payload, 2 * (size_t)length, "behind the end"); /* once more the same */
}

static void another_number_of_pages_is_refused(void **state)
{
    (void)state;
    rig_prepare(&rig);
    rig_adjacent(&rig, 4);
    rig_refuses(&rig, rig.send.payload, rig.send.next_packet_size, "ends before its pages");
    rig_adjacent(&rig, 2);
    rig_refuses(&rig, rig.send.payload, rig.send.next_packet_size, "more than its pages");
    rig_every_other(&rig, 2);
    rig_refuses(&rig, rig.send.payload, rig.send.next_packet_size, "more than its pages");
    rig_adjacent(&rig, 3);
    rig_pass(&rig);
}

static void a_bomb_stays_in_its_pages(void **state)
{
    (void)state;
    rig_fill_zero(&rig);
    rig_adjacent(&rig, PAGES);
    rig_prepare(&rig);
    rig_adjacent(&rig, 1);
    rig_refuses(&rig, rig.send.payload, rig.send.next_packet_size, "more than its pages");
    rig_every_other(&rig, PAGES / 2);
    rig_refuses(&rig, rig.send.payload, rig.send.next_packet_size, "more than its pages");
}

static void what_no_payload_can_be_is_refused(void **state)
{
    uint8_t *payload = rig.send.payload;

    (void)state;
    rig_prepare(&rig);
    rig_refuses(&rig, payload, 3 * PAGE, "12288 bytes for 3 pages of 4096 bytes");
    rig_refuses(&rig, payload, 3 * PAGE + 1, "12289 bytes for 3 pages");
    rig_refuses(&rig, payload, 0, " 0 bytes for 3 pages");
}

static void another_method_s_packets_are_refused(void **state)
{
    (void)state;
    for (uint32_t flag = 0; flag <= MULTIFD_FLAG_COMPRESSION_MASK; flag += 1u << 1) {
        struct multifd_error err = ERROR_UNTOUCHED;

        if (flag == method->flag) {
            continue;
        }
        rig_prepare(&rig);
        rig.recv.flags = flag;
        rig.recv.payload = rig.send.payload;
        rig.recv.next_packet_size = rig.send.next_packet_size;
        assert_int_equal(method->ops->recv(&rig.recv, &err), -1);
        assert_error(&err, MULTIFD_ERROR_PROTOCOL, "flags");
        assert_error(&err, MULTIFD_ERROR_PROTOCOL, method->name);
    }
}

static void a_packet_in_place_is_none_of_its(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    rig.recv.flags = method->flag;
    rig.recv.payload = NULL;
    for (uint32_t length = 100; length <= 3 * PAGE; length += 3 * PAGE - 100) {
        rig.recv.next_packet_size = length;
        assert_int_equal(method->ops->recv(&rig.recv, &err), -1);
        assert_error(&err, MULTIFD_ERROR_PROTOCOL, "for 3 pages");
    }
}

static void a_payload_is_its_own(void **state)
{
    (void)state;
    assert_true((rig.send.write_flags & MULTIFD_WRITE_FLAG_ZERO_COPY) == 0);
}

static void send_setup_fails_and_cleanup_follows(void **state)
{
    (void)state;
    for (unsigned nth = 1; nth <= 3; nth++) {
        struct multifd_send_params p = {.page_size = PAGE, .page_count = PAGES, .level = 1};
        struct multifd_error err = ERROR_UNTOUCHED;

        mock_fail_nth("malloc", nth, ENOMEM);
        assert_int_equal(method->ops->send_setup(&p, &err), -1);
        assert_error(&err, MULTIFD_ERROR_SYSTEM, "memory");
        mock_succeed("malloc");
        method->ops->send_cleanup(&p);
        assert_null(p.iov);
        assert_null(p.compress_data);
        method->ops->send_cleanup(&p);
    }
}

static void recv_setup_fails_and_cleanup_follows(void **state)
{
    (void)state;
    for (unsigned nth = 1; nth <= 2; nth++) {
        struct multifd_recv_params p = {.page_size = PAGE, .page_count = PAGES};
        struct multifd_error err = ERROR_UNTOUCHED;

        mock_fail_nth("malloc", nth, ENOMEM);
        assert_int_equal(method->ops->recv_setup(&p, &err), -1);
        assert_error(&err, MULTIFD_ERROR_SYSTEM, "memory");
        mock_succeed("malloc");
        method->ops->recv_cleanup(&p);
        assert_null(p.compress_data);
        method->ops->recv_cleanup(&p);
    }
}

#define each_method(function, setup, teardown)                                                     \
    {"zlib: " #function, function, setup, teardown, (void *)(uintptr_t)&methods[0]},               \
    {                                                                                              \
        "zstd: " #function, function, setup, teardown, (void *)(uintptr_t)&methods[1]              \
    }
#define with_rig(function)   each_method(function, make, release)
#define with_mocks(function) each_method(function, choose, mock_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_mocks(small_pages_come_back),
        with_mocks(pages_come_back),
        with_mocks(larger_pages_come_back),
        with_mocks(a_large_page_comes_back),
        with_rig(what_does_not_shrink_goes_as_it_is),
        with_rig(a_payload_is_smaller_than_its_pages),
        with_rig(what_has_no_room_goes_as_it_is),
        with_rig(every_level_works),
        with_rig(one_channel_takes_many_packets),
        with_rig(pages_may_change_meanwhile),
        with_rig(each_cut_is_refused),
        with_mocks(each_change_stays_in_its_pages),
        with_rig(bytes_behind_the_end_are_refused),
        with_rig(another_number_of_pages_is_refused),
        with_rig(a_bomb_stays_in_its_pages),
        with_rig(what_no_payload_can_be_is_refused),
        with_rig(another_method_s_packets_are_refused),
        with_rig(a_packet_in_place_is_none_of_its),
        with_rig(a_payload_is_its_own),
        with_mocks(send_setup_fails_and_cleanup_follows),
        with_mocks(recv_setup_fails_and_cleanup_follows),
    };

    return cmocka_run_group_tests_name("compress", tests, NULL, NULL);
}
