/* SPDX-License-Identifier: MIT */
#include "core/base/log.h"
#include "test.h"

static char kept[2048];

static void keep(void *opaque, const char *line)
{
    ++*(int *)opaque;
    strcpy(kept, line);
}

static void a_line_reaches_the_function(void **state)
{
    int lines = 0;
    const struct log log = {keep, &lines};

    (void)state;
    log_line(&log, "channel %d: %s", 3, "up");
    assert_int_equal(lines, 1);
    assert_string_equal(kept, "channel 3: up");
}

static void without_a_function_it_goes_nowhere(void **state)
{
    const struct log log = {NULL, NULL};

    (void)state;
    kept[0] = '\0';
    log_line(&log, "channel %d", 3);
    assert_string_equal(kept, "");
}

static void a_long_line_is_cut(void **state)
{
    int lines = 0;
    const struct log log = {keep, &lines};
    char text[1900];

    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    log_line(&log, "%s", text);
    assert_int_equal(lines, 1);
    assert_in_range(strlen(kept), 200, sizeof(text) - 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_reaches_the_function),
        cmocka_unit_test(without_a_function_it_goes_nowhere),
        cmocka_unit_test(a_long_line_is_cut),
    };

    return cmocka_run_group_tests_name("core/base/log", tests, NULL, NULL);
}
