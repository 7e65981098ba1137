/* SPDX-License-Identifier: MIT */
#include "bench_case.h"

#include "fail.h"
#include "units.h"

#include <stddef.h>
#include <string.h>

#define FIELD(name) offsetof(struct bench_case, name)
#define GIB         (UINT64_C(1) << 30)

const struct case_option case_options[] = {
    {"size", 's', "SIZE", "4K", "bytes of a message; of pages that adjoin, and travel as one WRITE",
     FIELD(size), CASE_SIZE, 1, GIB},
    {"memory", 0, "SIZE", "256M", "guest memory on each side", FIELD(memory), CASE_SIZE,
     UINT64_C(1) << 20, UINT64_C(1) << 44},
    {"iters", 'n', "N", "1000", "how many are measured", FIELD(iterations), CASE_COUNT, 1,
     100000000},
    {"duration", 'D', "TIME", "0", "measure for so long in place of --iters; 0 for --iters",
     FIELD(duration_ns), CASE_TIME, 0, UINT64_C(3600000000000)},
    {"repeat", 0, "N", "5", "how often a figure is taken; the median is shown, and the spread",
     FIELD(repeat), CASE_COUNT, 1, 1000},
    {"post-list", 'l', "N", "0", "work requests in one post, 0 for all of a packet",
     FIELD(post_list), CASE_COUNT, 0, 65536},
    {"threads", 0, "N", "1", "threads that work at once", FIELD(threads), CASE_COUNT, 1, 1024},
    {"load", 0, "N", "0", "pages queued before each sync", FIELD(load), CASE_COUNT, 0, 10000000},
    {"inline", 'I', "SIZE", "220", "messages up to this travel inside their work requests",
     FIELD(inline_bytes), CASE_SIZE, 0, 4096},
    {"piece", 0, "SIZE", "1G", "bytes of one registration at most", FIELD(piece), CASE_SIZE, 4096,
     UINT64_C(1) << 44},
    {"huge-pages", 0, "SIZE", "0", "huge pages of this size below the memory, 0 for usual ones",
     FIELD(huge_pages), CASE_SIZE, 0, 16 * GIB},
    {"events", 'e', NULL, "off", "sleep until a completion comes, instead of polling for it",
     FIELD(events), CASE_FLAG, 0, 1},
    {"raw", 0, "on|off", "on", "take turns with the bare verbs loop, where there is a device",
     FIELD(raw), CASE_FLAG, 0, 1},
    {"thp", 0, "on|off", "off", "in transparent huge pages of the kernel", FIELD(thp), CASE_FLAG, 0,
     1},
    {"content", 0, "FILE", "", "take the pages from a file, such as a guest's memory",
     FIELD(content), CASE_TEXT, 0, 0},
    {.name = NULL},
};

static int parse_number(const struct case_option *option, const char *value, uint64_t *number)
{
    switch (option->kind) {
    case CASE_FLAG:
        *number = strcmp(value, "on") == 0;
        return *number != 0 || strcmp(value, "off") == 0 ? 0 : -1;
    case CASE_SIZE:
        return units_parse_size(value, number);
    case CASE_TIME:
        return units_parse_time(value, number);
    default:
        return units_parse_count(value, number);
    }
}

static int set_own(struct bench_case *bench, const struct case_option *option, const char *value,
                   struct multifd_error *err)
{
    static const char *const expected[] = {
        [CASE_COUNT] = "a number",
        [CASE_SIZE] = "a size such as 64K",
        [CASE_TIME] = "a time such as 2s",
        [CASE_FLAG] = "on or off",
    };
    unsigned char *field = (unsigned char *)bench + option->field;
    uint64_t number;

    if (option->kind == CASE_TEXT) {
        *(const char **)(void *)field = value;
        return 0;
    }
    if (parse_number(option, value, &number) != 0) {
        return tool_fail(err, MULTIFD_ERROR_INVALID, "option %s: \"%s\" is not %s", option->name,
                         value, expected[option->kind]);
    }
    if (number < option->least || number > option->most) {
        return tool_fail(err, MULTIFD_ERROR_INVALID, "option %s: %s is not from %llu to %llu",
                         option->name, value, (unsigned long long)option->least,
                         (unsigned long long)option->most);
    }
    if (option->kind == CASE_FLAG) {
        *(bool *)field = number != 0;
    } else {
        *(uint64_t *)(void *)field = number; /* aligned: a member's offset */
    }
    return 0;
}

