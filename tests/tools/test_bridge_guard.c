/* SPDX-License-Identifier: MIT */
#include "cmocka_all.h"

#include "bridge/guard.h"

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
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

static struct multifd_error err;

static struct guard *start_guard(void)
{
    struct guard *guard = guard_start("bridge", GRACE_MS, &err);

    if (guard == NULL) {
        _exit(1);
    }
    return guard;
}

static void end_bridge(struct guard *guard, enum bridge_end end)
{
    if (end == IS_KILLED) {
        (void)kill(getpid(), SIGKILL);
    }
    guard_stop(&guard);
    _exit(guard == NULL ? 0 : 1);
}

static void await_bridge(pid_t process, enum bridge_end end)
{
    int status;

    assert_int_equal(waitpid(process, &status, 0), process);
    assert_true(end == IS_KILLED ? WIFSIGNALED(status)
                                 : WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* A process in the place of a destination's bridge, from its start to its end. */
static void run_bridge(pid_t qemu, bool hands_over, enum bridge_end end)
{
    pid_t process = fork();

    assert_true(process >= 0);
    if (process == 0) {
        struct guard *guard = start_guard();

        if (qemu != 0) {
            guard_connected(guard, qemu);
        }
        if (hands_over) {
            guard_handing_over(guard);
        }
        end_bridge(guard, end);
    }
    await_bridge(process, end);
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

/* ---- At the source ------------------------------------------------------------------------ */

enum { MOST_WORDS = 64 };

static const char words[MOST_WORDS + 1] = "SHUT: fine";

/* A process in the place of a source's bridge, which commits if it has words for the guard. What
 * QEMU, at the other end, hears until that ends. */
static size_t heard_from_bridge(size_t words_length, enum bridge_end end, char *heard, size_t room)
{
    int ends[2];
    size_t length = 0;
    ssize_t got;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    pid_t process = fork();
    assert_true(process >= 0);
    if (process == 0) {
        struct guard *guard = start_guard();

        if (words_length != 0) {
            guard_committing(guard, ends[1], words, words_length);
        }
        end_bridge(guard, end);
    }
    (void)close(ends[1]);
    await_bridge(process, end);
    while (length < room && (got = read(ends[0], heard + length, room - length)) > 0) {
        length += (size_t)got;
    }
    (void)close(ends[0]);
    return length;
}

static void a_bridge_that_is_killed_in_the_hand_over_has_its_last_word_said(void **state)
{
    static const size_t lengths[] = {8, MOST_WORDS};
    char heard[2 * MOST_WORDS];

    (void)state;
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        assert_int_equal(heard_from_bridge(lengths[i], IS_KILLED, heard, sizeof(heard)),
                         lengths[i]);
        assert_memory_equal(heard, words, lengths[i]);
    }
}

static void nothing_is_said_before_or_after(void **state)
{
    char heard[2 * MOST_WORDS];

    (void)state;
    assert_int_equal(heard_from_bridge(0, IS_KILLED, heard, sizeof(heard)), 0);
    assert_int_equal(heard_from_bridge(8, ENDS, heard, sizeof(heard)), 0);
    assert_int_equal(heard_from_bridge(MOST_WORDS + 1, IS_KILLED, heard, sizeof(heard)), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bridge_that_is_killed_takes_qemu_along),
        cmocka_unit_test(a_guest_that_may_run_is_left_alone),
        cmocka_unit_test(a_bridge_that_ends_by_itself_leaves_qemu_alone),
        cmocka_unit_test(a_qemu_that_was_never_met_is_left_alone),
        cmocka_unit_test(a_qemu_that_has_ended_is_not_looked_for),
        cmocka_unit_test(a_bridge_that_is_killed_in_the_hand_over_has_its_last_word_said),
        cmocka_unit_test(nothing_is_said_before_or_after),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
