/* SPDX-License-Identifier: MIT */
#include "measurement.h"

#include "bandwidth.h"
#include "measurements_verbs.h"
#include "method.h"
#include "overhead.h"
#include "rounds.h"
#include "scan.h"

#include <string.h>

const struct sweep sweep_of_runs = {
    .sizes = "4K,8K,16K,32K,64K,128K,256K,512K",
    .help = "every message size from 4K to 512K in turn",
};

/* ---- bandwidth, raw ---- */

static const char *const bandwidth_options[] = {"size", "memory", "repeat", "raw", NULL};

static const struct initial_value bandwidth_initials[] = {
    {"size", "512K"},
    {"zero-page-detection", "none"}, /* the raw loop looks at no page either */
    {NULL, NULL},
};

static const struct column bandwidth_columns[] = {
    {"message", "message_bytes", COLUMN_SIZE},
    {"channels", "options.channels", COLUMN_TEXT},
    {"window", "options.window", COLUMN_TEXT},
    {"method", "options.method", COLUMN_TEXT},
    {"Gb/s", "session_gbps.median", COLUMN_GBPS},
    {"wire Gb/s", "wire_gbps.median", COLUMN_GBPS},
    {"lowest", "destination.lowest_gbps", COLUMN_GBPS},
    {"raw Gb/s", "raw_gbps.median", COLUMN_GBPS},
    {"of raw", "ratio.median", COLUMN_RATIO},
    {"from", "ratio.min", COLUMN_RATIO},
    {"to", "ratio.max", COLUMN_RATIO},
    {"CPU s/GB", "source_cpu_s_per_gb", COLUMN_SECONDS},
    {"destination", "destination.cpu_s_per_gb", COLUMN_SECONDS},
    {.heading = NULL},
};

static const struct measurement bandwidth = {
    .name = "bandwidth",
    .summary = "Sends guest memory again and again, and tells how fast.",
    .text =
        "Pages of one message adjoin and travel as one RDMA WRITE: 4K is scattered single pages,\n"
        "512K whole packets. Over RDMA the bare verbs loop sends the same memory in turn with the\n"
        "session (--raw=off: not); \"of raw\" is the median of the ratios in turns, with the "
        "lowest\n"
        "and the highest. \"lowest\" is the lowest rate at which any 1/16 of the memory arrived; "
        "\"wire\n"
        "Gb/s\" what was on the wire of it: packets' headers, and pages as the method has made\n"
        "them. An option may have several values, joined by commas: all combinations are "
        "measured.\n",
    .options = bandwidth_options,
    .initials = bandwidth_initials,
    .sweep = &sweep_of_runs,
    .session = true,
    .columns = bandwidth_columns,
    .plot = PLOT_BANDWIDTH,
    .run = bandwidth_run,
    .serve = bandwidth_serve,
};

static const char *const raw_options[] = {"size", "memory", "repeat", "post-list", NULL};

static const char *const raw_library[] = {
    "channels", "page-size", "window",   "ib-dev",     "ib-port",     "gid-index", "tclass",
    "sl",       "mtu",       "tx-depth", "qp-timeout", "retry-count", "rnr-timer", NULL,
};

static const struct initial_value raw_initials[] = {
    {"size", "512K"},
    {NULL, NULL},
};

static const struct column raw_columns[] = {
    {"message", "message_bytes", COLUMN_SIZE}, {"channels", "options.channels", COLUMN_TEXT},
    {"window", "options.window", COLUMN_TEXT}, {"posted", "options.post-list", COLUMN_TEXT},
    {"Gb/s", "raw_gbps.median", COLUMN_GBPS},  {"from", "raw_gbps.min", COLUMN_GBPS},
    {"to", "raw_gbps.max", COLUMN_GBPS},       {.heading = NULL},
};

