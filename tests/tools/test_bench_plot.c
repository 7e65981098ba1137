/* SPDX-License-Identifier: MIT */
/* The script that gnuplot gets; a shell script in its place keeps it. */
#include "cmocka_all.h"

#include "bench/results.h"
#include "scratch.h"

#include <string.h>
#include <sys/stat.h>

static void make_gnuplot(const char *body)
{
    FILE *file = fopen("gnuplot", "w");

    assert_non_null(file);
    (void)fprintf(file, "#!/bin/sh\n%s\n", body);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod("gnuplot", 0755), 0);
}

static int enter(void **state)
{
    char path[128];

    (void)state;
    if (scratch_enter_below("/tmp") != 0) {
        return -1;
    }
    (void)snprintf(path, sizeof(path), "%s:/bin:/usr/bin", scratch_directory);
    return setenv("PATH", path, 1);
}

static int leave(void **state)
{
    (void)state;
    return setenv("PATH", "/bin:/usr/bin", 1) != 0 ? -1 : scratch_leave();
}

static int draw(const char *name, enum plot_kind kind, const char *rows, const char *values,
                const char *file, struct multifd_error *err)
{
    const struct measurement what = {.name = name, .plot = kind};
    json_t *results = json_pack("{s:o}", "rows", json_loads(rows, 0, NULL));

    json_t *tried = json_loads(values, 0, NULL);

    assert_non_null(results);
    assert_non_null(tried);
    int status = results_plot(results, &what, tried, file, err);
    json_decref(results);
    json_decref(tried);
    return status;
}

static void assert_script(enum plot_kind kind, const char *rows, const char *values,
                          const char *file, const char *expected)
{
    struct multifd_error err = {0};
    char text[4096] = "";

    make_gnuplot("cat > script");
    assert_int_equal(draw("test", kind, rows, values, file, &err), 0);
    FILE *script = fopen("script", "r");
    assert_non_null(script);
    text[fread(text, 1, sizeof(text) - 1, script)] = '\0';
    assert_int_equal(fclose(script), 0);
    assert_string_equal(text, expected);
}

#define HEAD(file)                                                                                 \
    "set terminal svg size 900,560 dynamic background 'white'\nset output '" file "'\n"            \
    "set title 'multifd bench test'\nset grid\nset key outside bottom\n"
#define BANDWIDTH_HEAD                                                                             \
    "set logscale x 2\nset format x '%.0b%B'\nset xlabel 'message, bytes'\nset ylabel 'Gb/s'\n"    \
    "set yrange [0:*]\n"
#define DISTRIBUTION_HEAD                                                                          \
    "set logscale x\nset xlabel 'microseconds'\nset ylabel 'share that took no longer, %'\n"       \
    "set yrange [0:100]\n"

static void a_line_for_each_set_of_options(void **state)
{
    (void)state;
    assert_script(PLOT_BANDWIDTH,
                  "[{\"options\":{\"channels\":\"1\",\"size\":\"4K\"},\"message_bytes\":4096,"
                  "\"session_gbps\":{\"median\":1.5},\"raw_gbps\":{\"median\":2}},"
                  "{\"options\":{\"channels\":\"2\",\"size\":\"4K\"},\"message_bytes\":4096,"
                  "\"session_gbps\":{\"median\":3}},"
                  "{\"options\":{\"channels\":\"1\",\"size\":\"8K\"},\"message_bytes\":8192,"
                  "\"session_gbps\":{\"median\":2.5},\"raw_gbps\":{\"median\":3}}]",
                  "{\"channels\":[\"1\",\"2\"],\"size\":[\"4K\",\"8K\"]}", "a.svg",
                  HEAD("a.svg") BANDWIDTH_HEAD
                  "$points_0_s << END\n4096 1.500000\n8192 2.500000\nEND\n"
                  "$points_0_r << END\n4096 2.000000\n8192 3.000000\nEND\n"
                  "$points_1_s << END\n4096 3.000000\nEND\n"
                  "plot $points_0_s with linespoints title 'session, channels 1',"
                  " $points_0_r with linespoints title 'raw, channels 1',"
                  " $points_1_s with linespoints title 'session, channels 2'\n");
}

