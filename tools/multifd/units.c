/* SPDX-License-Identifier: MIT */
#include "units.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A decimal number at the beginning of `text`; *rest is what follows. */
static int parse_number(const char *text, uint64_t *number, const char **rest)
{
    char *end;

    /* strtoull would accept a sign and leading blanks. */
    if (!(text[0] >= '0' && text[0] <= '9')) {
        return -1;
    }
    errno = 0;
    *number = strtoull(text, &end, 10);
    *rest = end;
    return errno != 0 ? -1 : 0;
}

int units_parse_count(const char *text, uint64_t *count)
{
    const char *end;
    uint64_t number;

    if (parse_number(text, &number, &end) != 0 || *end != '\0') {
        return -1;
    }
    *count = number;
    return 0;
}

int units_parse_size(const char *text, uint64_t *size)
{
    static const char units[] = "KMGT";
    unsigned shift = 0;
    const char *end;
    uint64_t number;

    if (parse_number(text, &number, &end) != 0) {
        return -1;
    }
    if (*end != '\0') {
        const char *unit = strchr(units, *end);
        if (unit == NULL || end[1] != '\0') {
            return -1;
        }
        shift = 10u * (unsigned)(unit - units + 1);
    }
    if (number > UINT64_MAX >> shift) {
        return -1;
    }
    *size = number << shift;
    return 0;
}

int units_parse_time(const char *text, uint64_t *nanoseconds)
{
    static const struct {
        const char *suffix;
        uint64_t factor;
    } units[] = {
        {"", UINT64_C(1000000000)},  {"us", UINT64_C(1000)},         {"ms", UINT64_C(1000000)},
        {"s", UINT64_C(1000000000)}, {"min", UINT64_C(60000000000)},
    };
    const char *suffix;
    uint64_t number;

    if (parse_number(text, &number, &suffix) != 0) {
        return -1;
    }
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(suffix, units[i].suffix) == 0) {
            if (number > UINT64_MAX / units[i].factor) {
                return -1;
            }
            *nanoseconds = number * units[i].factor;
            return 0;
        }
    }
    return -1;
}

void units_format_size(char text[UNITS_TEXT], uint64_t bytes)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes / 1024;
    size_t unit = 0;

    if (bytes < 1024) {
        (void)snprintf(text, UNITS_TEXT, "%" PRIu64 " B", bytes);
        return;
    }
    while (value >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        value /= 1024;
        unit++;
    }
    (void)snprintf(text, UNITS_TEXT, "%.1f %s", value, units[unit]);
}

void units_format_seconds(char text[UNITS_TEXT], double seconds)
{
    if (seconds < 10) {
        (void)snprintf(text, UNITS_TEXT, "%.3f s", seconds);
    } else if (seconds < 60) {
        (void)snprintf(text, UNITS_TEXT, "%.1f s", seconds);
    } else if (seconds < 86400.0 * 365) {
        uint64_t whole = (uint64_t)seconds;
        (void)snprintf(text, UNITS_TEXT, "%" PRIu64 " min %02u s", whole / 60,
                       (unsigned)(whole % 60));
    } else {
        (void)snprintf(text, UNITS_TEXT, "over a year");
    }
}

double units_gigabits(uint64_t bytes, uint64_t nanoseconds)
{
    return nanoseconds == 0 ? 0 : (double)bytes * 8 / (double)nanoseconds;
}
