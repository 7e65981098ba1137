/* SPDX-License-Identifier: MIT */
#include "cmocka_all.h"

#include "bridge/bridge_args.h"
#include "capture.h"
#include "cli_table.h"
#include "commands.h"
#include "words.h"

#include <stdlib.h>
#include <string.h>

#define SOURCE      "unix:/run/a rdma:10.0.0.1:4444"
#define DESTINATION "rdma:10.0.0.1:4444 unix:/run/b"

static enum cli_result parse(struct bridge_args *args, enum qemu_role role, const char *line,
                             struct multifd_error *err)
{
    static struct words words; /* the arguments point into it */

    words_split(&words, "side", line);
    return bridge_args_parse(args, role, words.argc, words.argv, err);
}

static void takes_both_sides(void **state)
{
    struct multifd_error err = {0};
    struct bridge_args args;

    (void)state;
    assert_int_equal(parse(&args, QEMU_SOURCE,
                           SOURCE " --qmp /run/qmp -q 4 --max-bandwidth 0 --downtime-limit 250ms "
                                  "--multifd-compression zstd --ram a=f --timeout 5s -d rxe0",
                           &err),
                     CLI_RUN);
    assert_string_equal(args.qemu, "unix:/run/a");
    assert_string_equal(args.rdma, "rdma:10.0.0.1:4444");
    assert_string_equal(args.qmp, "/run/qmp");
    assert_int_equal(args.settings.channels, 4);
    assert_int_equal(args.settings.max_bandwidth, 0);
    assert_int_equal(args.settings.downtime_ms, 250);
    assert_string_equal(args.settings.compression, "zstd");
    assert_int_equal(args.session.rams.count, 1);
    bridge_args_clear(&args);

    assert_int_equal(parse(&args, QEMU_DESTINATION, DESTINATION " --ready port --json", &err),
                     CLI_RUN);
    assert_string_equal(args.qemu, "unix:/run/b");
    assert_string_equal(args.rdma, "rdma:10.0.0.1:4444");
    assert_null(args.qmp);
    assert_true(args.settings.channels == QEMU_KEEP && args.settings.max_bandwidth == QEMU_KEEP &&
                args.settings.downtime_ms == QEMU_KEEP);
    assert_string_equal(args.session.ready, "port");
    assert_true(args.session.json);
    bridge_args_clear(&args);
}

static void assert_wrong(enum qemu_role role, const char *line, const char *text)
{
    struct multifd_error err = {0};
    struct bridge_args args;

    assert_int_equal(parse(&args, role, line, &err), CLI_WRONG);
    if (strstr(err.message, text) == NULL) {
        fail_msg("%s: %s", line, err.message);
    }
    bridge_args_clear(&args);
}

static void names_what_is_wrong(void **state)
{
    (void)state;
    assert_wrong(QEMU_SOURCE, "", "unix:PATH of QEMU, then rdma:HOST:PORT");
    assert_wrong(QEMU_SOURCE, "unix:/run/a", "needs two addresses");
    assert_wrong(QEMU_SOURCE, DESTINATION, "needs two addresses");
    assert_wrong(QEMU_DESTINATION, SOURCE, "rdma:HOST:PORT, then unix:PATH of QEMU");
    assert_wrong(QEMU_SOURCE, SOURCE " more", "unexpected argument \"more\"");
    assert_wrong(QEMU_SOURCE, "tcp:a:1 tcp:b:1", "needs two addresses");
    assert_wrong(QEMU_SOURCE, SOURCE " --ram x", "NAME=PATH");
    assert_wrong(QEMU_SOURCE, SOURCE " --channels 0", "1 to 255");
    assert_wrong(QEMU_SOURCE, SOURCE " --channels 256", "1 to 255");
    assert_wrong(QEMU_SOURCE, SOURCE " --qmp x --max-bandwidth fast", "not a size");
    assert_wrong(QEMU_SOURCE, SOURCE " --qmp x --downtime-limit 1us", "whole milliseconds");
    assert_wrong(QEMU_SOURCE, SOURCE " --max-bandwidth 1G", "--max-bandwidth is set in QEMU");
    assert_wrong(QEMU_SOURCE, SOURCE " --downtime-limit 1s", "--downtime-limit is set in QEMU");
    assert_wrong(QEMU_SOURCE, SOURCE " --multifd-compression zlib", "takes --qmp");
    assert_wrong(QEMU_SOURCE, SOURCE " --method zlib", "unknown option --method");
}

static void assert_manual_has_options(const struct cli_command *command, const char *file)
{
    char text[32768] = "";
    size_t own_count;
    struct cli_option *table = cli_table_new(command, &own_count);
    FILE *manual = fopen(file, "r");

    assert_non_null(manual);
    text[fread(text, 1, sizeof(text) - 1, manual)] = '\0';
    (void)fclose(manual);
    for (const struct cli_option *option = table; option->name != NULL; option++) {
        char item[64];
        (void)snprintf(item, sizeof(item), "Fl -%s", option->name);
        if (strstr(text, item) == NULL) {
            fail_msg("%s lacks --%s", file, option->name);
        }
    }
    free(table);
}

static void the_manual_has_every_option(void **state)
{
    (void)state;
    assert_manual_has_options(&bridge_source, MANUALS "/multifd-bridge.1");
    assert_manual_has_options(&bridge_destination, MANUALS "/multifd-bridge.1");
}

static void assert_run(const char *line, int status, const char *out, const char *complaint)
{
    struct capture capture;
    struct words words;

    words_split(&words, "bridge", line);
    capture_start(&capture, out != NULL ? stdout : stderr);
    int got = command_bridge.run(&command_bridge, words.argc, words.argv);
    capture_stop(&capture);
    assert_int_equal(got, status);
    if (strstr(capture.text, out != NULL ? out : complaint) == NULL) {
        fail_msg("%s: %s", line, capture.text);
    }
}

static void helps(void **state)
{
    (void)state;
    assert_run("--help", CLI_EXIT_DONE, "Usage: multifd bridge source|destination", NULL);
    assert_run("source --help", CLI_EXIT_DONE, "Usage: multifd bridge source unix:PATH", NULL);
    assert_run("destination --help", CLI_EXIT_DONE, "  -q, --channels N", NULL);
    assert_run("source --list-options", CLI_EXIT_DONE, "--qmp=\n", NULL);
    assert_run("", CLI_EXIT_WRONG, NULL, "multifd bridge: which side: source or destination");
    assert_run("sideways", CLI_EXIT_WRONG, NULL, "\"sideways\" is no side: source or destination");
    assert_run("source", CLI_EXIT_WRONG, NULL, "multifd bridge source: needs two addresses");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_both_sides),
        cmocka_unit_test(names_what_is_wrong),
        cmocka_unit_test(the_manual_has_every_option),
        cmocka_unit_test(helps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