static const struct measurement raw = {
    .name = "raw",
    .summary = "What the device gives to a bare verbs loop with a session's work requests.",
    .text = "One thread posts for each packet the WRITEs of its messages and a SEND, without\n"
            "anything of the library. It is what \"bandwidth\" is compared with.\n",
    .options = raw_options,
    .initials = raw_initials,
    .sweep = &sweep_of_runs,
    .session = true,
    .library = raw_library,
    .columns = raw_columns,
    .plot = PLOT_BANDWIDTH,
    .run = raw_run,
    .serve = bandwidth_serve,
};

/* ---- latency, sync ---- */

static const char *const latency_options[] = {"size", "memory", "iters", "duration", NULL};

static const struct initial_value latency_initials[] = {
    {"memory", "4M"},
    {"channels", "1"},
    {NULL, NULL},
};

static const struct column latency_columns[] = {
    {"message", "message_bytes", COLUMN_SIZE},
    {"channels", "options.channels", COLUMN_TEXT},
    {"applied us p50", "destination.applied.p50", COLUMN_MICROSECONDS},
    {"p99", "destination.applied.p99", COLUMN_MICROSECONDS},
    {"acknowledged us p50", "acknowledged.p50", COLUMN_MICROSECONDS},
    {"p90", "acknowledged.p90", COLUMN_MICROSECONDS},
    {"p99", "acknowledged.p99", COLUMN_MICROSECONDS},
    {"p99.9", "acknowledged.p99_9", COLUMN_MICROSECONDS},
    {"max", "acknowledged.max", COLUMN_MICROSECONDS},
    {.heading = NULL},
};

static const struct measurement latency = {
    .name = "latency",
    .summary = "How long a page takes from being queued until the destination has it.",
    .text =
        "\"applied\": until multifd_recv_sync_main has returned at the destination; known in a\n"
        "loopback only, where both sides have one clock. \"acknowledged\": until\n"
        "multifd_send_sync_main has returned at the source. With a larger --size several pages\n"
        "that adjoin are queued.\n",
    .options = latency_options,
    .initials = latency_initials,
    .sweep = &sweep_of_runs,
    .session = true,
    .columns = latency_columns,
    .plot = PLOT_DISTRIBUTION,
    .run = latency_run,
    .serve = rounds_serve,
};

static const char *const sync_options[] = {"load", "memory", "iters", "duration", NULL};

static const struct initial_value sync_initials[] = {
    {"memory", "4M"},
    {"channels", "1,2,4,8"},
    {NULL, NULL},
};

static const struct column sync_columns[] = {
    {"channels", "options.channels", COLUMN_TEXT}, {"pages before", "options.load", COLUMN_TEXT},
    {"us p50", "sync.p50", COLUMN_MICROSECONDS},   {"p90", "sync.p90", COLUMN_MICROSECONDS},
    {"p99", "sync.p99", COLUMN_MICROSECONDS},      {"p99.9", "sync.p99_9", COLUMN_MICROSECONDS},
    {"max", "sync.max", COLUMN_MICROSECONDS},      {.heading = NULL},
};

static const struct measurement sync_rounds = {
    .name = "sync",
    .summary = "How long a fence over all channels takes, idle or loaded.",
    .text = "--load queues so many pages right before each sync; only the sync is timed.\n",
    .options = sync_options,
    .initials = sync_initials,
    .session = true,
    .columns = sync_columns,
    .plot = PLOT_DISTRIBUTION,
    .run = sync_run,
    .serve = rounds_serve,
};

/* ---- All ---- */

const struct measurement *const measurements[] = {
    &bandwidth,
    &raw,
    &latency,
    &sync_rounds,
    &overhead,
    &measurement_send,
    &measurement_write,
    &measurement_read,
    &measurement_register,
    &measurement_scan,
    &measurement_method,
    NULL,
};

const struct measurement *measurement_find(const char *name)
{
    for (const struct measurement *const *at = measurements; *at != NULL; at++) {
        if (strcmp((*at)->name, name) == 0) {
            return *at;
        }
    }
    return NULL;
}