static const struct case_option *find_own(const char *name)
{
    const struct case_option *option = case_options;

    while (option->name != NULL && strcmp(option->name, name) != 0) {
        option++;
    }
    return option->name != NULL ? option : NULL;
}

/* The numbers of the library's that a measurement must know itself. */
static const struct {
    const char *name;
    size_t field;
} kept[] = {
    {"channels", FIELD(channels)},
    {"window", FIELD(window)},
    {"ib-port", FIELD(verbs.port)},
    {"gid-index", FIELD(verbs.gid_index)},
    {"tclass", FIELD(verbs.traffic_class)},
    {"sl", FIELD(verbs.service_level)},
    {"mtu", FIELD(verbs.mtu)},
    {"qp-timeout", FIELD(verbs.qp_timeout)},
    {"retry-count", FIELD(verbs.retry_count)},
    {"rnr-timer", FIELD(verbs.rnr_timer)},
    {"tx-depth", FIELD(verbs.tx_depth)},
};

static int keep_number(uint64_t *field, const char *value)
{
    if (strcmp(value, "auto") == 0) {
        *field = VERBS_AUTO;
        return 0;
    }
    return units_parse_count(value, field);
}

/* Keeps what a measurement must know itself of the library's options. */
static int keep(struct bench_case *bench, const char *name, const char *value)
{
    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
        if (strcmp(name, kept[i].name) == 0) {
            void *field = (unsigned char *)bench + kept[i].field; /* aligned: a member's offset */
            return keep_number(field, value);
        }
    }
    if (strcmp(name, "page-size") == 0) {
        return units_parse_size(value, &bench->page_size);
    }
    if (strcmp(name, "method") == 0) {
        bench->method = value;
    }
    if (strcmp(name, "ib-dev") == 0) {
        bench->verbs.device = value;
    }
    return 0;
}

static int set(struct bench_case *bench, const char *name, const char *value,
               struct multifd_error *err)
{
    const struct case_option *own = find_own(name);

    if (own != NULL) {
        return set_own(bench, own, value, err);
    }
    if (multifd_options_set(bench->session, name, value, err) != 0) {
        return -1;
    }
    return keep(bench, name, value) == 0
               ? 0
               : tool_fail(err, MULTIFD_ERROR_INVALID, "option %s: \"%s\"", name, value);
}

static int set_initial(struct bench_case *bench, struct multifd_error *err)
{
    for (const struct case_option *option = case_options; option->name != NULL; option++) {
        if (set_own(bench, option, option->initial, err) != 0) {
            return -1;
        }
    }
    for (const struct multifd_option_info *info = multifd_options_list(); info->name != NULL;
         info++) {
        if (keep(bench, info->name, info->initial) != 0) {
            return tool_fail(err, MULTIFD_ERROR_INVALID, "option %s", info->name);
        }
    }
    return 0;
}

static int check(const struct bench_case *bench, struct multifd_error *err)
{
    if (bench->memory % bench->page_size != 0) {
        return tool_fail(err, MULTIFD_ERROR_INVALID,
                         "option memory: not a multiple of the page size");
    }
    if (bench->verbs.gid_index != VERBS_AUTO && bench->verbs.device[0] == '\0') {
        return tool_fail(err, MULTIFD_ERROR_INVALID, "option gid-index needs ib-dev");
    }
    return 0;
}

int bench_case_init(struct bench_case *bench, json_t *choices, struct multifd_error *err)
{
    const char *name;
    json_t *value;

    *bench = (struct bench_case){.choices = json_incref(choices), .session = multifd_options_new()};
    if (bench->session == NULL) {
        return tool_fail(err, MULTIFD_ERROR_SYSTEM, "no memory");
    }
    if (set_initial(bench, err) != 0) {
        return -1;
    }
    json_object_foreach(choices, name, value)
    {
        if (!json_is_string(value)) {
            return tool_fail(err, MULTIFD_ERROR_PROTOCOL, "option %s: not a text", name);
        }
        if (set(bench, name, json_string_value(value), err) != 0) {
            return -1;
        }
    }
    return check(bench, err);
}

void bench_case_clear(struct bench_case *bench)
{
    multifd_options_delete(&bench->session);
    json_decref(bench->choices);
    bench->choices = NULL;
}
