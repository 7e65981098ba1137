/* SPDX-License-Identifier: MIT */
#include "core/options.h"

#include "core/base/checked.h"
#include "core/base/error.h"
#include "core/option_parse.h"
#include "core/option_table.h"

#include <stdlib.h>
#include <string.h>

static int refuse(const char *name, const char *value, const char *expected,
                  struct multifd_error *err)
{
    return error_set(err, MULTIFD_ERROR_INVALID, "option %s: \"%s\" is not %s", name, value,
                     expected);
}

static int refuse_range(const char *name, const char *value, const struct option_entry *entry,
                        struct multifd_error *err)
{
    return error_set(err, MULTIFD_ERROR_INVALID, "option %s: %s is not from %llu to %llu%s", name,
                     value, (unsigned long long)entry->least, (unsigned long long)entry->most,
                     entry->kind == OPTION_SIZE ? " bytes" : "");
}

static int parse_choice(const struct option_entry *entry, const char *name, const char *value,
                        uint64_t *number, struct multifd_error *err)
{
    for (uint64_t i = 0; entry->choices[i] != NULL; i++) {
        if (strcmp(entry->choices[i], value) == 0) {
            *number = i;
            return 0;
        }
    }
    return error_set(err, MULTIFD_ERROR_INVALID, "option %s: unknown value \"%s\"", name, value);
}

static int parse_flag(const char *name, const char *value, uint64_t *number,
                      struct multifd_error *err)
{
    if (strcmp(value, "on") != 0 && strcmp(value, "off") != 0) {
        return refuse(name, value, "on or off", err);
    }
    *number = strcmp(value, "on") == 0;
    return 0;
}

static int parse_ranged(const struct option_entry *entry, const char *name, const char *value,
                        uint64_t *number, struct multifd_error *err)
{
    bool fine;

    switch (entry->kind) {
    case OPTION_SIZE:
        fine = parse_size(value, number);
        break;
    case OPTION_TIME:
        fine = parse_time(value, number);
        break;
    default:
        fine = parse_count(value, number);
        break;
    }
    if (!fine) {
        return refuse(name, value,
                      entry->kind == OPTION_SIZE   ? "a size such as 512M or 4G"
                      : entry->kind == OPTION_TIME ? "a time such as 500ms or 10s"
                                                   : "a number",
                      err);
    }
    if (entry->kind == OPTION_TIME) {
        *number /= entry->unit_ns;
    }
    if (*number < entry->least || *number > entry->most) {
        return refuse_range(name, value, entry, err);
    }
    if (entry->power_of_two && !is_power_of_two(*number)) {
        return refuse(name, value, "a power of two", err);
    }
    return 0;
}

static int parse_level(const struct option_entry *entry, const char *name, const char *value,
                       uint64_t *number, struct multifd_error *err)
{
    bool negative = value[0] == '-';
    int64_t level;

    if (!parse_count(value + negative, number) || *number > INT32_MAX) {
        return refuse(name, value, "a number", err);
    }
    level = negative ? -(int64_t)*number : (int64_t)*number;
    if (level < (int64_t)entry->least || level > (int64_t)entry->most) {
        return error_set(err, MULTIFD_ERROR_INVALID, "option %s: %s is not from %lld to %lld", name,
                         value, (long long)entry->least, (long long)entry->most);
    }
    if (level == 0 && entry->not_zero) {
        return refuse(name, value, "a level", err);
    }
    *number = (uint64_t)level;
    return 0;
}

