/* SPDX-License-Identifier: MIT */
#include "core/bridge/sink.h"

#include "mock.h"
#include "test.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { OURS, QEMUS };

static struct bridge_sink sink;
static int ends[2];

static int open_all(void **state)
{
    struct multifd_error err;

    (void)state;
    assert_int_equal(bridge_sink_init(&sink, &err), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    bridge_sink_fini(&sink);
    close(ends[OURS]);
    close(ends[QEMUS]);
    return 0;
}

static int take(uint32_t most)
{
    struct multifd_error err = ERROR_UNTOUCHED;
    int taken = bridge_sink_take(&sink, ends[OURS], most, &err);

    assert_true(taken >= 0);
    assert_untouched(&err);
    return taken;
}

/* Writes what the socket takes, up to that many bytes, and returns how many they were. */
static uint32_t fill(uint32_t most)
{
    static const uint8_t bytes[4096] = {1};
    uint32_t all = 0;
    ssize_t put;

    while (all < most && (put = write(ends[QEMUS], bytes, sizeof(bytes))) > 0) {
        all += (uint32_t)put;
    }
    return all;
}

static void nothing_has_come(void **state)
{
    (void)state;
    assert_int_equal(take(4096), 0);
}

/* A packet's pages, which come in parts; what follows them is somebody else's. */
static void no_more_is_taken_than_is_due(void **state)
{
    char next[8];

    (void)state;
    for (int packets = 0; packets < 4; packets++) {
        uint32_t left = 512 << 10;
        uint32_t unsent = left;
        bool told = false;

        while (left != 0) {
            unsent -= fill(unsent);
            if (unsent == 0 && !told) {
                told = write(ends[QEMUS], "next one", sizeof(next)) == (ssize_t)sizeof(next);
            }
            left -= (uint32_t)take(left);
        }
        assert_true(told || write(ends[QEMUS], "next one", sizeof(next)) == (ssize_t)sizeof(next));
        assert_int_equal(read(ends[OURS], next, sizeof(next)), sizeof(next));
        assert_memory_equal(next, "next one", sizeof(next));
    }
}

static void the_peer_closes_the_connection(void **state)
{
    struct multifd_error err;

    (void)state;
    assert_int_equal(fill(4096), 4096);
    close(ends[QEMUS]);
    ends[QEMUS] = -1;
    assert_int_equal(take(65536), 4096);
    assert_int_equal(bridge_sink_take(&sink, ends[OURS], 65536, &err), -1);
    assert_error(&err, MULTIFD_ERROR_DISCONNECTED, "QEMU closed the connection");
}

static void what_is_no_socket(void **state)
{
    struct multifd_error err;

    (void)state;
    assert_int_equal(bridge_sink_take(&sink, -1, 1, &err), -1);
    assert_error(&err, MULTIFD_ERROR_SYSTEM, "splice(QEMU)");
}

/* So many, behind the three that every program has. */
static void leave_descriptors(unsigned more, const struct rlimit *usual)
{
    const struct rlimit limit = {.rlim_cur = STDERR_FILENO + 1 + more, .rlim_max = usual->rlim_max};

    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void descriptors_run_out(void **state)
{
    static const char *const calls[] = {"pipe", "pipe", "open(/dev/null)"};
    struct bridge_sink made;
    struct rlimit usual;

    (void)state;
    assert_int_equal(close_range(STDERR_FILENO + 1, ~0U, 0), 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &usual), 0);
    for (unsigned more = 0; more < 3; more++) {
        struct multifd_error err;
        int status;

        leave_descriptors(more, &usual);
        status = bridge_sink_init(&made, &err);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &usual), 0);
        assert_int_equal(status, -1);
        assert_error(&err, MULTIFD_ERROR_SYSTEM, calls[more]);
        assert_true(made.in == -1 && made.out == -1 && made.null == -1);
    }
    bridge_sink_fini(&made);
}

#define with_sink(function) cmocka_unit_test_setup_teardown(function, open_all, close_all)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_sink(nothing_has_come),
        with_sink(no_more_is_taken_than_is_due),
        with_sink(the_peer_closes_the_connection),
        with_sink(what_is_no_socket),
        cmocka_unit_test(descriptors_run_out),
    };

    return cmocka_run_group_tests_name("core/bridge/sink", tests, NULL, NULL);
}
