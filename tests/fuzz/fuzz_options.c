/* SPDX-License-Identifier: MIT */
/*
 * Input: lines NAME=VALUE, set one after the other on the same options. A value that is refused
 * changes nothing; one that is taken is within the option's range, and taking it again changes
 * nothing.
 */
#include "fuzz.h"

#include "core/base/checked.h"
#include "core/option_table.h"
#include "core/options.h"

#include <stdbool.h>

static uint64_t stored(const struct multifd_options *options, const struct option_entry *entry)
{
    const char *field = (const char *)options + entry->offset;
    uint32_t narrow;
    uint64_t wide;

    if (entry->size == sizeof(wide)) {
        memcpy(&wide, field, sizeof(wide));
        return wide;
    }
    FUZZ_CHECK(entry->size == sizeof(narrow));
    memcpy(&narrow, field, sizeof(narrow));
    return narrow;
}

/* What the suffix multiplies by; 1000 and powers of it in nanoseconds for a time. */
static long double factor_of(const struct option_entry *entry, const char *suffix)
{
    static const struct {
        enum option_kind kind;
        const char *suffix;
        long double factor;
    } units[] = {
        {OPTION_SIZE, "K", 0x1p10L}, {OPTION_SIZE, "M", 0x1p20L}, {OPTION_SIZE, "G", 0x1p30L},
        {OPTION_SIZE, "T", 0x1p40L}, {OPTION_TIME, "us", 1e3L},   {OPTION_TIME, "ms", 1e6L},
        {OPTION_TIME, "s", 1e9L},    {OPTION_TIME, "min", 60e9L}, {OPTION_TIME, "", 1e9L},
    };

    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (units[i].kind == entry->kind && strcmp(units[i].suffix, suffix) == 0) {
            return units[i].factor;
        }
    }
    FUZZ_CHECK(*suffix == '\0');
    return 1;
}

/* Computed once more in another way, one in which nothing wraps around. */
static void check_number(const struct option_entry *entry, const char *value, uint64_t number)
{
    char *suffix;
    long double expected = (long double)strtoull(value, &suffix, 10);

    expected *= factor_of(entry, suffix);
    if (entry->kind == OPTION_TIME) {
        expected /= (long double)entry->unit_ns;
    }
    FUZZ_CHECK((long double)number <= expected && expected < (long double)number + 1);
    FUZZ_CHECK(number >= entry->least && number <= entry->most);
    FUZZ_CHECK(!entry->power_of_two || is_power_of_two(number));
}

static void check_stored(const struct multifd_options *options, const struct option_entry *entry,
                         const char *value)
{
    switch (entry->kind) {
    case OPTION_TEXT:
        FUZZ_CHECK(strlen(value) < entry->size);
        FUZZ_CHECK(strcmp((const char *)options + entry->offset, value) == 0);
        break;
    case OPTION_FLAG:
        FUZZ_CHECK(stored(options, entry) == (strcmp(value, "on") == 0));
        break;
    case OPTION_CHOICE:
        FUZZ_CHECK(strcmp(entry->choices[stored(options, entry)], value) == 0);
        break;
    case OPTION_AUTO:
        if (strcmp(value, "auto") == 0) {
            FUZZ_CHECK(stored(options, entry) == UINT32_MAX);
            break;
        }
        check_number(entry, value, stored(options, entry));
        break;
    default:
        if (entry->or_auto && strcmp(value, "auto") == 0) {
            FUZZ_CHECK(stored(options, entry) == 0);
            break;
        }
        check_number(entry, value, stored(options, entry));
        break;
    }
}

static void set(struct multifd_options *options, const char *name, const char *value)
{
    static struct multifd_options before;
    const struct option_entry *entry = option_table_find(name);
    struct multifd_error err;

    memcpy(&before, options, sizeof(before));
    fuzz_error_poison(&err);
    if (multifd_options_set(options, name, value, &err) != 0) {
        fuzz_check_refusal(&err);
        FUZZ_CHECK(err.code == MULTIFD_ERROR_INVALID);
        FUZZ_CHECK(fuzz_same_bytes(&before, options, sizeof(before)));
        FUZZ_CHECK(multifd_options_set(options, name, value, NULL) == -1);
        return;
    }
    FUZZ_CHECK(entry != NULL);
    check_stored(options, entry, value);
    memcpy((char *)&before + entry->offset, (char *)options + entry->offset, entry->size);
    FUZZ_CHECK(fuzz_same_bytes(&before, options, sizeof(before)));
    memcpy(&before, options, sizeof(before));
    FUZZ_CHECK(multifd_options_set(options, name, value, NULL) == 0);
    FUZZ_CHECK(fuzz_same_bytes(&before, options, sizeof(before)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct multifd_options *options = multifd_options_new();
    char *text = fuzz_text(data, size);
    char *rest = text;
    char *line;

    FUZZ_CHECK(options != NULL);
    while ((line = strsep(&rest, "\n")) != NULL) {
        char *equals = strchr(line, '=');

        if (equals != NULL) {
            *equals = '\0';
            set(options, line, equals + 1);
        }
    }
    free(text);
    multifd_options_delete(&options);
    return 0;
}
