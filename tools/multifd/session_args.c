/* SPDX-License-Identifier: MIT */
#include "session_args.h"

#include "console.h"
#include "fail.h"
#include "units.h"

#include <string.h>

#define NS_PER_MS               UINT64_C(1000000)
#define STATS_INTERVAL_LEAST_NS NS_PER_MS
#define STATS_INTERVAL_MOST_NS  (UINT64_C(3600000) * NS_PER_MS)

static int set_stats_interval(struct session_args *args, const char *value,
                              struct multifd_error *err)
{
    uint64_t interval;

    if (units_parse_time(value, &interval) != 0 || interval < STATS_INTERVAL_LEAST_NS ||
        interval > STATS_INTERVAL_MOST_NS) {
        return tool_fail(err, MULTIFD_ERROR_INVALID,
                         "stats-interval: \"%s\" is not a time from 1ms to 60min", value);
    }
    args->stats_interval_ns = interval;
    return 0;
}

int session_args_set(void *opaque, const struct cli_option *option, const char *value,
                     struct multifd_error *err)
{
    struct session_args *args = opaque;

    if (strcmp(option->name, "ram") == 0) {
        return ram_specs_add(&args->rams, value, err);
    }
    if (strcmp(option->name, "stats-interval") == 0) {
        return set_stats_interval(args, value, err);
    }
    if (strcmp(option->name, "ready") == 0) {
        args->ready = value;
        return 0;
    }
    bool *flag = strcmp(option->name, "json") == 0    ? &args->json
                 : strcmp(option->name, "quiet") == 0 ? &args->quiet
                                                      : &args->verbose;
    *flag = true;
    return 0;
}

static int set_page_size(struct session_args *args, const char *value, struct multifd_error *err)
{
    if (units_parse_size(value, &args->page_size) != 0 || args->page_size == 0) {
        return tool_fail(err, MULTIFD_ERROR_INVALID, "page-size: \"%s\" is not a size", value);
    }
    return 0;
}

int session_args_set_library(void *opaque, const struct cli_option *option, const char *value,
                             struct multifd_error *err)
{
    struct session_args *args = opaque;

    if (multifd_options_set(args->options, option->name, value, err) != 0) {
        return -1;
    }
    if (strcmp(option->name, "qemu") == 0) {
        args->qemu = strcmp(value, "on") == 0;
    }
    if (strcmp(option->name, "channels") == 0 || strcmp(option->name, "method") == 0) {
        args->agreed = option->name;
    }
    if (strcmp(option->name, "fresh-memory") == 0) {
        args->fresh_memory_given = true;
    }
    /* The command itself needs the page size too. */
    return strcmp(option->name, "page-size") == 0 ? set_page_size(args, value, err) : 0;
}

static void log_line(void *command, const char *line)
{
    console_line(command, "%s", line);
}

int session_args_init(struct session_args *args, struct multifd_error *err)
{
    *args = (struct session_args){.options = multifd_options_new()};
    if (args->options == NULL) {
        return tool_fail(err, MULTIFD_ERROR_SYSTEM, "no memory");
    }
    for (const struct multifd_option_info *info = multifd_options_list(); info->name != NULL;
         info++) {
        if (strcmp(info->name, "page-size") == 0) {
            return set_page_size(args, info->initial, err);
        }
    }
    return 0;
}

void session_args_log(const struct session_args *args, const char *command)
{
    if (args->verbose) {
        multifd_options_set_log(args->options, log_line, (void *)(uintptr_t)command);
    }
}

static enum cli_result check(const struct session_args *args, const struct cli_command *command,
                             struct multifd_error *err)
{
    if (args->address == NULL) {
        (void)tool_fail(err, MULTIFD_ERROR_INVALID,
                        "no address given, such as rdma:10.0.0.1:4444; see multifd %s --help",
                        command->name);
        return CLI_WRONG;
    }
    if (args->rams.count == 0) {
        (void)tool_fail(err, MULTIFD_ERROR_INVALID,
                        "no --ram NAME=PATH given; see multifd %s --help", command->name);
        return CLI_WRONG;
    }
    return CLI_RUN;
}

enum cli_result session_args_parse(struct session_args *args, const struct cli_command *command,
                                   int argc, char **argv, struct multifd_error *err)
{
    if (session_args_init(args, err) != 0) {
        return CLI_WRONG;
    }
    enum cli_result result = cli_parse(command, argc, argv, args, &args->address, 1, err);
    if (result == CLI_RUN) {
        result = check(args, command, err);
    }
    session_args_log(args, command->name);
    return result;
}

void session_args_clear(struct session_args *args)
{
    ram_specs_clear(&args->rams);
    multifd_options_delete(&args->options);
}
