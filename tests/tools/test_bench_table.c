/* SPDX-License-Identifier: MIT */
#include "cmocka_all.h"

#include "bench/results.h"
#include "capture.h"

#include <string.h>

#define SYSTEM                                                                                     \
    "\"multifd\":\"1.2.3\",\"system\":{\"kernel\":\"Linux\",\"release\":\"6.1\","                  \
    "\"processors\":3,\"devices\":[{\"name\":\"rxe0\",\"port\":1,\"mtu\":1024}]}"
#define SYSTEM_LINE "multifd 1.2.3, Linux 6.1, processors: 3, rxe0 port 1 MTU 1024\n"

static const struct column columns[] = {
    {"text", "options.text", COLUMN_TEXT},
    {"count", "count", COLUMN_COUNT},
    {"size", "bytes", COLUMN_SIZE},
    {"Gb/s", "gbps.median", COLUMN_GBPS},
    {"ratio", "ratio", COLUMN_RATIO},
    {"us", "ns", COLUMN_MICROSECONDS},
    {"ns", "ns", COLUMN_NANOSECONDS},
    {"s", "s", COLUMN_SECONDS},
    {.heading = NULL},
};
static const struct measurement what = {.name = "test", .columns = columns};

static void assert_printed(const char *results_text, const char *values_text, const char *expected)
{
    json_t *results = json_loads(results_text, 0, NULL);
    json_t *values = json_loads(values_text, 0, NULL);
    struct capture capture;

    assert_non_null(results);
    assert_non_null(values);
    capture_start(&capture, stdout);
    results_print(results, &what, values);
    capture_stop(&capture);
    json_decref(values);
    json_decref(results);
    assert_string_equal(capture.text, expected);
}

static void every_format(void **state)
{
    (void)state;
    assert_printed("{" SYSTEM ",\"rows\":["
                   "{\"options\":{\"text\":\"a\"},\"count\":7,\"bytes\":65536,"
                   "\"gbps\":{\"median\":12.345},\"ratio\":0.994,\"ns\":1234.56,\"s\":0.0625},"
                   "{\"options\":{\"text\":\"longer\"},\"count\":1000000,\"bytes\":100,"
                   "\"gbps\":{\"median\":100},\"ratio\":1,\"ns\":50,\"s\":2}]}",
                   "{}",
                   SYSTEM_LINE "  text    count      size    Gb/s  ratio   us      ns      s\n"
                               "     a        7  64.0 KiB   12.35   0.99  1.2  1234.6  0.062\n"
                               "longer  1000000     100 B  100.00   1.00  0.1    50.0  2.000\n");
}

static void what_is_not_there(void **state)
{
    (void)state;
    assert_printed("{" SYSTEM ",\"rows\":[{\"options\":{},\"gbps\":3,\"ns\":null}]}", "{}",
                   SYSTEM_LINE "text  count  size  Gb/s  ratio  us  ns  s\n"
                               "   -      -     -     -      -   -   -  -\n");
}

static void no_rows(void **state)
{
    (void)state;
    assert_printed("{" SYSTEM ",\"rows\":[]}", "{}",
                   SYSTEM_LINE "text  count  size  Gb/s  ratio  us  ns  s\n");
}

/* An option with several values has a column; one that has a column already, and the size, none. */
static void options_that_were_tried(void **state)
{
    (void)state;
    assert_printed("{" SYSTEM ",\"rows\":["
                   "{\"options\":{\"text\":\"a\",\"poll\":\"0\",\"size\":\"4K\"}},"
                   "{\"options\":{\"text\":\"b\",\"poll\":\"50us\",\"size\":\"8K\"}}]}",
                   "{\"text\":[\"a\",\"b\"],\"size\":[\"4K\",\"8K\"],\"poll\":[\"0\",\"50us\"],"
                   "\"sl\":[\"1\"]}",
                   SYSTEM_LINE "text  count  size  Gb/s  ratio  us  ns  s  poll\n"
                               "   a      -     -     -      -   -   -  -     0\n"
                               "   b      -     -     -      -   -   -  -  50us\n");
}

#define DISTRIBUTION "{\"count\":4,\"histogram\":[[1024,1],[2048,3]]}"

static void distributions_of_both_sides(void **state)
{
    (void)state;
    assert_printed("{" SYSTEM ",\"rows\":[{\"options\":{},\"sync\":" DISTRIBUTION
                   ",\"destination\":{\"applied\":" DISTRIBUTION "}}]}",
                   "{}",
                   SYSTEM_LINE "text  count  size  Gb/s  ratio  us  ns  s\n"
                               "   -      -     -     -      -   -   -  -\n"
                               "\nsync, microseconds up to, share of all\n"
                               "       1.0   25.0 %  #############\n"
                               "       2.0   75.0 %  ######################################\n"
                               "\napplied, microseconds up to, share of all\n"
                               "       1.0   25.0 %  #############\n"
                               "       2.0   75.0 %  ######################################\n");
}

static void members_of_a_row(void **state)
{
    json_t *row = json_loads("{\"a\":{\"b\":{\"c\":5}},\"d\":1}", 0, NULL);

    (void)state;
    assert_int_equal(json_integer_value(results_member(row, "a.b.c")), 5);
    assert_int_equal(json_integer_value(results_member(row, "d")), 1);
    assert_null(results_member(row, "a.x.c"));
    assert_null(results_member(row, "d.e"));
    assert_null(results_member(NULL, "a"));
    json_decref(row);
}

static void the_frame_of_the_json(void **state)
{
    const struct measurement *sync_rounds = measurement_find("sync");
    json_t *results = results_new(sync_rounds);
    const json_t *system = json_object_get(results, "system");

    (void)state;
    assert_int_equal(json_integer_value(json_object_get(results, "version")), 1);
    assert_string_equal(json_string_value(json_object_get(results, "type")), "bench");
    assert_string_equal(json_string_value(json_object_get(results, "measurement")), "sync");
    assert_string_equal(json_string_value(json_object_get(results, "multifd")), multifd_version());
    assert_true(json_is_array(json_object_get(results, "rows")));
    assert_true(json_is_array(json_object_get(system, "devices")));
    assert_true(json_integer_value(json_object_get(system, "processors")) > 0);
    json_decref(results);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_format),
        cmocka_unit_test(what_is_not_there),
        cmocka_unit_test(no_rows),
        cmocka_unit_test(options_that_were_tried),
        cmocka_unit_test(distributions_of_both_sides),
        cmocka_unit_test(members_of_a_row),
        cmocka_unit_test(the_frame_of_the_json),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