static int parse_value(const struct option_entry *entry, const char *name, const char *value,
                       uint64_t *number, struct multifd_error *err)
{
    switch (entry->kind) {
    case OPTION_CHOICE:
        return parse_choice(entry, name, value, number, err);
    case OPTION_FLAG:
        return parse_flag(name, value, number, err);
    case OPTION_LEVEL:
        return parse_level(entry, name, value, number, err);
    case OPTION_AUTO:
        if (strcmp(value, "auto") == 0) {
            *number = UINT32_MAX; /* -1 in the field */
            return 0;
        }
        break;
    case OPTION_SIZE:
        if (entry->or_auto && strcmp(value, "auto") == 0) {
            *number = 0;
            return 0;
        }
        break;
    default:
        break;
    }
    return parse_ranged(entry, name, value, number, err);
}

static void store(struct multifd_options *options, const struct option_entry *entry,
                  uint64_t number)
{
    void *field = (char *)options + entry->offset;
    uint32_t narrow = (uint32_t)number;

    if (entry->size == sizeof(uint64_t)) {
        memcpy(field, &number, sizeof(number));
    } else {
        memcpy(field, &narrow, sizeof(narrow));
    }
}

static int store_text(struct multifd_options *options, const struct option_entry *entry,
                      const char *name, const char *value, struct multifd_error *err)
{
    if (strlen(value) >= entry->size) {
        return error_set(err, MULTIFD_ERROR_INVALID, "option %s: more than %zu bytes", name,
                         entry->size - 1);
    }
    strcpy((char *)options + entry->offset, value);
    return 0;
}

/* What no single range says. */
static int check_special(const char *name, const char *value, uint64_t number,
                         struct multifd_error *err)
{
    if (strcmp(name, "mtu") == 0 && number != 0 && (number < 256 || !is_power_of_two(number))) {
        return refuse(name, value, "one of 256, 512, 1024, 2048, 4096", err);
    }
    return 0;
}

int multifd_options_set(struct multifd_options *options, const char *name, const char *value,
                        struct multifd_error *err)
{
    const struct option_entry *entry = option_table_find(name);
    struct multifd_error unused;
    uint64_t number = 0;

    err = err == NULL ? &unused : err;
    if (entry == NULL) {
        return error_set(err, MULTIFD_ERROR_INVALID, "unknown option \"%s\"", name);
    }
    if (entry->kind == OPTION_TEXT) {
        return store_text(options, entry, name, value, err);
    }
    if (parse_value(entry, name, value, &number, err) != 0 ||
        check_special(name, value, number, err) != 0) {
        return -1;
    }
    store(options, entry, number);
    return 0;
}

struct multifd_options *multifd_options_new(void)
{
    struct multifd_options *options = calloc(1, sizeof(*options));
    struct multifd_error err;

    if (options == NULL) {
        return NULL;
    }
    method_table_init(&options->methods);
    for (const struct multifd_option_info *info = multifd_options_list(); info->name != NULL;
         info++) {
        if (multifd_options_set(options, info->name, info->initial, &err) != 0) {
            abort(); /* the table contradicts itself: a mistake in this library */
        }
    }
    return options;
}

void multifd_options_delete(struct multifd_options **options)
{
    free(*options);
    *options = NULL;
}

void multifd_options_set_log(struct multifd_options *options, multifd_log_fn *log, void *opaque)
{
    options->log = (struct log){log, opaque};
}

int32_t options_level(const struct multifd_options *options, uint32_t method)
{
    switch (method) {
    case MULTIFD_FLAG_ZLIB:
        return options->zlib_level;
    case MULTIFD_FLAG_ZSTD:
        return options->zstd_level;
    default:
        return 0;
    }
}

int multifd_register_ops(struct multifd_options *options, uint32_t method, const char *name,
                         const struct multifd_methods *ops, struct multifd_error *err)
{
    struct multifd_error unused;

    return method_table_register(&options->methods, method, name, ops, err == NULL ? &unused : err);
}

const struct multifd_methods *multifd_options_method(const struct multifd_options *options,
                                                     const char *name)
{
    struct multifd_error unused;
    uint32_t flag;

    return method_table_find(&options->methods, name, &flag, &unused) == 0
               ? method_table_get(&options->methods, flag)
               : NULL;
}
