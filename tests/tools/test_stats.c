/* SPDX-License-Identifier: MIT */
#include "cmocka_all.h"

#include "capture.h"
#include "stats.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct multifd_channel_statistics channels[] = {{.guest_bytes = 4096, .wire_bytes = 100}};
static const struct report subject = {.command = "send", .blocks = 1, .memory = 8192};

/* A session that does nothing: its counters stay at zero. */
static int enter(void **state)
{
    static struct session_view view;
    struct multifd_options *options = multifd_options_new();

    view.source = multifd_source_new("rdma:127.0.0.1:1", options, NULL);
    multifd_options_delete(&options);
    *state = &view;
    return view.source == NULL ? -1 : 0;
}

static int leave(void **state)
{
    struct session_view *view = *state;

    multifd_source_delete(&view->source);
    return 0;
}

/* Prints for some intervals, and then the rest: one page of one channel. */
static void run(const struct session_view *view)
{
    static const struct timespec intervals = {.tv_nsec = 20000000};
    struct multifd_error err;
    struct stats *stats = stats_start(&subject, view, 2000000, &err);
    struct report last = subject;

    assert_non_null(stats);
    (void)nanosleep(&intervals, NULL);
    stats_hold(stats);
    stats_hold(stats);
    last.statistics.guest_bytes = 4096;
    last.statistics.wire_bytes = 100;
    last.statistics.channels = 1;
    last.channels = channels;
    report_stamp(&last);
    stats_stop(&stats, &last);
    assert_null(stats);
    stats_stop(&stats, &last);
}

static json_int_t integer(const json_t *object, const char *member)
{
    const json_t *value = json_object_get(object, member);

    assert_true(json_is_integer(value));
    return json_integer_value(value);
}

static void lines(void **state)
{
    struct capture capture;
    json_int_t guest_bytes = 0;
    json_int_t memory = 0;
    unsigned count = 0;

    capture_start(&capture, stdout);
    run(*state);
    capture_stop(&capture);
    for (char *line = strtok(capture.text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        json_t *object = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(object);
        const json_t *interval = json_object_get(object, "interval");
        guest_bytes += integer(interval, "guest_bytes");
        assert_true(integer(interval, "ns") > 0);
        memory = integer(object, "memory_bytes");
        assert_int_equal(integer(object, "guest_bytes"), guest_bytes);
        json_decref(object);
        count++;
    }
    assert_true(count >= 2);
    assert_int_equal(guest_bytes, 4096);
    assert_int_equal(memory, 8192);
}

/* A reader that has gone is told of once, and ends nothing. */
static void no_room_for_lines(void **state)
{
    struct capture capture;
    int saved = dup(STDOUT_FILENO);
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);

    (void)fflush(stdout);
    assert_true(full >= 0 && dup2(full, STDOUT_FILENO) >= 0);
    capture_start(&capture, stderr);
    run(*state);
    capture_stop(&capture);
    clearerr(stdout);
    (void)dup2(saved, STDOUT_FILENO);
    (void)close(saved);
    (void)close(full);
    assert_string_equal(capture.text, "multifd send: the statistics cannot be written: "
                                      "No space left on device\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lines, enter, leave),
        cmocka_unit_test_setup_teardown(no_room_for_lines, enter, leave),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
