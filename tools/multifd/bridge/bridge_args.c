/* SPDX-License-Identifier: MIT */
#include "bridge/bridge_args.h"

#include "fail.h"
#include "units.h"

#include <string.h>

#define NS_PER_MS UINT64_C(1000000)

/* ---- Options ------------------------------------------------------------------------------- */

static int set_channels(struct bridge_args *args, const char *value, struct multifd_error *err)
{
    uint64_t channels;

    if (units_parse_count(value, &channels) != 0 || channels == 0 ||
        channels > MULTIFD_CHANNELS_MAX) {
        return tool_fail(err, MULTIFD_ERROR_INVALID,
                         "channels: \"%s\" is not a number from 1 to %u", value,
                         MULTIFD_CHANNELS_MAX);
    }
    args->settings.channels = channels;
    return 0;
}

static int set_bandwidth(struct bridge_args *args, const char *value, struct multifd_error *err)
{
    uint64_t bandwidth;

    if (units_parse_size(value, &bandwidth) != 0 || bandwidth > INT64_MAX) {
        return tool_fail(err, MULTIFD_ERROR_INVALID, "max-bandwidth: \"%s\" is not a size", value);
    }
    args->settings.max_bandwidth = bandwidth;
    return 0;
}

static int set_downtime(struct bridge_args *args, const char *value, struct multifd_error *err)
{
    uint64_t time;

    if (units_parse_time(value, &time) != 0 || time % NS_PER_MS != 0 || time == 0) {
        return tool_fail(err, MULTIFD_ERROR_INVALID,
                         "downtime-limit: \"%s\" is not a time of whole milliseconds", value);
    }
    args->settings.downtime_ms = time / NS_PER_MS;
    return 0;
}

static int set_own(void *opaque, const struct cli_option *option, const char *value,
                   struct multifd_error *err)
{
    struct bridge_args *args = opaque;

    if (strcmp(option->name, "channels") == 0) {
        return set_channels(args, value, err);
    }
    if (strcmp(option->name, "max-bandwidth") == 0) {
        return set_bandwidth(args, value, err);
    }
    if (strcmp(option->name, "downtime-limit") == 0) {
        return set_downtime(args, value, err);
    }
    *(strcmp(option->name, "qmp") == 0 ? &args->qmp : &args->settings.compression) = value;
    return 0;
}

static const struct cli_option own_options[] = {
    {.name = "ram",
     .argument = "BLOCK=FILE[,size=SIZE]",
     .help = "a RAM block of QEMU's and the shared file that it lies in; once for each block",
     .set = session_args_set},
    {.name = "qmp",
     .argument = "PATH",
     .help = "QEMU's QMP monitor: find the RAM blocks, set QEMU up, start it and follow it",
     .set = set_own},
    {.name = "channels",
     .letter = 'q',
     .argument = "N",
     .help = "QEMU's multifd-channels: set with --qmp, without it what QEMU was told",
     .set = set_own},
    {.name = "max-bandwidth",
     .argument = "SIZE",
     .help = "QEMU's limit in bytes per second, 0 for none (with --qmp)",
     .set = set_own},
    {.name = "downtime-limit",
     .argument = "TIME",
     .help = "how long QEMU may stop the guest at the end (with --qmp)",
     .set = set_own},
    {.name = "multifd-compression",
     .argument = "NAME",
     .help = "QEMU's compression, none for pages that are written directly (with --qmp)",
     .set = set_own},
    {.name = "ready",
     .argument = "FILE",
     .help = "empty FILE at the start, and write the port there when the bridge listens",
     .set = session_args_set},
    {.name = "json", .help = "print the report as one JSON object", .set = session_args_set},
    {.name = "quiet", .help = "show no progress", .set = session_args_set},
    {.name = "verbose",
     .letter = 'v',
     .help = "print the library's log to stderr",
     .set = session_args_set},
    {.name = NULL},
};

/* The rest is QEMU's to decide. */
static const char *const library_options[] = {"timeout",     "ib-dev",    "ib-port",  "gid-index",
                                              "tclass",      "sl",        "mtu",      "qp-timeout",
                                              "retry-count", "rnr-timer", "tx-depth", NULL};

