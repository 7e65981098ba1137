/* SPDX-License-Identifier: MIT */
#include "overhead.h"

#include "bandwidth.h"
#include "fail.h"
#include "raw_packet.h"
#include "results.h"

#include <string.h>

static const char *const overhead_options[] = {"size", "memory", "repeat", "raw", NULL};

static const struct initial_value overhead_initials[] = {
    {"size", "4K,64K,512K"},
    {"channels", "1"},
    {"poll", "0"},                   /* a thread that waits takes no time */
    {"zero-page-detection", "none"}, /* no byte of a page is looked at */
    {NULL, NULL},
};

static const struct column overhead_columns[] = {
    {"message", "message_bytes", COLUMN_SIZE},
    {"channels", "options.channels", COLUMN_TEXT},
    {"source ns/page", "page_ns.source", COLUMN_NANOSECONDS},
    {"queueing", "page_ns.queueing", COLUMN_NANOSECONDS},
    {"destination", "page_ns.destination", COLUMN_NANOSECONDS},
    {"wall", "page_ns.wall", COLUMN_NANOSECONDS},
    {"raw", "page_ns.raw", COLUMN_NANOSECONDS},
    {"source ns/packet", "packet_ns.source", COLUMN_NANOSECONDS},
    {"destination", "packet_ns.destination", COLUMN_NANOSECONDS},
    {"wall", "packet_ns.wall", COLUMN_NANOSECONDS},
    {"raw", "packet_ns.raw", COLUMN_NANOSECONDS},
    {"projected Gb/s", "projected_gbps", COLUMN_GBPS},
    {.heading = NULL},
};

/* A figure in seconds for a gigabyte, which is nanoseconds for a byte; 0 if there is none. */
static double byte_ns(const json_t *row, const char *path)
{
    return json_number_value(results_member(row, path));
}

/* The nanoseconds that a byte takes at a rate; 0 if there is none. */
static double byte_ns_at(const json_t *row, const char *path)
{
    double gbps = json_number_value(results_member(row, path));

    return gbps > 0 ? 8 / gbps : 0;
}

static json_t *scaled(const json_t *row, double bytes)
{
    json_t *figures =
        json_pack("{s:f, s:f, s:f, s:f}", "source", bytes * byte_ns(row, "source_cpu_s_per_gb"),
                  "queueing", bytes * byte_ns(row, "caller_cpu_s_per_gb"), "destination",
                  bytes * byte_ns(row, "destination.cpu_s_per_gb"), "wall",
                  bytes * byte_ns_at(row, "session_gbps.median"));

    if (json_object_get(row, "raw_gbps") != NULL) {
        (void)json_object_set_new(figures, "raw",
                                  json_real(bytes * byte_ns_at(row, "raw_gbps.median")));
    }
    return figures;
}

static double larger(double a, double b)
{
    return a > b ? a : b;
}

/* The thread that has most to do sets the pace; the channels share what is theirs evenly. */
static double projected_gbps(const struct bench_case *bench, const json_t *row)
{
    double caller = byte_ns(row, "caller_cpu_s_per_gb");
    double channels = byte_ns(row, "source_cpu_s_per_gb") - caller;
    double destination = byte_ns(row, "destination.cpu_s_per_gb");

    return 8 / larger(caller, larger(channels, destination) / (double)bench->channels);
}

static void add_figures(const struct bench_case *bench, json_t *row)
{
    double page = (double)bench->page_size;

    (void)json_object_set_new(row, "page_ns", scaled(row, page));
    (void)json_object_set_new(row, "packet_ns",
                              scaled(row, page * raw_packet_pages(bench->page_size)));
    (void)json_object_set_new(row, "projected_gbps", json_real(projected_gbps(bench, row)));
}

static int run(const struct bench_case *bench, struct peer *peer, json_t *row,
               struct multifd_error *err)
{
    if (strcmp(bench->method, "nocomp") != 0) {
        return tool_fail(err, MULTIFD_ERROR_INVALID,
                         "option method: nothing arrives that could be unpacked, so only nocomp");
    }
    return bandwidth_run(bench, peer, row, err);
}

const struct measurement overhead = {
    .name = "overhead",
    .summary = "What the library itself takes for a page, over a device that moves nothing.",
    .text =
        "Both sides are in one process over the null device, where a WRITE moves no byte and\n"
        "completes at once. Pages of one message adjoin: 4K is scattered single pages, 512K\n"
        "whole packets. There is one channel unless --channels says more.\n"
        "\n"
        "\"source\" is the processor time of all threads there, user's and system's, \"queueing\"\n"
        "that of the thread that queues pages; \"destination\" that of all threads there. "
        "\"wall\"\n"
        "is the time from the first page queued to the end of the sync. \"raw\" is the wall time\n"
        "of the bare verbs loop in one thread: what the null device and the filling of work\n"
        "requests take. With --memory above 2G the raw loop may wait for receives.\n"
        "\n"
        "\"projected\" is the rate at which the busiest thread would have no rest, if each had a\n"
        "processor of its own and the device were no limit: a page's bits, by the longest of\n"
        "its time in the thread that queues, in a channel's thread at the source (all others\n"
        "there, divided by the channels) and in a channel's thread at the destination.\n",
    .options = overhead_options,
    .initials = overhead_initials,
    .sweep = &sweep_of_runs,
    .session = true,
    .null_device = true,
    .columns = overhead_columns,
    .run = run,
    .finish = add_figures,
    .serve = bandwidth_serve,
};
