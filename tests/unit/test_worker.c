/* SPDX-License-Identifier: MIT */
#include "core/base/clock.h"
#include "core/base/parallel.h"
#include "core/base/worker.h"
#include "mock.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

enum { MOST = 64, WAIT_MS = 20000 };

static struct worker_group *group;

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *),
                          void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *),
                          void *arg);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *),
                          void *arg)
{
    int errnum = mock_enter("pthread_create");

    return errnum != 0 ? errnum : __real_pthread_create(thread, attr, start, arg);
}

static int make(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    mock_setup(state);
    group = worker_group_new(&err);
    assert_untouched(&err);
    return group == NULL;
}

static int release(void **state)
{
    worker_group_delete(&group);
    assert_null(group);
    worker_group_delete(&group);
    return mock_teardown(state);
}

static void start(struct worker *worker, void (*work)(void *arg), void *arg)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    assert_int_equal(worker_start(worker, group, work, arg, &err), 0);
    assert_untouched(&err);
}

static uint64_t own_ns(void)
{
    struct timespec used;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * UINT64_C(1000000000) + (uint64_t)used.tv_nsec;
}

/* Works until so much processor time is used; tells how much it was. */
static void burn(void *arg)
{
    uint64_t *ns = arg;
    uint64_t used;

    do {
        used = own_ns();
    } while (used < *ns);
    *ns = used;
}

static void burn_until(void *arg)
{
    atomic_bool *stop = arg;

    while (!atomic_load(stop)) {
    }
}

static void sleep_until(void *arg)
{
    atomic_bool *stop = arg;

    while (!atomic_load(stop)) {
        usleep(1000);
    }
}

static void the_time_of_an_ended_worker_stays(void **state)
{
    uint64_t ns = 30 * NS_PER_MS;
    struct worker worker;
    uint64_t used;

    (void)state;
    assert_int_equal(worker_group_cpu_ns(group), 0);
    start(&worker, burn, &ns);
    worker_join(&worker);
    used = worker_cpu_ns(&worker);
    assert_true(used >= ns && used < ns + 1000 * NS_PER_MS);
    assert_int_equal(worker_group_cpu_ns(group), used);
    burn(&(uint64_t){own_ns() + 30 * NS_PER_MS}); /* the caller's own is nobody's here */
    assert_int_equal(worker_cpu_ns(&worker), used);
    assert_int_equal(worker_group_cpu_ns(group), used);
}

static void the_time_of_a_running_worker_grows(void **state)
{
    uint64_t deadline = clock_now_ns() + WAIT_MS * NS_PER_MS;
    atomic_bool stop = false;
    struct worker worker;
    uint64_t first;

    (void)state;
    start(&worker, burn_until, &stop);
    do {
        first = worker_cpu_ns(&worker);
        usleep(1000);
    } while (first == 0 && clock_now_ns() < deadline);
    while (worker_cpu_ns(&worker) < first + 20 * NS_PER_MS && clock_now_ns() < deadline) {
        usleep(1000);
    }
    assert_true(worker_cpu_ns(&worker) >= first + 20 * NS_PER_MS);
    assert_true(worker_group_cpu_ns(group) >= first + 20 * NS_PER_MS);
    atomic_store(&stop, true);
    worker_join(&worker);
}

/* It is not the time for which it exists. */
static void a_worker_that_sleeps_uses_none(void **state)
{
    atomic_bool stop = false;
    struct worker worker;

    (void)state;
    start(&worker, sleep_until, &stop);
    usleep(300000);
    assert_true(worker_cpu_ns(&worker) < 150 * NS_PER_MS);
    atomic_store(&stop, true);
    worker_join(&worker);
}

/* ---- Read while threads come and go ---- */

struct watch {
    struct worker *workers; /* each started before `started` tells of it */
    atomic_uint started;
    atomic_bool stop;
    atomic_uint shrunk;
};

static void watch(void *arg)
{
    struct watch *watch = arg;
    uint64_t before[MOST] = {0};
    uint64_t sum = 0;

    while (!atomic_load(&watch->stop)) {
        uint64_t now = worker_group_cpu_ns(group);

        atomic_fetch_add(&watch->shrunk, now < sum);
        sum = now;
        for (unsigned i = 0; i < atomic_load(&watch->started); i++) {
            now = worker_cpu_ns(&watch->workers[i]);
            atomic_fetch_add(&watch->shrunk, now < before[i]);
            before[i] = now;
        }
        sched_yield();
    }
}

