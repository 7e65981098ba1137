/* SPDX-License-Identifier: MIT */
#include "core/methods.h"
#include "test.h"

#define FREE_FLAG (3u << 1)

/* Stand for the library's own methods. */
const struct multifd_methods multifd_nocomp_ops;
const struct multifd_methods multifd_zlib_ops;
const struct multifd_methods multifd_zstd_ops;

static struct method_table table;

static int send_hook(struct multifd_send_params *p, struct multifd_error *err)
{
    (void)p;
    (void)err;
    return 0;
}

static void cleanup_hook(struct multifd_send_params *p)
{
    (void)p;
}

static int recv_hook(struct multifd_recv_params *p, struct multifd_error *err)
{
    (void)p;
    (void)err;
    return 0;
}

static const struct multifd_methods ops = {.send_setup = send_hook,
                                           .send_cleanup = cleanup_hook,
                                           .send_prepare = send_hook,
                                           .recv = recv_hook};

static int make(void **state)
{
    (void)state;
    memset(&table, 0xee, sizeof(table));
    method_table_init(&table);
    return 0;
}

static void add(uint32_t flag, const char *name)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    assert_int_equal(method_table_register(&table, flag, name, &ops, &err), 0);
    assert_untouched(&err);
}

static void assert_not_added(uint32_t flag, const char *name, const struct multifd_methods *hooks,
                             const char *part)
{
    struct method_table before = table;
    struct multifd_error err = ERROR_UNTOUCHED;

    assert_int_equal(method_table_register(&table, flag, name, hooks, &err), -1);
    assert_error(&err, MULTIFD_ERROR_INVALID, part);
    assert_memory_equal(&table, &before, sizeof(table));
}

static void a_new_table_has_the_methods_of_the_library(void **state)
{
    static const struct {
        const char *name;
        uint32_t flag;
        const struct multifd_methods *ops;
    } own[] = {
        {"nocomp", MULTIFD_FLAG_NOCOMP, &multifd_nocomp_ops},
        {"zlib", MULTIFD_FLAG_ZLIB, &multifd_zlib_ops},
        {"zstd", MULTIFD_FLAG_ZSTD, &multifd_zstd_ops},
    };
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(own); i++) {
        uint32_t flag = 99;

        assert_ptr_equal(method_table_get(&table, own[i].flag), own[i].ops);
        assert_string_equal(method_table_name(&table, own[i].flag), own[i].name);
        assert_int_equal(method_table_find(&table, own[i].name, &flag, &err), 0);
        assert_int_equal(flag, own[i].flag);
    }
    assert_untouched(&err);
}

static void what_is_not_there(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;
    uint32_t flag;

    (void)state;
    assert_null(method_table_get(&table, FREE_FLAG));
    assert_string_equal(method_table_name(&table, FREE_FLAG), "?");
    assert_null(method_table_get(&table, UINT32_MAX));
    assert_string_equal(method_table_name(&table, UINT32_MAX), "?");
    assert_null(method_table_get(&table, 16));
    assert_int_equal(method_table_find(&table, "lz4", &flag, &err), -1);
    assert_error(&err, MULTIFD_ERROR_INVALID, "lz4");
}

static void every_value_of_the_bits_can_be_taken(void **state)
{
    static const char *const names[] = {"m3", "m4", "m5", "m6", "m7"};
    struct multifd_error err;

    (void)state;
    for (uint32_t i = 0; i < COUNT_OF(names); i++) {
        add((i + 3) << 1, names[i]);
    }
    for (uint32_t i = 0; i < COUNT_OF(names); i++) {
        uint32_t flag = 99;

        assert_ptr_equal(method_table_get(&table, (i + 3) << 1), &ops);
        assert_string_equal(method_table_name(&table, (i + 3) << 1), names[i]);
        assert_int_equal(method_table_find(&table, names[i], &flag, &err), 0);
        assert_int_equal(flag, (i + 3) << 1);
    }
}

static void a_method_is_not_replaced(void **state)
{
    (void)state;
    add(FREE_FLAG, "own");
    assert_not_added(FREE_FLAG, "other", &ops, "registered already");
    assert_not_added(FREE_FLAG << 1, "own", &ops, "registered already");
    assert_not_added(MULTIFD_FLAG_NOCOMP, "other", &ops, "registered already");
    assert_not_added(MULTIFD_FLAG_ZLIB, "other", &ops, "registered already");
    assert_not_added(FREE_FLAG << 1, "nocomp", &ops, "registered already");
}

static void bits_outside_the_mask_are_refused(void **state)
{
    (void)state;
    assert_not_added(MULTIFD_FLAG_SYNC, "odd", &ops, "bits");
    assert_not_added(MULTIFD_FLAG_ZLIB | MULTIFD_FLAG_SYNC, "odd", &ops, "bits");
    assert_not_added(16, "high", &ops, "bits");
    assert_not_added(UINT32_MAX, "all", &ops, "bits");
}

static void each_hook_that_is_needed(void **state)
{
    struct multifd_methods lacking = ops;

    (void)state;
    lacking.send_setup = NULL;
    assert_not_added(FREE_FLAG, "own", &lacking, "send_setup");
    lacking = ops;
    lacking.send_cleanup = NULL;
    assert_not_added(FREE_FLAG, "own", &lacking, "send_cleanup");
    lacking = ops;
    lacking.send_prepare = NULL;
    assert_not_added(FREE_FLAG, "own", &lacking, "send_prepare");
    lacking = ops;
    lacking.recv = NULL;
    assert_not_added(FREE_FLAG, "own", &lacking, "recv");
    add(FREE_FLAG, "own"); /* recv_setup and recv_cleanup may be missing */
}

#define with_table(function) cmocka_unit_test_setup(function, make)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_table(a_new_table_has_the_methods_of_the_library),
        with_table(what_is_not_there),
        with_table(every_value_of_the_bits_can_be_taken),
        with_table(a_method_is_not_replaced),
        with_table(bits_outside_the_mask_are_refused),
        with_table(each_hook_that_is_needed),
    };

    return cmocka_run_group_tests_name("core/methods", tests, NULL, NULL);
}
