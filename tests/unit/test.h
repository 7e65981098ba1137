/* SPDX-License-Identifier: MIT */
/* test - what every unit test includes: cmocka, and assertions on struct multifd_error. */
#ifndef MULTIFD_UNIT_TEST_H
#define MULTIFD_UNIT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <multifd_error.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* What an untouched error holds, so that a test can tell that a function wrote nothing. */
#define ERROR_UNTOUCHED                                                                            \
    {                                                                                              \
        .code = (enum multifd_error_code)77, .channel = 77, .message = "untouched"                 \
    }

static inline void assert_untouched(const struct multifd_error *err)
{
    assert_int_equal(err->code, 77);
    assert_int_equal(err->channel, 77);
    assert_string_equal(err->message, "untouched");
}

/* An error of that code for no channel in particular, whose text contains `part`. */
static inline void assert_error(const struct multifd_error *err, enum multifd_error_code code,
                                const char *part)
{
    if (err->code != code || strstr(err->message, part) == NULL) {
        fail_msg("expected error %d with \"%s\", got %d \"%s\"", (int)code, part, (int)err->code,
                 err->message);
    }
    assert_int_equal(err->channel, MULTIFD_NO_CHANNEL);
}

#endif
