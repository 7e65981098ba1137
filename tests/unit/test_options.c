/* SPDX-License-Identifier: MIT */
#include "core/option_table.h"
#include "core/options.h"
#include "mock.h"

#include <errno.h>
#include <stdio.h>

/* Stand for the library's own methods. */
const struct multifd_methods multifd_nocomp_ops;
const struct multifd_methods multifd_zlib_ops;
const struct multifd_methods multifd_zstd_ops;

static struct multifd_options *options;

static int make(void **state)
{
    mock_setup(state);
    options = multifd_options_new();
    return options == NULL ? -1 : 0;
}

static int release(void **state)
{
    multifd_options_delete(&options);
    if (options != NULL) {
        return -1;
    }
    multifd_options_delete(&options);
    return mock_teardown(state);
}

static void set(const char *name, const char *value)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    if (multifd_options_set(options, name, value, &err) != 0) {
        fail_msg("%s", err.message);
    }
    assert_untouched(&err);
}

/* Refused with a text that names the option, and nothing has changed. */
static void assert_refused(const char *name, const char *value)
{
    struct multifd_options before = *options;
    struct multifd_error err = ERROR_UNTOUCHED;

    if (multifd_options_set(options, name, value, &err) != -1) {
        fail_msg("%s=%s was accepted", name, value);
    }
    assert_error(&err, MULTIFD_ERROR_INVALID, name);
    assert_memory_equal(options, &before, sizeof(before));
    assert_int_equal(multifd_options_set(options, name, value, NULL), -1);
}

static void every_option_is_described(void **state)
{
    const struct multifd_option_info *list = multifd_options_list();
    unsigned num = 0;

    (void)state;
    for (; list[num].name != NULL; num++) {
        assert_true(list[num].name[0] != '\0');
        assert_true(list[num].argument[0] != '\0');
        assert_true(list[num].help[0] != '\0');
        assert_non_null(option_table_find(list[num].name));
        for (unsigned i = 0; i < num; i++) {
            assert_string_not_equal(list[i].name, list[num].name);
        }
        set(list[num].name, list[num].initial);
    }
    assert_true(num >= 20);
    assert_null(option_table_find("no-such-option"));
    assert_null(option_table_find(""));
}

static void new_options_have_the_listed_values(void **state)
{
    (void)state;
    assert_int_equal(options->channels, 2);
    assert_int_equal(options->page_size, 4096);
    assert_int_equal(options->window, 32);
    assert_string_equal(options->method, "nocomp");
    assert_int_equal(options->verify, 0);
    assert_int_equal(options->zero_page_detection, ZERO_PAGE_DETECTION_SAMPLED);
    assert_int_equal(options->poll_us, 20);
    assert_int_equal(options->registration, REGISTRATION_ALL);
    assert_int_equal(options->piece_size, 0);
    assert_int_equal(options->transport.timeout_ms, 10000);
    assert_string_equal(options->transport.ib_dev, "");
    assert_int_equal(options->transport.gid_index, -1);
    assert_int_equal(options->transport.traffic_class, -1);
    assert_int_equal(options->transport.service_level, -1);
    assert_int_equal(options->transport.qp_timeout, -1);
    assert_int_equal(options->transport.retry_count, 7);
    assert_int_equal(options->transport.rnr_timer, 12);
    assert_null(options->log.line);
}