/* Ended threads' ids are soon those of others, which have used less. */
static void what_is_read_never_shrinks(void **state)
{
    struct worker workers[MOST];
    struct watch watching = {.workers = workers};
    struct worker watcher;
    uint64_t ns[MOST];
    uint64_t sum = 0;

    (void)state;
    start(&watcher, watch, &watching);
    for (unsigned i = 0; i < MOST; i++) {
        ns[i] = NS_PER_MS * (i % 4);
        start(&workers[i], burn, &ns[i]);
        atomic_store(&watching.started, i + 1);
        if (i % 4 == 3) {
            for (unsigned j = i - 3; j <= i; j++) {
                worker_join(&workers[j]);
            }
        }
    }
    atomic_store(&watching.stop, true);
    worker_join(&watcher);
    assert_int_equal(atomic_load(&watching.shrunk), 0);
    for (unsigned i = 0; i < MOST; i++) {
        assert_true(worker_cpu_ns(&workers[i]) >= ns[i]);
        sum += worker_cpu_ns(&workers[i]);
    }
    assert_int_equal(worker_group_cpu_ns(group), sum + worker_cpu_ns(&watcher));
}

static void groups_know_their_own_only(void **state)
{
    struct worker_group *other;
    uint64_t ns = NS_PER_MS;
    struct multifd_error err;
    struct worker worker;

    (void)state;
    other = worker_group_new(&err);
    assert_non_null(other);
    start(&worker, burn, &ns);
    worker_join(&worker);
    assert_int_equal(worker_group_cpu_ns(other), 0);
    worker_group_delete(&other);
}

/* ---- In parallel ---- */

static void burn_each(void *const items[8])
{
    parallel_for_each(group, items, 8, burn);
    for (unsigned i = 0; i < 8; i++) {
        assert_true(*(const uint64_t *)items[i] >= NS_PER_MS);
    }
}

static void what_is_done_in_parallel_counts(void **state)
{
    uint64_t ns[8];
    uint64_t sum = 0;
    void *items[8];

    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        ns[i] = NS_PER_MS;
        items[i] = &ns[i];
    }
    burn_each(items);
    for (unsigned i = 0; i < 8; i++) {
        sum += ns[i];
    }
    assert_true(worker_group_cpu_ns(group) >= sum);
    assert_int_equal(mock_calls("pthread_create"), 8);
}

/* Then it is the caller's own work. */
static void without_threads_or_memory_the_caller_does_it(void **state)
{
    uint64_t ns[8] = {0};
    void *items[8];

    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        ns[i] = NS_PER_MS;
        items[i] = &ns[i];
    }
    mock_fail("pthread_create", EAGAIN);
    burn_each(items);
    mock_fail("malloc", ENOMEM);
    burn_each(items);
    assert_int_equal(worker_group_cpu_ns(group), 0);
}

/* ---- Errors ---- */

static void errors_are_told(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;
    struct worker worker;

    (void)state;
    mock_fail("pthread_create", EAGAIN);
    assert_int_equal(worker_start(&worker, group, burn, NULL, &err), -1);
    assert_error(&err, MULTIFD_ERROR_SYSTEM, "pthread_create");
    assert_int_equal(worker_cpu_ns(&worker), 0);
    mock_fail("malloc", ENOMEM);
    assert_null(worker_group_new(&err));
    assert_error(&err, MULTIFD_ERROR_SYSTEM, "memory");
}

#define worker_test(function) cmocka_unit_test_setup_teardown(function, make, release)

int main(void)
{
    const struct CMUnitTest tests[] = {
        worker_test(the_time_of_an_ended_worker_stays),
        worker_test(the_time_of_a_running_worker_grows),
        worker_test(a_worker_that_sleeps_uses_none),
        worker_test(what_is_read_never_shrinks),
        worker_test(groups_know_their_own_only),
        worker_test(what_is_done_in_parallel_counts),
        worker_test(without_threads_or_memory_the_caller_does_it),
        worker_test(errors_are_told),
    };

    return cmocka_run_group_tests_name("core/base/worker", tests, NULL, NULL);
}
