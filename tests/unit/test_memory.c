/* SPDX-License-Identifier: MIT */
#include "mock_verbs.h"
#include "transport/verbs/memory.h"

#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>

static struct verbs_domain domain;
static uint8_t guest[8192];

/* What the process may lock, as the wrapped calls say. */
static rlim_t limit;
static bool limit_unknown;
static bool ipc_lock;

FILE *__wrap_fopen(const char *path, const char *mode);

/* Compiled under another name (see CMakeLists.txt): a sanitizer's start-up calls the real one. */
int getrlimit(__rlimit_resource_t resource, struct rlimit *limits)
{
    assert_int_equal(resource, RLIMIT_MEMLOCK);
    *limits = (struct rlimit){.rlim_cur = limit, .rlim_max = RLIM_INFINITY};
    return limit_unknown ? -1 : 0;
}

FILE *__wrap_fopen(const char *path, const char *mode)
{
    static char with[] = "Name:\tcat\nCapPrm:\t0000000000000000\nCapEff:\t0000000000004000\n";
    static char without[] = "Name:\tcat\nCapPrm:\tffffffffffffffff\nCapEff:\tffffffffffffbfff\n";

    (void)mode;
    assert_string_equal(path, "/proc/self/status");
    return fmemopen(ipc_lock ? with : without, strlen(ipc_lock ? with : without), "r");
}

static int make(void **state)
{
    mock_setup(state);
    domain = (struct verbs_domain){.context = mock_context(), .pd = mock_pd()};
    limit = 65536;
    limit_unknown = false;
    ipc_lock = false;
    return 0;
}

static void assert_registered(uint32_t wanted, unsigned access)
{
    struct multifd_error err = ERROR_UNTOUCHED;
    struct transport_memory memory;
    const struct mock_mr *mr;

    assert_int_equal(verbs_memory_register(&domain, guest, sizeof(guest), wanted, &memory, &err),
                     0);
    mr = mock_verbs.last_mr;
    assert_ptr_equal(mr->mr.addr, guest);
    assert_int_equal(mr->mr.length, sizeof(guest));
    assert_int_equal(mr->access, access);
    assert_int_equal(memory.local_key, mr->mr.lkey);
    assert_int_equal(memory.remote_key, mr->mr.rkey);
    assert_int_equal(verbs_memory_deregister(&memory, &err), 0);
    assert_null(memory.handle);
    assert_untouched(&err);
}

static void the_source_registers_without_write_permission(void **state)
{
    (void)state;
    assert_registered(0, 0);
}

static void the_destination_lets_the_peer_write(void **state)
{
    (void)state;
    assert_registered(TRANSPORT_REMOTE_WRITE, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE);
}

static void on_demand_is_a_permission_more(void **state)
{
    (void)state;
    assert_registered(TRANSPORT_ON_DEMAND, IBV_ACCESS_ON_DEMAND);
    assert_registered(TRANSPORT_ON_DEMAND | TRANSPORT_REMOTE_WRITE,
                      IBV_ACCESS_ON_DEMAND | IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE);
}

static void assert_not_registered(enum multifd_error_code code, const char *part)
{
    struct multifd_error err = ERROR_UNTOUCHED;
    struct transport_memory memory;

    assert_int_equal(verbs_memory_register(&domain, guest, sizeof(guest), 0, &memory, &err), -1);
    assert_error(&err, code, part);
}

static void registering_fails(void **state)
{
    (void)state;
    mock_fail("ibv_reg_mr", EFAULT);
    assert_not_registered(MULTIFD_ERROR_DEVICE,
                          "ibv_reg_mr(mock0, 8192 bytes of guest memory): Bad address");
}

static void no_memory_to_lock_names_the_limit(void **state)
{
    (void)state;
    mock_fail("ibv_reg_mr", ENOMEM);
    assert_not_registered(MULTIFD_ERROR_MEMLOCK, "limit of 64 KiB");
    ipc_lock = true;
    assert_not_registered(MULTIFD_ERROR_DEVICE, "Cannot allocate memory");
}

static void deregistering_fails(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;
    struct transport_memory memory;

    (void)state;
    verbs_memory_register(&domain, guest, sizeof(guest), 0, &memory, &err);
    mock_fail("ibv_dereg_mr", EBUSY);
    assert_int_equal(verbs_memory_deregister(&memory, &err), -1);
    assert_error(&err, MULTIFD_ERROR_DEVICE, "ibv_dereg_mr: Device or resource busy");
    assert_null(memory.handle);
}

static void the_limit_is_the_process_s(void **state)
{
    (void)state;
    assert_int_equal(verbs_memlock_limit(), 65536);
    limit = RLIM_INFINITY;
    assert_int_equal(verbs_memlock_limit(), UINT64_MAX);
    limit = 0;
    assert_int_equal(verbs_memlock_limit(), 0);
}

static void a_limit_does_not_hold_who_may_lock_anyway(void **state)
{
    (void)state;
    ipc_lock = true;
    assert_int_equal(verbs_memlock_limit(), UINT64_MAX);
}

static void a_limit_that_is_not_known_is_none(void **state)
{
    (void)state;
    limit_unknown = true;
    assert_int_equal(verbs_memlock_limit(), UINT64_MAX);
}

static void check_says_what_is_needed_allowed_and_how_to_raise_it(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    assert_int_equal(verbs_memlock_check(65536, &err), 0);
    assert_untouched(&err);
    assert_int_equal(verbs_memlock_check(1 << 30, &err), -1);
    assert_error(&err, MULTIFD_ERROR_MEMLOCK, "1048576 KiB");
    assert_error(&err, MULTIFD_ERROR_MEMLOCK, "64 KiB");
    assert_error(&err, MULTIFD_ERROR_MEMLOCK, "ulimit -l");
    ipc_lock = true;
    assert_int_equal(verbs_memlock_check(UINT64_MAX, &err), 0);
}

static void what_is_needed_is_rounded_up(void **state)
{
    struct multifd_error err;

    (void)state;
    assert_int_equal(verbs_memlock_check(65537, &err), -1);
    assert_error(&err, MULTIFD_ERROR_MEMLOCK, "65 KiB");
}

#define with_limit(function) cmocka_unit_test_setup_teardown(function, make, mock_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_limit(the_source_registers_without_write_permission),
        with_limit(the_destination_lets_the_peer_write),
        with_limit(on_demand_is_a_permission_more),
        with_limit(registering_fails),
        with_limit(no_memory_to_lock_names_the_limit),
        with_limit(deregistering_fails),
        with_limit(the_limit_is_the_process_s),
        with_limit(a_limit_does_not_hold_who_may_lock_anyway),
        with_limit(a_limit_that_is_not_known_is_none),
        with_limit(check_says_what_is_needed_allowed_and_how_to_raise_it),
        with_limit(what_is_needed_is_rounded_up),
    };

    return cmocka_run_group_tests_name("transport/verbs/memory", tests, NULL, NULL);
}
