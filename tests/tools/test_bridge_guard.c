/* SPDX-License-Identifier: MIT */
#include "cmocka_all.h"

#include "bridge/guard.h"

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { GRACE_MS = 200, LONG_MS = 20000, SURELY_MS = 1000 };

static void sleep_ms(long ms)
{
    const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    (void)nanosleep(&time, NULL);
}

/* A process in QEMU's place. */
static pid_t start_qemu(void)
{
    pid_t process = fork();

    assert_true(process >= 0);
    if (process == 0) {
        for (;;) {
            (void)pause();
        }
    }
    return process;
}

/* Waits until it has ended, for so long at most; whether it was killed. */
static bool is_killed(pid_t qemu, long ms)
{
    int status = 0;

    for (long passed = 0; passed < ms; passed += 10) {
        if (waitpid(qemu, &status, WNOHANG) == qemu) {
            return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
        }
        sleep_ms(10);
    }
    return false;
}

static void end_qemu(pid_t qemu)
{
    assert_int_equal(kill(qemu, SIGTERM), 0);
    assert_int_equal(waitpid(qemu, NULL, 0), qemu);
}

enum bridge_end { IS_KILLED, ENDS };

/* A process in the bridge's place, from its start to its end. */
static void run_bridge(pid_t qemu, bool hands_over, enum bridge_end end)
{
    pid_t process = fork();

    assert_true(process >= 0);
    if (process == 0) {
        struct multifd_error err;
        struct guard *guard = guard_start(GRACE_MS, &err);

        if (guard == NULL) {
            _exit(1);
        }
        if (qemu != 0) {
            guard_connected(guard, qemu);
        }
        if (hands_over) {
            guard_handing_over(guard);
        }
        if (end == IS_KILLED) {
            (void)kill(getpid(), SIGKILL);
        }
        guard_stop(&guard);
        _exit(guard == NULL ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(process, &status, 0), process);
    assert_true(end == IS_KILLED ? WIFSIGNALED(status)
                                 : WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void a_bridge_that_is_killed_takes_qemu_along(void **state)
{
    pid_t qemu = start_qemu();

    (void)state;
    run_bridge(qemu, false, IS_KILLED);
    assert_true(is_killed(qemu, LONG_MS));
}

static void a_guest_that_may_run_is_left_alone(void **state)
{
    pid_t qemu = start_qemu();

    (void)state;
    run_bridge(qemu, true, IS_KILLED);
    assert_false(is_killed(qemu, SURELY_MS));
    end_qemu(qemu);
}

static void a_bridge_that_ends_by_itself_leaves_qemu_alone(void **state)
{
    pid_t qemu = start_qemu();

    (void)state;
    run_bridge(qemu, false, ENDS);
    assert_false(is_killed(qemu, SURELY_MS));
    end_qemu(qemu);
}

static void a_qemu_that_was_never_met_is_left_alone(void **state)
{
    pid_t qemu = start_qemu();

    (void)state;
    run_bridge(0, false, IS_KILLED);
    assert_false(is_killed(qemu, SURELY_MS));
    end_qemu(qemu);
}

/* The number may be another process's by then. */
static void a_qemu_that_has_ended_is_not_looked_for(void **state)
{
    pid_t qemu = start_qemu();

    (void)state;
    end_qemu(qemu);
    run_bridge(qemu, false, IS_KILLED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bridge_that_is_killed_takes_qemu_along),
        cmocka_unit_test(a_guest_that_may_run_is_left_alone),
        cmocka_unit_test(a_bridge_that_ends_by_itself_leaves_qemu_alone),
        cmocka_unit_test(a_qemu_that_was_never_met_is_left_alone),
        cmocka_unit_test(a_qemu_that_has_ended_is_not_looked_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
