/* SPDX-License-Identifier: MIT */
#include "cmocka_all.h"

#include "bench/bench_args.h"
#include "capture.h"
#include "words.h"

#include <stdlib.h>

static enum cli_result parse(struct bench_args *args, const char *what, const char *line,
                             struct multifd_error *err)
{
    static struct words words; /* what is parsed points into it */

    words_split(&words, what, line);
    return bench_args_parse(args, measurement_find(what), words.argc, words.argv, err);
}

static struct bench_args parsed(const char *what, const char *line)
{
    struct multifd_error err = {0};
    struct bench_args args;

    if (parse(&args, what, line, &err) != CLI_RUN) {
        fail_msg("%s %s: %s", what, line, err.message);
    }
    return args;
}

/* The values of an option, joined by commas again. */
static void assert_values(const struct bench_args *args, const char *name, const char *expected)
{
    const json_t *values = json_object_get(args->values, name);
    char text[256] = "";

    assert_non_null(values);
    for (size_t i = 0; i < json_array_size(values); i++) {
        size_t used = strlen(text);
        (void)snprintf(text + used, sizeof(text) - used, "%s%s", i == 0 ? "" : ",",
                       json_string_value(json_array_get(values, i)));
    }
    assert_string_equal(text, expected);
}

static const char *choice(const json_t *cases, size_t number, const char *name)
{
    const char *text = json_string_value(json_object_get(json_array_get(cases, number), name));

    return text != NULL ? text : "-";
}

static void initial_values_are_the_measurements(void **state)
{
    struct bench_args args = parsed("latency", "");

    (void)state;
    assert_values(&args, "channels", "1");
    assert_values(&args, "memory", "4M");
    assert_values(&args, "size", "4K");
    assert_values(&args, "page-size", "4K"); /* the library's */
    assert_null(json_object_get(args.values, "repeat"));
    assert_null(json_object_get(args.values, "verify")); /* nobody asked */
    assert_null(args.address);
    assert_int_equal(args.port, 0);
    bench_args_clear(&args);
}

static void each_measurement_starts(void **state)
{
    (void)state;
    for (const struct measurement *const *what = measurements; *what != NULL; what++) {
        struct bench_args args = parsed((*what)->name, "");
        json_t *cases = bench_args_cases(&args);
        struct multifd_error err = {0};

        assert_true(json_array_size(cases) > 0);
        for (size_t i = 0; i < json_array_size(cases); i++) {
            struct bench_case bench;
            if (bench_case_init(&bench, json_array_get(cases, i), &err) != 0) {
                fail_msg("%s: %s", (*what)->name, err.message);
            }
            bench_case_clear(&bench);
        }
        json_decref(cases);
        bench_args_clear(&args);
    }
}

static void lists_and_flags(void **state)
{
    struct bench_args args = parsed("bandwidth", "tcp:host --size 4K,8K -q 1,2,4 --raw=off "
                                                 "--json --loopback --plot a.svg -p 77");

    (void)state;
    assert_string_equal(args.address, "tcp:host");
    assert_values(&args, "size", "4K,8K");
    assert_values(&args, "channels", "1,2,4");
    assert_values(&args, "raw", "off");
    assert_true(args.json && args.loopback);
    assert_string_equal(args.plot, "a.svg");
    assert_int_equal(args.port, 77);
    bench_args_clear(&args);
}

static void the_last_value_given_counts(void **state)
{
    struct bench_args args = parsed("bandwidth", "--size 4K -a --raw --raw=off --raw");

    (void)state;
    assert_values(&args, "size", "4K,8K,16K,32K,64K,128K,256K,512K");
    assert_values(&args, "raw", "on");
    bench_args_clear(&args);
}

static void the_last_option_changes_fastest(void **state)
{
    static const char *const expected[][2] = {{"4K", "1"}, {"4K", "2"}, {"8K", "1"}, {"8K", "2"}};
    struct bench_args args = parsed("bandwidth", "--channels 1,2 --size 4K,8K");
    json_t *cases = bench_args_cases(&args);

    (void)state;
    assert_int_equal(json_array_size(cases), 4);
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(choice(cases, i, "size"), expected[i][0]);
        assert_string_equal(choice(cases, i, "channels"), expected[i][1]);
        assert_string_equal(choice(cases, i, "memory"), "256M");
    }
    json_decref(cases);
    bench_args_clear(&args);
}

static void a_case_has_the_level_of_its_method(void **state)
{
    static const char *const expected[][3] = {{"nocomp", "-", "-"},
                                              {"zlib", "1", "-"},
                                              {"zlib", "6", "-"},
                                              {"zstd", "-", "1"},
                                              {"zstd", "-", "-3"}};
    struct bench_args args =
        parsed("method", "--method nocomp,zlib,zstd --zlib-level 1,6 --zstd-level=1,-3");
    json_t *cases = bench_args_cases(&args);

    (void)state;
    assert_int_equal(json_array_size(cases), 5);
    for (size_t i = 0; i < 5; i++) {
        assert_string_equal(choice(cases, i, "method"), expected[i][0]);
        assert_string_equal(choice(cases, i, "zlib-level"), expected[i][1]);
        assert_string_equal(choice(cases, i, "zstd-level"), expected[i][2]);
    }
    json_decref(cases);
    bench_args_clear(&args);
}

