/* SPDX-License-Identifier: MIT */
#include "cmocka_all.h"

#include "bench/bench_case.h"

#include <string.h>

/* Makes a case of JSON; bench_case_clear in either case. */
static int make(struct bench_case *bench, const char *text, struct multifd_error *err)
{
    json_t *choices = json_loads(text, 0, NULL);

    assert_non_null(choices);
    int status = bench_case_init(bench, choices, err);
    json_decref(choices); /* the case has its own reference */
    return status;
}

static void initial_values(void **state)
{
    struct multifd_error err = {0};
    struct bench_case bench;

    (void)state;
    assert_int_equal(make(&bench, "{}", &err), 0);
    assert_int_equal(bench.size, 4096);
    assert_int_equal(bench.memory, 256 << 20);
    assert_int_equal(bench.iterations, 1000);
    assert_int_equal(bench.duration_ns, 0);
    assert_int_equal(bench.threads, 1);
    assert_true(bench.raw && !bench.events && !bench.thp);
    assert_string_equal(bench.content, "");
    assert_int_equal(bench.page_size, 4096);
    assert_string_equal(bench.method, "nocomp");
    assert_string_equal(bench.verbs.device, "");
    assert_int_equal(bench.verbs.gid_index, VERBS_AUTO);
    assert_int_equal(bench.verbs.mtu, 0);
    assert_int_equal(bench.verbs.retry_count, 7);
    bench_case_clear(&bench);
}

static void every_type(void **state)
{
    struct multifd_error err = {0};
    struct bench_case bench;

    (void)state;
    assert_int_equal(make(&bench,
                          "{\"size\": \"64K\", \"iters\": \"7\", \"duration\": \"2s\","
                          " \"raw\": \"off\", \"events\": \"on\", \"content\": \"a file\","
                          " \"channels\": \"3\", \"window\": \"5\", \"page-size\": \"8K\","
                          " \"method\": \"zstd\", \"zstd-level\": \"-2\", \"timeout\": \"3s\"}",
                          &err),
                     0);
    assert_int_equal(bench.size, 65536);
    assert_int_equal(bench.iterations, 7);
    assert_int_equal(bench.duration_ns, 2000000000);
    assert_true(!bench.raw && bench.events);
    assert_string_equal(bench.content, "a file");
    assert_int_equal(bench.channels, 3);
    assert_int_equal(bench.window, 5);
    assert_int_equal(bench.page_size, 8192);
    assert_string_equal(bench.method, "zstd");
    bench_case_clear(&bench);
}

static void assert_bound(const char *name, const char *value, bool fine)
{
    struct multifd_error err = {0};
    struct bench_case bench;
    char text[128];

    (void)snprintf(text, sizeof(text), "{\"%s\": \"%s\"}", name, value);
    if ((make(&bench, text, &err) == 0) != fine) {
        fail_msg("--%s %s: %s", name, value, fine ? err.message : "taken");
    }
    if (!fine) {
        assert_int_equal(err.code, MULTIFD_ERROR_INVALID);
        assert_non_null(strstr(err.message, name));
    }
    bench_case_clear(&bench);
}

static void bounds(void **state)
{
    (void)state;
    assert_bound("size", "1", true);
    assert_bound("size", "1G", true);
    assert_bound("size", "0", false);
    assert_bound("size", "2G", false);
    assert_bound("memory", "1M", true);
    assert_bound("memory", "16T", true);
    assert_bound("memory", "1023K", false);
    assert_bound("memory", "17T", false);
    assert_bound("iters", "1", true);
    assert_bound("iters", "100000000", true);
    assert_bound("iters", "100000001", false);
    assert_bound("iters", "0", false);
    assert_bound("duration", "60min", true);
    assert_bound("duration", "61min", false);
    assert_bound("repeat", "1000", true);
    assert_bound("repeat", "1001", false);
    assert_bound("threads", "1024", true);
    assert_bound("threads", "1025", false);
    assert_bound("channels", "255", true);
    assert_bound("channels", "256", false);
}

static void wrong_texts(void **state)
{
    static const char *const names[] = {"size", "iters", "duration", "raw", "channels", "verify"};
    static const char *const values[] = {
        "", "-1", "x", "1x", " 1", "0x1", "99999999999999999999999999"};

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        for (size_t j = 0; j < sizeof(values) / sizeof(values[0]); j++) {
            assert_bound(names[i], values[j], false);
        }
    }
    assert_bound("nothing", "1", false);
    assert_bound("", "1", false);
}

static void memory_is_whole_pages(void **state)
{
    struct multifd_error err = {0};
    struct bench_case bench;

    (void)state;
    assert_int_equal(make(&bench, "{\"memory\": \"1M\", \"page-size\": \"2M\"}", &err), -1);
    assert_string_equal(err.message, "option memory: not a multiple of the page size");
    bench_case_clear(&bench);
}

static void device_options(void **state)
{
    struct multifd_error err = {0};
    struct bench_case bench;

    (void)state;
    assert_int_equal(make(&bench,
                          "{\"ib-dev\": \"rxe0\", \"ib-port\": \"2\", \"gid-index\": \"1\","
                          " \"mtu\": \"1024\", \"sl\": \"auto\", \"qp-timeout\": \"14\"}",
                          &err),
                     0);
    assert_string_equal(bench.verbs.device, "rxe0");
    assert_int_equal(bench.verbs.port, 2);
    assert_int_equal(bench.verbs.gid_index, 1);
    assert_int_equal(bench.verbs.mtu, 1024);
    assert_int_equal(bench.verbs.service_level, VERBS_AUTO);
    assert_int_equal(bench.verbs.qp_timeout, 14);
    bench_case_clear(&bench);
    assert_int_equal(make(&bench, "{\"gid-index\": \"1\"}", &err), -1);
    assert_string_equal(err.message, "option gid-index needs ib-dev");
    bench_case_clear(&bench);
}

static void no_texts(void **state)
{
    static const char *const values[] = {"1", "1.5", "null", "true", "[]", "{}", "[\"4K\"]"};

    (void)state;
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        struct multifd_error err = {0};
        struct bench_case bench;
        char text[64];

        (void)snprintf(text, sizeof(text), "{\"size\": %s}", values[i]);
        assert_int_equal(make(&bench, text, &err), -1);
        assert_int_equal(err.code, MULTIFD_ERROR_PROTOCOL);
        assert_string_equal(err.message, "option size: not a text");
        bench_case_clear(&bench);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(initial_values),
        cmocka_unit_test(every_type),
        cmocka_unit_test(bounds),
        cmocka_unit_test(wrong_texts),
        cmocka_unit_test(memory_is_whole_pages),
        cmocka_unit_test(device_options),
        cmocka_unit_test(no_texts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