static void each_option_sets_its_own_field(void **state)
{
    (void)state;
    set("channels", "255");
    set("page-size", "64K");
    set("window", "3");
    set("method", "zstd");
    set("verify", "on");
    set("timeout", "1500ms");
    set("poll", "1ms");
    set("registration", "odp");
    set("piece-size", "4G");
    set("registration-threads", "5");
    set("ib-dev", "mlx5_0");
    set("ib-port", "2");
    set("gid-index", "3");
    set("tclass", "106");
    set("sl", "4");
    set("mtu", "1024");
    set("qp-timeout", "14");
    set("retry-count", "6");
    set("rnr-timer", "13");
    set("tx-depth", "500");
    assert_int_equal(options->channels, 255);
    assert_int_equal(options->page_size, 65536);
    assert_int_equal(options->window, 3);
    assert_string_equal(options->method, "zstd");
    assert_int_equal(options->verify, 1);
    assert_int_equal(options->transport.timeout_ms, 1500);
    assert_int_equal(options->poll_us, 1000);
    assert_int_equal(options->registration, REGISTRATION_ODP);
    assert_int_equal(options->piece_size, UINT64_C(4) << 30);
    assert_int_equal(options->registration_threads, 5);
    assert_string_equal(options->transport.ib_dev, "mlx5_0");
    assert_int_equal(options->transport.ib_port, 2);
    assert_int_equal(options->transport.gid_index, 3);
    assert_int_equal(options->transport.traffic_class, 106);
    assert_int_equal(options->transport.service_level, 4);
    assert_int_equal(options->transport.mtu, 1024);
    assert_int_equal(options->transport.qp_timeout, 14);
    assert_int_equal(options->transport.retry_count, 6);
    assert_int_equal(options->transport.rnr_timer, 13);
    assert_int_equal(options->transport.tx_depth, 500);
}

static void automatic_again(void **state)
{
    (void)state;
    set("gid-index", "3");
    set("gid-index", "auto");
    assert_int_equal(options->transport.gid_index, -1);
    set("verify", "on");
    set("verify", "off");
    assert_int_equal(options->verify, 0);
    set("ib-dev", "mlx5_0");
    set("ib-dev", "");
    assert_string_equal(options->transport.ib_dev, "");
}

static void ranges_end_where_they_should(void **state)
{
    static const struct {
        const char *name;
        const char *fine[2];
        const char *wrong[2];
    } cases[] = {
        {"channels", {"1", "255"}, {"0", "256"}},
        {"page-size", {"1K", "1G"}, {"512", "2G"}},
        {"window", {"1", "1024"}, {"0", "1025"}},
        {"timeout", {"200ms", "60min"}, {"199ms", "61min"}},
        {"poll", {"0", "1s"}, {"1001ms", "4295s"}},
        {"piece-size", {"1M", "1T"}, {"512K", "2T"}},
        {"piece-size", {"auto", "2M"}, {"0", "1"}},
        {"ib-port", {"0", "255"}, {"256", "4294967297"}},
        {"gid-index", {"0", "65535"}, {"65536", "4294967296"}},
        {"tclass", {"0", "255"}, {"256", "-1"}},
        {"sl", {"0", "15"}, {"16", "4294967296"}},
        {"mtu", {"256", "4096"}, {"128", "8192"}},
        {"qp-timeout", {"1", "31"}, {"0", "32"}},
        {"retry-count", {"0", "7"}, {"8", "4294967296"}},
        {"rnr-timer", {"0", "31"}, {"32", "4294967296"}},
        {"zlib-level", {"0", "9"}, {"-1", "10"}},
        {"max-bandwidth", {"0", "1T"}, {"2T", "-1"}},
        {"zstd-level", {"-7", "20"}, {"-8", "21"}},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        for (size_t j = 0; j < 2; j++) {
            set(cases[i].name, cases[i].fine[j]);
            assert_refused(cases[i].name, cases[i].wrong[j]);
        }
    }
}