static void assert_wrong(const char *what, const char *line, const char *reason)
{
    struct multifd_error err = {0};
    struct bench_args args;

    if (parse(&args, what, line, &err) != CLI_WRONG || strstr(err.message, reason) == NULL) {
        fail_msg("%s %s: \"%s\" lacks \"%s\"", what, line, err.message, reason);
    }
    bench_args_clear(&args);
}

static void names_what_is_wrong(void **state)
{
    (void)state;
    assert_wrong("bandwidth", "--nothing", "unknown option --nothing");
    assert_wrong("bandwidth", "--qemu", "unknown option --qemu");
    assert_wrong("bandwidth", "--iters 5", "unknown option --iters");
    assert_wrong("bandwidth", "--port 65536", "\"65536\" is no port");
    assert_wrong("bandwidth", "--port x", "\"x\" is no port");
    assert_wrong("bandwidth", "--port 0", "\"0\" is no port");
    assert_wrong("bandwidth", "--size", "--size needs a value");
    assert_wrong("bandwidth", "a b", "unexpected argument \"b\"");
    assert_wrong("scan", "rdma:host", "unexpected argument");
    assert_wrong("scan", "--loopback", "unknown option --loopback");
    assert_wrong("scan", "--channels 2", "unknown option --channels");
    assert_wrong("raw", "--verify", "unknown option --verify");
    assert_wrong("raw", "--method zlib", "unknown option --method");
    assert_wrong("send", "--tx-depth 64", "unknown option --tx-depth");
    assert_wrong("method", "--plot a.svg", "unknown option --plot");
    assert_wrong("bandwidth", "--size \xff", "UTF-8");
}

static void help_shows_the_measurements_initial_values(void **state)
{
    struct multifd_error err = {0};
    struct capture capture;
    struct bench_args args;

    (void)state;
    capture_start(&capture, stdout);
    enum cli_result result = parse(&args, "sync", "--help", &err);
    capture_stop(&capture);
    bench_args_clear(&args);
    assert_int_equal(result, CLI_ENDED);
    assert_non_null(strstr(capture.text, "Usage: multifd bench sync "));
    assert_non_null(strstr(capture.text, "[1,2,4,8]"));
    assert_non_null(strstr(capture.text, "[4M]"));
    assert_null(strstr(capture.text, "--qemu"));
}

/* The manual describes every option of every measurement, or that of send does. */
static void the_manual_has_every_option(void **state)
{
    static char manuals[65536];
    static const char *const files[] = {MANUALS "/multifd-bench.1", MANUALS "/multifd-send.1"};
    size_t used = 0;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        FILE *file = fopen(files[i], "r");
        assert_non_null(file);
        used += fread(manuals + used, 1, sizeof(manuals) - 1 - used, file);
        (void)fclose(file);
    }
    for (const struct measurement *const *what = measurements; *what != NULL; what++) {
        struct multifd_error err = {0};
        struct capture capture;
        struct bench_args args;
        char item[64];

        capture_start(&capture, stdout);
        (void)parse(&args, (*what)->name, "--list-options", &err);
        capture_stop(&capture);
        bench_args_clear(&args);
        if (strstr(manuals, (*what)->name) == NULL) {
            fail_msg("the manual lacks %s", (*what)->name);
        }
        for (char *name = strtok(capture.text, "=\n"); name != NULL; name = strtok(NULL, "=\n")) {
            (void)snprintf(item, sizeof(item), "Fl %s", name + 1);
            if (strstr(manuals, item) == NULL) {
                fail_msg("the manual lacks %s of %s", name, (*what)->name);
            }
        }
    }
}

static void help_fits_a_terminal(void **state)
{
    (void)state;
    for (const struct measurement *const *what = measurements; *what != NULL; what++) {
        struct multifd_error err = {0};
        struct capture capture;
        struct bench_args args;

        capture_start(&capture, stdout);
        (void)parse(&args, (*what)->name, "--help", &err);
        capture_stop(&capture);
        bench_args_clear(&args);
        for (char *line = strtok(capture.text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
            assert_true(strlen(line) <= 100);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(initial_values_are_the_measurements),
        cmocka_unit_test(each_measurement_starts),
        cmocka_unit_test(lists_and_flags),
        cmocka_unit_test(the_last_value_given_counts),
        cmocka_unit_test(the_last_option_changes_fastest),
        cmocka_unit_test(a_case_has_the_level_of_its_method),
        cmocka_unit_test(names_what_is_wrong),
        cmocka_unit_test(help_shows_the_measurements_initial_values),
        cmocka_unit_test(the_manual_has_every_option),
        cmocka_unit_test(help_fits_a_terminal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
