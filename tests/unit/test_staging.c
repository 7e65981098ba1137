/* SPDX-License-Identifier: MIT */
#include "core/staging.h"
#include "fake_memory.h"

#include <errno.h>

#define KIB 1024u
#define MIB (1024u * KIB)

static struct staging staging;

static int make(void **state)
{
    memset(&staging, 0, sizeof(staging));
    return mock_setup(state);
}

static void init(uint32_t slots, uint32_t slot_bytes, uint32_t access)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    assert_int_equal(staging_init(&staging, &fake_memory_endpoint, slots, slot_bytes, access, &err),
                     0);
    assert_untouched(&err);
}

static void fini(void)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    assert_int_equal(staging_fini(&staging, &fake_memory_endpoint, &err), 0);
    assert_untouched(&err);
}

static void assert_zeroed(void)
{
    static const struct staging zeroed;

    assert_memory_equal(&staging, &zeroed, sizeof(zeroed));
}

static void as_many_slots_as_the_window(void **state)
{
    (void)state;
    assert_int_equal(staging_slots(1, 512 * KIB), 1);
    assert_int_equal(staging_slots(2, 512 * KIB), 2);
    assert_int_equal(staging_slots(15, 512 * KIB), 15);
    assert_int_equal(staging_slots(16, 512 * KIB), 16);
    assert_int_equal(staging_slots(16, 1), 16);
}

static void fewer_slots_where_they_are_large(void **state)
{
    (void)state;
    assert_int_equal(staging_slots(17, 512 * KIB), 16);
    assert_int_equal(staging_slots(UINT32_MAX, 512 * KIB), 16);
    assert_int_equal(staging_slots(64, MIB), 8);
    assert_int_equal(staging_slots(64, 3 * MIB), 2);
    assert_int_equal(staging_slots(64, 4 * MIB), 2);
}

static void two_slots_of_any_size_at_least(void **state)
{
    static const uint64_t sizes[] = {4 * MIB + 1, 8 * MIB,    8 * MIB + 1,
                                     16 * MIB,    1024 * MIB, UINT64_MAX};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        assert_int_equal(staging_slots(64, sizes[i]), 2);
        assert_int_equal(staging_slots(2, sizes[i]), 2);
        assert_int_equal(staging_slots(1, sizes[i]), 1);
    }
}

static void memory_is_mapped_and_registered(void **state)
{
    (void)state;
    init(3, 512 * KIB, TRANSPORT_REMOTE_WRITE);
    assert_calls("mmap register_memory ");
    assert_int_equal(staging.bytes, 3 * 512 * KIB);
    assert_int_equal(staging.slots, 3);
    assert_int_equal(staging.slot_bytes, 512 * KIB);
    assert_int_equal(staging.registered.local_key, FAKE_LOCAL_KEY);
    assert_int_equal(staging.registered.remote_key, FAKE_REMOTE_KEY);
    assert_ptr_equal(fake_memory_registered.address, staging.memory);
    assert_int_equal(fake_memory_registered.length, 3 * 512 * KIB);
    assert_int_equal(fake_memory_registered.access, TRANSPORT_REMOTE_WRITE);
    memset(staging.memory, 0xa5, staging.bytes); /* all of it is there */
    fini();
}

static void the_peer_writes_only_where_it_may(void **state)
{
    (void)state;
    init(1, 4 * KIB, 0);
    assert_int_equal(fake_memory_registered.access, 0);
    fini();
}

static void slots_are_used_in_turn(void **state)
{
    (void)state;
    init(3, 4 * KIB, 0);
    for (uint32_t message = 0; message < 10; message++) {
        assert_ptr_equal(staging_slot(&staging, message),
                         staging.memory + (size_t)(message % 3) * (4 * KIB));
    }
    assert_ptr_equal(staging_slot(&staging, UINT64_MAX), staging.memory); /* 3 divides 2^64 - 1 */
    assert_ptr_equal(staging_slot(&staging, UINT64_MAX - 1), staging.memory + 2 * (4 * KIB));
    fini();
}

/* Slots of a gigabyte: where an offset would not fit 32 bits. */
static void slots_that_begin_far_away(void **state)
{
    const struct staging large = {
        .memory = (uint8_t *)(uintptr_t)MIB, .slots = 64, .slot_bytes = 1024 * MIB};

    (void)state;
    assert_int_equal((uintptr_t)staging_slot(&large, 127), MIB + UINT64_C(63) * 1024 * MIB);
}

static void fini_takes_it_back_in_reverse(void **state)
{
    (void)state;
    init(2, 4 * KIB, TRANSPORT_REMOTE_WRITE);
    mock_log_clear();
    fini();
    assert_calls("deregister_memory munmap ");
    assert_zeroed();
    fini(); /* again: nothing is left to do */
    assert_calls("deregister_memory munmap ");
}

static void fini_of_a_zeroed_one(void **state)
{
    (void)state;
    fini();
    assert_calls("");
    assert_zeroed();
}

static void fini_goes_on_when_it_cannot_deregister(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    init(2, 4 * KIB, TRANSPORT_REMOTE_WRITE);
    mock_log_clear();
    mock_fail("deregister_memory", EBUSY);
    assert_int_equal(staging_fini(&staging, &fake_memory_endpoint, &err), -1);
    assert_error(&err, MULTIFD_ERROR_DEVICE, "deregister_memory");
    assert_calls("deregister_memory munmap ");
    assert_zeroed();
}

static void assert_init_fails(enum multifd_error_code code, const char *part)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    assert_int_equal(staging_init(&staging, &fake_memory_endpoint, 2, 4 * KIB, 0, &err), -1);
    assert_error(&err, code, part);
    assert_zeroed();
    fini();
}

static void no_memory_to_map(void **state)
{
    (void)state;
    mock_fail("mmap", ENOMEM);
    assert_init_fails(MULTIFD_ERROR_SYSTEM, "8192 bytes");
    assert_calls("mmap ");
}

static void memory_that_cannot_be_registered(void **state)
{
    (void)state;
    mock_fail("register_memory", ENOMEM);
    assert_init_fails(MULTIFD_ERROR_DEVICE, "register_memory");
    assert_calls("mmap register_memory munmap ");
}

#define with_staging(function) cmocka_unit_test_setup_teardown(function, make, mock_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_many_slots_as_the_window),
        cmocka_unit_test(fewer_slots_where_they_are_large),
        cmocka_unit_test(two_slots_of_any_size_at_least),
        with_staging(memory_is_mapped_and_registered),
        with_staging(the_peer_writes_only_where_it_may),
        with_staging(slots_are_used_in_turn),
        with_staging(slots_that_begin_far_away),
        with_staging(fini_takes_it_back_in_reverse),
        with_staging(fini_of_a_zeroed_one),
        with_staging(fini_goes_on_when_it_cannot_deregister),
        with_staging(no_memory_to_map),
        with_staging(memory_that_cannot_be_registered),
    };

    return cmocka_run_group_tests_name("core/staging", tests, NULL, NULL);
}
