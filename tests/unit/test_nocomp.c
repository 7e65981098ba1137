/* SPDX-License-Identifier: MIT */
#include "compress/nocomp.h"
#include "mock.h"

#include <errno.h>

#define PAGE  4096u
#define PAGES 8u

static const uint8_t host[64 * PAGE];
static struct multifd_send_params params;
static struct multifd_send_params filled; /* as multifd_send_fill_packet saw it */

void multifd_send_fill_packet(struct multifd_send_params *p)
{
    mock_enter("multifd_send_fill_packet");
    filled = *p;
}

static int make(void **state)
{
    struct multifd_error err;

    mock_setup(state);
    memset(&filled, 0, sizeof(filled));
    params = (struct multifd_send_params){.page_size = PAGE, .page_count = PAGES, .host = host};
    return multifd_nocomp_ops.send_setup(&params, &err);
}

static int release(void **state)
{
    multifd_nocomp_ops.send_cleanup(&params);
    return params.iov == NULL ? mock_teardown(state) : -1;
}

static void prepare(const uint64_t *offsets, uint32_t num)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    params.normal = offsets;
    params.normal_num = num;
    params.flags = 0;
    assert_int_equal(multifd_nocomp_ops.send_prepare(&params, &err), 0);
    assert_untouched(&err);
    assert_int_equal(params.next_packet_size, num * PAGE);
}

static void assert_slot(uint32_t slot, uint64_t page, uint64_t pages)
{
    assert_ptr_equal(params.iov[slot].iov_base, host + page * PAGE);
    assert_int_equal(params.iov[slot].iov_len, pages * PAGE);
}

static void pages_go_as_they_are(void **state)
{
    (void)state;
    assert_true((params.write_flags & MULTIFD_WRITE_FLAG_ZERO_COPY) != 0);
    assert_non_null(params.iov);
}

static void adjacent_pages_are_one_run(void **state)
{
    const uint64_t offsets[] = {2 * PAGE, 3 * PAGE, 4 * PAGE};

    (void)state;
    prepare(offsets, 3);
    assert_int_equal(params.iovs_num, 2);
    assert_slot(1, 2, 3);
}

static void other_pages_are_runs_of_their_own(void **state)
{
    const uint64_t offsets[] = {0, PAGE, 5 * PAGE, 4 * PAGE, 6 * PAGE, 7 * PAGE};

    (void)state;
    prepare(offsets, 6);
    assert_int_equal(params.iovs_num, 5);
    assert_slot(1, 0, 2);
    assert_slot(2, 5, 1);
    assert_slot(3, 4, 1); /* in the order queued: not joined with what stands behind it */
    assert_slot(4, 6, 2);
}

static void a_full_packet_without_neighbours_fits(void **state)
{
    uint64_t offsets[PAGES];

    (void)state;
    for (uint32_t i = 0; i < PAGES; i++) {
        offsets[i] = 2 * i * PAGE;
    }
    prepare(offsets, PAGES);
    assert_int_equal(params.iovs_num, PAGES + 1);
    assert_slot(PAGES, 2 * (PAGES - 1), 1);
}

static void runs_of_the_packet_before_are_forgotten(void **state)
{
    const uint64_t many[] = {0, 2 * PAGE, 4 * PAGE};
    const uint64_t one[] = {5 * PAGE};

    (void)state;
    prepare(many, 3);
    prepare(one, 1);
    assert_int_equal(params.iovs_num, 2);
    assert_slot(1, 5, 1);
}

static void the_header_is_filled_last(void **state)
{
    const uint64_t offsets[] = {PAGE, 3 * PAGE};

    (void)state;
    prepare(offsets, 2);
    assert_calls("multifd_send_fill_packet ");
    assert_int_equal(filled.next_packet_size, 2 * PAGE);
    assert_int_equal(filled.iovs_num, 3);
    assert_int_equal(filled.flags, MULTIFD_FLAG_NOCOMP);
}

static void setup_fails_and_cleanup_follows(void **state)
{
    struct multifd_send_params other = {.page_size = PAGE, .page_count = PAGES};
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    mock_fail("malloc", ENOMEM);
    assert_int_equal(multifd_nocomp_ops.send_setup(&other, &err), -1);
    assert_error(&err, MULTIFD_ERROR_SYSTEM, "memory");
    multifd_nocomp_ops.send_cleanup(&other);
    assert_null(other.iov);
}

static int receive(uint32_t flags, uint32_t pages, uint32_t page_size, uint32_t bytes,
                   struct multifd_error *err)
{
    struct multifd_recv_params p = {.page_size = page_size,
                                    .page_count = PAGES,
                                    .normal_num = pages,
                                    .flags = flags,
                                    .next_packet_size = bytes};

    return multifd_nocomp_ops.recv(&p, err);
}

static void what_fits_is_received(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    assert_int_equal(receive(MULTIFD_FLAG_NOCOMP, 3, PAGE, 3 * PAGE, &err), 0);
    assert_int_equal(receive(MULTIFD_FLAG_NOCOMP, 1, 1u << 30, 1u << 30, &err), 0);
    assert_untouched(&err);
}

static void another_method_s_packets_are_refused(void **state)
{
    static const uint32_t flags[] = {MULTIFD_FLAG_ZLIB, MULTIFD_FLAG_ZSTD,
                                     MULTIFD_FLAG_COMPRESSION_MASK};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(flags); i++) {
        struct multifd_error err = ERROR_UNTOUCHED;

        assert_int_equal(receive(flags[i], 3, PAGE, 3 * PAGE, &err), -1);
        assert_error(&err, MULTIFD_ERROR_PROTOCOL, "flags");
    }
}

static void another_length_is_refused(void **state)
{
    static const uint32_t lengths[] = {0, PAGE, 3 * PAGE - 1, 3 * PAGE + 1, UINT32_MAX};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        struct multifd_error err = ERROR_UNTOUCHED;

        assert_int_equal(receive(0, 3, PAGE, lengths[i], &err), -1);
        assert_error(&err, MULTIFD_ERROR_PROTOCOL, "3 pages");
    }
}

static void receiving_needs_nothing_else(void **state)
{
    (void)state;
    assert_null(multifd_nocomp_ops.recv_setup);
    assert_null(multifd_nocomp_ops.recv_cleanup);
}

#define with_send(function) cmocka_unit_test_setup_teardown(function, make, release)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_send(pages_go_as_they_are),
        with_send(adjacent_pages_are_one_run),
        with_send(other_pages_are_runs_of_their_own),
        with_send(a_full_packet_without_neighbours_fits),
        with_send(runs_of_the_packet_before_are_forgotten),
        with_send(the_header_is_filled_last),
        mocked_test(setup_fails_and_cleanup_follows),
        cmocka_unit_test(what_fits_is_received),
        cmocka_unit_test(another_method_s_packets_are_refused),
        cmocka_unit_test(another_length_is_refused),
        cmocka_unit_test(receiving_needs_nothing_else),
    };

    return cmocka_run_group_tests_name("compress/nocomp", tests, NULL, NULL);
}