#define TEXT                                                                                       \
    "Beside each of two QEMU processes runs one bridge. What lies in files that both bridges "     \
    "know\n"                                                                                       \
    "is written from the one guest's RAM into the other's; everything else is carried. With "      \
    "--qmp\n"                                                                                      \
    "the bridge sets QEMU up, starts the migration, follows it and tells how it ended.\n"          \
    "Sizes take K, M, G and T (powers of 1024), times take us, ms, s and min.\n"

const struct cli_command bridge_source = {
    .name = "bridge source",
    .usage = "unix:PATH rdma:HOST:PORT [--qmp PATH] [--ram BLOCK=FILE]... [OPTION]...",
    .summary = "Takes QEMU's migration on unix:PATH and brings it to the destination's bridge.",
    .text = TEXT,
    .own = own_options,
    .set_library = session_args_set_library,
    .only = library_options,
};

const struct cli_command bridge_destination = {
    .name = "bridge destination",
    .usage = "rdma:HOST:PORT unix:PATH [--qmp PATH] [--ram BLOCK=FILE]... [OPTION]...",
    .summary =
        "Waits for the source's bridge and hands its migration to QEMU's -incoming unix:PATH.",
    .text = TEXT,
    .own = own_options,
    .set_library = session_args_set_library,
    .only = library_options,
};

/* ---- Parsing ------------------------------------------------------------------------------- */

static bool begins_with(const char *text, const char *start)
{
    return text != NULL && strncmp(text, start, strlen(start)) == 0;
}

static int check_addresses(const struct bridge_args *args, const struct cli_command *command,
                           struct multifd_error *err)
{
    return begins_with(args->qemu, "unix:") &&
                   (begins_with(args->rdma, "rdma:") || begins_with(args->rdma, "tcp:"))
               ? 0
               : tool_fail(err, MULTIFD_ERROR_INVALID,
                           "needs two addresses, %s; see multifd %s --help",
                           args->role == QEMU_SOURCE ? "unix:PATH of QEMU, then rdma:HOST:PORT"
                                                     : "rdma:HOST:PORT, then unix:PATH of QEMU",
                           command->name);
}

static int check_settings(const struct bridge_args *args, struct multifd_error *err)
{
    const struct qemu_settings *settings = &args->settings;
    const char *name = settings->max_bandwidth != QEMU_KEEP ? "max-bandwidth"
                       : settings->downtime_ms != QEMU_KEEP ? "downtime-limit"
                       : settings->compression != NULL      ? "multifd-compression"
                                                            : NULL;

    return args->qmp != NULL || name == NULL
               ? 0
               : tool_fail(err, MULTIFD_ERROR_INVALID,
                           "--%s is set in QEMU, which takes --qmp PATH", name);
}

enum cli_result bridge_args_parse(struct bridge_args *args, enum qemu_role role, int argc,
                                  char **argv, struct multifd_error *err)
{
    const struct cli_command *command = role == QEMU_SOURCE ? &bridge_source : &bridge_destination;
    const char *addresses[2] = {NULL, NULL};

    *args = (struct bridge_args){
        .role = role,
        .settings = {.channels = QEMU_KEEP, .max_bandwidth = QEMU_KEEP, .downtime_ms = QEMU_KEEP},
    };
    if (session_args_init(&args->session, err) != 0) {
        return CLI_WRONG;
    }
    enum cli_result result = cli_parse(command, argc, argv, args, addresses, 2, err);
    args->qemu = addresses[role == QEMU_SOURCE ? 0 : 1];
    args->rdma = addresses[role == QEMU_SOURCE ? 1 : 0];
    if (result == CLI_RUN &&
        (check_addresses(args, command, err) != 0 || check_settings(args, err) != 0)) {
        result = CLI_WRONG;
    }
    session_args_log(&args->session, command->name);
    return result;
}

void bridge_args_clear(struct bridge_args *args)
{
    session_args_clear(&args->session);
}
