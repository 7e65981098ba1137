/* SPDX-License-Identifier: MIT */
#include "core/base/error.h"
#include "test.h"

#include <errno.h>

static void every_code_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (int i = MULTIFD_OK; i <= MULTIFD_ERROR_SYSTEM; i++) {
        const char *name = multifd_error_name((enum multifd_error_code)i);

        assert_non_null(name);
        assert_string_not_equal(name, "unknown");
        for (int j = MULTIFD_OK; j < i; j++) {
            assert_string_not_equal(name, multifd_error_name((enum multifd_error_code)j));
        }
    }
    assert_string_equal(multifd_error_name(MULTIFD_OK), "ok");
    assert_string_equal(multifd_error_name(MULTIFD_ERROR_TIMEOUT), "timeout");
    assert_string_equal(multifd_error_name(MULTIFD_ERROR_SYSTEM), "system");
}

static void a_number_that_is_no_code_is_unknown(void **state)
{
    (void)state;
    assert_string_equal(multifd_error_name((enum multifd_error_code)(MULTIFD_ERROR_SYSTEM + 1)),
                        "unknown");
    assert_string_equal(multifd_error_name((enum multifd_error_code) - 1), "unknown");
}

static void set_fills_everything(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    assert_int_equal(error_set(&err, MULTIFD_ERROR_LIMIT, "%s is %d", "depth", 5), -1);
    assert_int_equal(err.code, MULTIFD_ERROR_LIMIT);
    assert_int_equal(err.channel, MULTIFD_NO_CHANNEL);
    assert_string_equal(err.message, "depth is 5");
}

static void a_long_text_is_cut(void **state)
{
    struct multifd_error err;
    char text[2 * MULTIFD_ERROR_TEXT];

    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    error_set(&err, MULTIFD_ERROR_PEER, "%s", text);
    assert_int_equal(strlen(err.message), MULTIFD_ERROR_TEXT - 1);
    error_set_errno(&err, MULTIFD_ERROR_PEER, ENOMEM, "%s", text);
    assert_int_equal(strlen(err.message), MULTIFD_ERROR_TEXT - 1);
}

static void the_text_may_quote_the_message_it_replaces(void **state)
{
    struct multifd_error err;

    (void)state;
    error_set(&err, MULTIFD_ERROR_DEVICE, "inner");
    error_set(&err, MULTIFD_ERROR_PEER, "the peer failed: %s", err.message);
    assert_string_equal(err.message, "the peer failed: inner");
}

static void errno_is_explained_behind_the_text(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;
    char expected[128] = "ibv_alloc_pd(mock0): ";

    (void)state;
    strcat(expected, strerror(ENOSPC));
    assert_int_equal(
        error_set_errno(&err, MULTIFD_ERROR_DEVICE, ENOSPC, "ibv_alloc_pd(%s)", "mock0"), -1);
    assert_error(&err, MULTIFD_ERROR_DEVICE, expected);
    assert_string_equal(err.message, expected);
}

static void a_channel_is_named_once(void **state)
{
    struct multifd_error err;

    (void)state;
    error_set(&err, MULTIFD_ERROR_TIMEOUT, "silent");
    error_set_channel(&err, 7);
    assert_int_equal(err.channel, 7);
    assert_int_equal(err.code, MULTIFD_ERROR_TIMEOUT);
    assert_string_equal(err.message, "channel 7: silent");
    error_set_channel(&err, 8);
    assert_int_equal(err.channel, 7);
    assert_string_equal(err.message, "channel 7: silent");
}

static void the_control_connection_is_named(void **state)
{
    struct multifd_error err;

    (void)state;
    error_set(&err, MULTIFD_ERROR_TIMEOUT, "silent");
    error_set_channel(&err, MULTIFD_CONTROL_CHANNEL);
    assert_int_equal(err.channel, MULTIFD_CONTROL_CHANNEL);
    assert_string_equal(err.message, "control connection: silent");
}

static void a_channel_fits_before_the_longest_text(void **state)
{
    struct multifd_error err;
    char text[MULTIFD_ERROR_TEXT];

    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    error_set(&err, MULTIFD_ERROR_PEER, "%s", text);
    error_set_channel(&err, MULTIFD_CONTROL_CHANNEL);
    assert_true(strlen(err.message) < MULTIFD_ERROR_TEXT);
    assert_memory_equal(err.message, "control connection: xxx", 23);
}

static void no_memory_is_a_system_error(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    assert_int_equal(error_set_nomem(&err), -1);
    assert_error(&err, MULTIFD_ERROR_SYSTEM, "memory");
}

static void clear_means_no_error(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    error_clear(&err);
    assert_int_equal(err.code, MULTIFD_OK);
    assert_int_equal(err.channel, MULTIFD_NO_CHANNEL);
    assert_string_equal(err.message, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_a_name_of_its_own),
        cmocka_unit_test(a_number_that_is_no_code_is_unknown),
        cmocka_unit_test(set_fills_everything),
        cmocka_unit_test(a_long_text_is_cut),
        cmocka_unit_test(the_text_may_quote_the_message_it_replaces),
        cmocka_unit_test(errno_is_explained_behind_the_text),
        cmocka_unit_test(a_channel_is_named_once),
        cmocka_unit_test(the_control_connection_is_named),
        cmocka_unit_test(a_channel_fits_before_the_longest_text),
        cmocka_unit_test(no_memory_is_a_system_error),
        cmocka_unit_test(clear_means_no_error),
    };

    return cmocka_run_group_tests_name("core/base/error", tests, NULL, NULL);
}
