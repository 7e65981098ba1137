/* SPDX-License-Identifier: MIT */
#include "core/option_parse.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct unit {
    const char *suffix;
    uint64_t factor;
};

static bool parse_number(const char *text, uint64_t *value, const char **rest)
{
    char *end;

    if (*text < '0' || *text > '9') { /* strtoull would take signs and spaces */
        return false;
    }
    errno = 0;
    *value = strtoull(text, &end, 10);
    *rest = end;
    return errno == 0;
}

static bool parse_with_unit(const char *text, const struct unit *units, uint64_t *value)
{
    const char *suffix;

    if (!parse_number(text, value, &suffix)) {
        return false;
    }
    for (const struct unit *unit = units; unit->suffix != NULL; unit++) {
        if (strcmp(suffix, unit->suffix) == 0) {
            return !__builtin_mul_overflow(*value, unit->factor, value);
        }
    }
    return false;
}

bool parse_count(const char *text, uint64_t *value)
{
    const char *rest;

    return parse_number(text, value, &rest) && *rest == '\0';
}

bool parse_size(const char *text, uint64_t *value)
{
    static const struct unit units[] = {
        {"", 1},
        {"K", UINT64_C(1) << 10},
        {"M", UINT64_C(1) << 20},
        {"G", UINT64_C(1) << 30},
        {"T", UINT64_C(1) << 40},
        {NULL, 0},
    };

    return parse_with_unit(text, units, value);
}

bool parse_time(const char *text, uint64_t *value)
{
    static const struct unit units[] = {
        {"", UINT64_C(1000000000)},  {"us", UINT64_C(1000)},         {"ms", UINT64_C(1000000)},
        {"s", UINT64_C(1000000000)}, {"min", UINT64_C(60000000000)}, {NULL, 0},
    };

    return parse_with_unit(text, units, value);
}