static void a_line_for_each_distribution(void **state)
{
    (void)state;
    assert_script(PLOT_DISTRIBUTION,
                  "[{\"message_bytes\":4096,\"acknowledged\":{\"count\":4,"
                  "\"histogram\":[[1000,1],[2000,3]]},"
                  "\"destination\":{\"applied\":{\"count\":1,\"histogram\":[[500,1]]}}}]",
                  "{\"size\":[\"4K\"],\"channels\":[\"1\"]}", "a.svg",
                  HEAD("a.svg") DISTRIBUTION_HEAD
                  "$values_0 << END\n1.000000 25.000000\n2.000000 100.000000\nEND\n"
                  "$values_1 << END\n0.500000 100.000000\nEND\n"
                  "plot $values_0 with steps title 'acknowledged, 4096 bytes',"
                  " $values_1 with steps title 'destination.applied, 4096 bytes'\n");
}

/* Those that are always told and the size, which the line runs over, are not told again. */
static void lines_are_told_by_what_was_swept(void **state)
{
    (void)state;
    assert_script(PLOT_BANDWIDTH,
                  "[{\"options\":{\"channels\":\"1\",\"size\":\"4K\",\"post-list\":\"1\"},"
                  "\"message_bytes\":4096,\"raw_gbps\":{\"median\":2}},"
                  "{\"options\":{\"channels\":\"1\",\"size\":\"4K\",\"post-list\":\"0\"},"
                  "\"message_bytes\":4096,\"raw_gbps\":{\"median\":3}}]",
                  "{\"channels\":[\"1\"],\"size\":[\"4K\"],\"post-list\":[\"1\",\"0\"]}", "a.svg",
                  HEAD("a.svg") BANDWIDTH_HEAD
                  "$points_0_r << END\n4096 2.000000\nEND\n"
                  "$points_1_r << END\n4096 3.000000\nEND\n"
                  "plot $points_0_r with linespoints title 'raw, channels 1, post-list 1',"
                  " $points_1_r with linespoints title 'raw, channels 1, post-list 0'\n");
}

static void distributions_are_told_by_what_was_swept(void **state)
{
    (void)state;
    assert_script(PLOT_DISTRIBUTION,
                  "[{\"options\":{\"channels\":\"1\",\"load\":\"0\"},"
                  "\"sync\":{\"count\":1,\"histogram\":[[1000,1]]}},"
                  "{\"options\":{\"channels\":\"2\",\"load\":\"0\"},"
                  "\"sync\":{\"count\":1,\"histogram\":[[2000,1]]}}]",
                  "{\"channels\":[\"1\",\"2\"],\"load\":[\"0\"]}", "a.svg",
                  HEAD("a.svg") DISTRIBUTION_HEAD
                  "$values_0 << END\n1.000000 100.000000\nEND\n"
                  "$values_1 << END\n2.000000 100.000000\nEND\n"
                  "plot $values_0 with steps title 'sync, channels 1',"
                  " $values_1 with steps title 'sync, channels 2'\n");
}

/* A file's name stays a name. */
static void quotes_in_a_name(void **state)
{
    (void)state;
    assert_script(PLOT_BANDWIDTH, "[]", "{}", "it's'; system 'x.svg",
                  HEAD("it''s''; system ''x.svg") BANDWIDTH_HEAD "\n");
}

static void gnuplot_fails(void **state)
{
    struct multifd_error err = {0};

    (void)state;
    make_gnuplot("exit 3");
    assert_int_equal(draw("test", PLOT_BANDWIDTH, "[]", "{}", "a.svg", &err), -1);
    assert_string_equal(err.message, "a.svg was not drawn: gnuplot failed");
    make_gnuplot("kill -9 $$");
    assert_int_equal(draw("test", PLOT_BANDWIDTH, "[]", "{}", "a.svg", &err), -1);
}

static void no_gnuplot(void **state)
{
    struct multifd_error err = {0};

    (void)state;
    assert_int_equal(setenv("PATH", scratch_directory, 1), 0);
    assert_int_equal(draw("test", PLOT_BANDWIDTH, "[]", "{}", "a.svg", &err), -1);
    assert_int_equal(err.code, MULTIFD_ERROR_SYSTEM);
    assert_string_equal(err.message,
                        "a.svg was not drawn: gnuplot could not be started (Debian: gnuplot-nox)");
}

#define in_scratch(test) cmocka_unit_test_setup_teardown(test, enter, leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_scratch(a_line_for_each_set_of_options),
        in_scratch(a_line_for_each_distribution),
        in_scratch(lines_are_told_by_what_was_swept),
        in_scratch(distributions_are_told_by_what_was_swept),
        in_scratch(quotes_in_a_name),
        in_scratch(gnuplot_fails),
        in_scratch(no_gnuplot),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