static void values_that_make_no_sense(void **state)
{
    static const char *const cases[][2] = {
        {"channels", ""},
        {"channels", "many"},
        {"channels", "auto"},
        {"channels", "-2"},
        {"channels", "2K"},
        {"page-size", "4095"},
        {"page-size", "12K"},
        {"page-size", "4X"},
        {"verify", "yes"},
        {"verify", "1"},
        {"verify", "ON"},
        {"timeout", "soon"},
        {"timeout", "10h"},
        {"mtu", "1500"},
        {"mtu", "768"},
        {"piece-size", "3M"},
        {"piece-size", "AUTO"},
        {"page-size", "auto"},
        {"gid-index", "AUTO"},
        {"gid-index", "-1"},
        {"registration", ""},
        {"registration", "odp2"},
        {"registration", "on_demand"},
        {"zstd-level", ""},
        {"zstd-level", "-"},
        {"zstd-level", "--1"},
        {"zstd-level", "0"},
        {"zstd-level", "-0"},
        {"zstd-level", "-4294967295"},
        {"zero-page-detection", "on"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_refused(cases[i][0], cases[i][1]);
    }
}

static void texts_have_to_fit(void **state)
{
    char text[65];

    (void)state;
    memset(text, 'd', sizeof(text));
    text[64] = '\0';
    assert_refused("ib-dev", text);
    text[63] = '\0';
    set("ib-dev", text);
    assert_string_equal(options->transport.ib_dev, text);
}

static void unknown_options_are_refused(void **state)
{
    (void)state;
    assert_refused("no-such-option", "1");
    assert_refused("", "1");
    assert_refused("CHANNELS", "1");
    assert_refused("channel", "1");
}

static void take_line(void *opaque, const char *line)
{
    (void)opaque;
    (void)line;
}

static void the_log_is_kept(void **state)
{
    (void)state;
    multifd_options_set_log(options, take_line, &options);
    assert_true(options->log.line == take_line);
    assert_ptr_equal(options->log.opaque, &options);
}

static int hook_setup(struct multifd_send_params *p, struct multifd_error *err)
{
    (void)p;
    (void)err;
    return 0;
}

static void hook_cleanup(struct multifd_send_params *p)
{
    (void)p;
}

static int hook_recv(struct multifd_recv_params *p, struct multifd_error *err)
{
    (void)p;
    (void)err;
    return 0;
}

static void methods_are_registered_with_the_options(void **state)
{
    static const struct multifd_methods ops = {.send_setup = hook_setup,
                                               .send_cleanup = hook_cleanup,
                                               .send_prepare = hook_setup,
                                               .recv = hook_recv};
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    assert_int_equal(multifd_register_ops(options, 3u << 1, "own", &ops, NULL), 0);
    assert_ptr_equal(method_table_get(&options->methods, 3u << 1), &ops);
    assert_int_equal(multifd_register_ops(options, 3u << 1, "own", &ops, NULL), -1);
    assert_int_equal(multifd_register_ops(options, 3u << 1, "own", &ops, &err), -1);
    assert_error(&err, MULTIFD_ERROR_INVALID, "own");
    assert_ptr_equal(multifd_options_method(options, "own"), &ops);
}

static void methods_are_found_by_name(void **state)
{
    static const char *const names[] = {"nocomp", "zlib", "zstd"};

    (void)state;
    for (uint32_t i = 0; i < COUNT_OF(names); i++) {
        const struct multifd_methods *ops = multifd_options_method(options, names[i]);
        assert_non_null(ops);
        assert_ptr_equal(ops, method_table_get(&options->methods, i << 1));
    }
    assert_null(multifd_options_method(options, "own"));
    assert_null(multifd_options_method(options, "zli"));
    assert_null(multifd_options_method(options, ""));
}

static void each_method_has_its_level(void **state)
{
    (void)state;
    assert_int_equal(options_level(options, MULTIFD_FLAG_ZLIB), 1);
    assert_int_equal(options_level(options, MULTIFD_FLAG_ZSTD), 1);
    set("zlib-level", "7");
    set("zstd-level", "-5");
    assert_int_equal(options_level(options, MULTIFD_FLAG_ZLIB), 7);
    assert_int_equal(options_level(options, MULTIFD_FLAG_ZSTD), -5);
    assert_int_equal(options_level(options, MULTIFD_FLAG_NOCOMP), 0);
    assert_int_equal(options_level(options, 3u << 1), 0);
}

static void no_memory(void **state)
{
    (void)state;
    mock_fail("malloc", ENOMEM);
    assert_null(multifd_options_new());
}

#define with_options(function) cmocka_unit_test_setup_teardown(function, make, release)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_options(every_option_is_described),
        with_options(new_options_have_the_listed_values),
        with_options(each_option_sets_its_own_field),
        with_options(automatic_again),
        with_options(each_method_has_its_level),
        with_options(ranges_end_where_they_should),
        with_options(values_that_make_no_sense),
        with_options(texts_have_to_fit),
        with_options(unknown_options_are_refused),
        with_options(the_log_is_kept),
        with_options(methods_are_registered_with_the_options),
        with_options(methods_are_found_by_name),
        mocked_test(no_memory),
    };

    return cmocka_run_group_tests_name("core/options", tests, NULL, NULL);
}
