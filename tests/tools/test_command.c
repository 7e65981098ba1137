/* SPDX-License-Identifier: MIT */
/* Wrong input: one line on stderr, the right status, nothing left behind. No device is needed. */
#include "cmocka_all.h"

#include "capture.h"
#include "commands.h"
#include "scratch.h"
#include "words.h"

#include <string.h>

#define ADDRESS "rdma:127.0.0.1:4444"

static int enter(void **state)
{
    (void)state;
    return scratch_enter_below("/var/tmp");
}

static int leave(void **state)
{
    (void)state;
    return scratch_leave();
}

static void assert_ends(const struct cli_command *command, const char *line, int status,
                        const char *text)
{
    struct capture capture;
    struct words words;

    words_split(&words, command->name, line);
    capture_start(&capture, stderr);
    int got = command->run(command, words.argc, words.argv);
    capture_stop(&capture);
    if (got != status || strstr(capture.text, text) == NULL) {
        fail_msg("multifd %s %s: status %d, \"%s\"", command->name, line, got, capture.text);
    }
    char prefix[32];
    (void)snprintf(prefix, sizeof(prefix), "multifd %s: ", command->name);
    assert_memory_equal(capture.text, prefix, strlen(prefix));
    assert_ptr_equal(strchr(capture.text, '\n'), capture.text + strlen(capture.text) - 1);
}

static void wrong_usage(void **state)
{
    static const char *const no_intervals[] = {"",      "0",     "-1",    "-1s",
                                               "999us", "61min", "often", "1h"};

    (void)state;
    assert_ends(&command_send, "", CLI_EXIT_WRONG, "no address given");
    assert_ends(&command_send, ADDRESS, CLI_EXIT_WRONG, "no --ram");
    assert_ends(&command_send, ADDRESS " --nothing", CLI_EXIT_WRONG, "unknown option --nothing");
    assert_ends(&command_send, ADDRESS " --ram x", CLI_EXIT_WRONG, "NAME=PATH");
    assert_ends(&command_send, ADDRESS " --ram a=x --ram a=y", CLI_EXIT_WRONG, "named twice");
    assert_ends(&command_send, ADDRESS " --ram a=x --page-size 3000", CLI_EXIT_WRONG, "page-size");
    assert_ends(&command_send, ADDRESS " --ram a=x --channels 256", CLI_EXIT_WRONG, "channels");
    assert_ends(&command_send, ADDRESS " --ram a=x --channels 0", CLI_EXIT_WRONG, "channels");
    assert_ends(&command_send, ADDRESS " --ram a=x --method none", CLI_EXIT_WRONG,
                "unknown method");
    assert_ends(&command_send, ADDRESS " --ram a=x --timeout soon", CLI_EXIT_WRONG, "timeout");
    for (size_t i = 0; i < sizeof(no_intervals) / sizeof(no_intervals[0]); i++) {
        char line[128];
        (void)snprintf(line, sizeof(line), ADDRESS " --ram a=x --stats-interval=%s",
                       no_intervals[i]);
        assert_ends(&command_send, line, CLI_EXIT_WRONG, "is not a time from 1ms to 60min");
        assert_ends(&command_recv, line, CLI_EXIT_WRONG, "stats-interval: ");
    }
    assert_ends(&command_recv, ADDRESS " --ram a=x --channels 2", CLI_EXIT_WRONG, "--channels");
    assert_ends(&command_devices, "--bogus", CLI_EXIT_WRONG, "--bogus");
    assert_ends(&command_devices, "extra", CLI_EXIT_WRONG, "extra");
}

static void wrong_addresses(void **state)
{
    (void)state;
    assert_ends(&command_send, "10.0.0.1:4444 --ram a=x", CLI_EXIT_WRONG, "10.0.0.1:4444");
    assert_ends(&command_send, "rdma:10.0.0.1 --ram a=x", CLI_EXIT_WRONG, "rdma:10.0.0.1");
    assert_ends(&command_send, "rdma:10.0.0.1:99999 --ram a=x", CLI_EXIT_WRONG, "99999");
    assert_ends(&command_recv, "rdma:10.0.0.1:port --ram a=x", CLI_EXIT_WRONG, "port");
}

static void wrong_files(void **state)
{
    FILE *file = fopen("odd", "w");

    (void)state;
    assert_non_null(file);
    assert_true(fputs("odd", file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_ends(&command_send, ADDRESS " --ram a=none", CLI_EXIT_FAILED, "none: cannot be opened");
    assert_ends(&command_send, ADDRESS " --ram a=odd", CLI_EXIT_FAILED, "page size");
    assert_ends(&command_recv, ADDRESS " --ram a=odd", CLI_EXIT_FAILED, "page size");
    assert_ends(&command_recv, ADDRESS " --ram a=good,size=4K --ram b=none/b,size=4K",
                CLI_EXIT_FAILED, "none/b: cannot be created");
    assert_int_equal(access("good", F_OK), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(wrong_usage, enter, leave),
        cmocka_unit_test_setup_teardown(wrong_addresses, enter, leave),
        cmocka_unit_test_setup_teardown(wrong_files, enter, leave),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
