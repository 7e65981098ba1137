/* SPDX-License-Identifier: MIT */
#include "bridge/bridge_report.h"

#include "console.h"
#include "report.h"
#include "units.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void bridge_report_collect(struct bridge_report *report, const struct multifd_bridge *bridge)
{
    multifd_bridge_statistics(bridge, &report->statistics);
    report->cpu_ns = report_processor_ns(); /* after the bridge's own, which is a part of it */
    unsigned count = report->statistics.channels;
    report->channels = calloc(count > 0 ? count : 1, sizeof(*report->channels));
    if (report->channels == NULL) {
        report->statistics.channels = 0;
        return;
    }
    for (unsigned i = 0; i < count; i++) {
        (void)multifd_bridge_channel_statistics(bridge, i, &report->channels[i]);
    }
}

void bridge_report_clear(struct bridge_report *report)
{
    free(report->channels);
    report->channels = NULL;
}

static void print_qemu(const struct bridge_report *report, FILE *out)
{
    const struct outcome *outcome = report->outcome;
    const struct qemu_migration *migration = &outcome->migration;

    (void)fprintf(out, "  %-14s%s, version %s\n", "QEMU", outcome->text, report->version);
    if (migration->total_ms == 0) { /* a destination's tells nothing else */
        return;
    }
    report_print_time(out, "total", migration->total_ms * 1000000);
    report_print_time(out, "setup", migration->setup_ms * 1000000);
    report_print_time(out, "downtime", migration->downtime_ms * 1000000);
    (void)fprintf(out, "  %-14s%" PRIu64 " in %" PRIu64 " rounds, %" PRIu64 " zero\n", "pages sent",
                  migration->normal_pages, migration->rounds, migration->zero_pages);
}

static void print_bytes(const struct multifd_bridge_statistics *statistics, FILE *out)
{
    (void)fprintf(
        out, "  %-14s%" PRIu64 " written directly, %" PRIu64 " from buffers, %" PRIu64 " zero\n",
        "pages", statistics->direct_pages, statistics->buffered_pages, statistics->zero_pages);
    (void)fprintf(out,
                  "  %-14s%" PRIu64 " written directly, %" PRIu64 " from buffers, %" PRIu64
                  " carried, %" PRIu64 " dropped\n",
                  "bytes", statistics->direct_bytes, statistics->buffered_bytes,
                  statistics->carried_bytes, statistics->dropped_bytes);
    (void)fprintf(out, "  %-14s%" PRIu64 " to the destination, %" PRIu64 " back\n", "main channel",
                  statistics->main_bytes, statistics->return_bytes);
    (void)fprintf(out, "  %-14s%" PRIu64 " bytes", "registered", statistics->registered_bytes);
    (void)fprintf(out, " in %.3f s\n", (double)statistics->register_ns / 1e9);
}

static void print_channels(const struct bridge_report *report, FILE *out)
{
    (void)fprintf(out, "\n  %7s %10s %16s %16s %16s %9s\n", "channel", "packets", "direct bytes",
                  "buffered bytes", "carried bytes", "Gb/s");
    for (unsigned i = 0; i < report->statistics.channels; i++) {
        const struct multifd_bridge_channel_statistics *channel = &report->channels[i];
        (void)fprintf(
            out, "  %7u %10" PRIu64 " %16" PRIu64 " %16" PRIu64 " %16" PRIu64 " %9.2f\n", i,
            channel->packets, channel->direct_bytes, channel->buffered_bytes,
            channel->carried_bytes,
            units_gigabits(channel->direct_bytes + channel->buffered_bytes + channel->carried_bytes,
                           report->statistics.total_ns));
    }
}

void bridge_report_table(const struct bridge_report *report, FILE *out)
{
    const struct multifd_bridge_statistics *statistics = &report->statistics;
    char memory[UNITS_TEXT];

    units_format_size(memory, report->memory);
    (void)fprintf(out, "multifd %s: %s, %s, %s\n\n", report->command, report->qemu, report->rdma,
                  report->error == NULL ? "done" : "failed");
    (void)fprintf(out, "  %-14s%s in %zu RAM block%s, %u channel%s\n", "known memory", memory,
                  report->blocks, report->blocks == 1 ? "" : "s", statistics->channels,
                  statistics->channels == 1 ? "" : "s");
    if (report->outcome != NULL) {
        print_qemu(report, out);
    }
    report_print_time(out, "bridged", statistics->total_ns);
    (void)fprintf(out, "  %-14s%" PRIu64 ", %" PRIu64 " packets\n", "rounds", statistics->rounds,
                  statistics->packets);
    report_print_time(out, "held", statistics->held_ns);
    print_bytes(statistics, out);
    report_print_time(out, "processor", report->cpu_ns);
    print_channels(report, out);
}

void bridge_report_print(const struct bridge_report *report, bool json)
{
    errno = 0;
    if (json) {
        char *text = bridge_report_json(report);
        (void)puts(text != NULL ? text : "");
        free(text);
    } else {
        bridge_report_table(report, stdout);
    }
    /* Whether the guest has moved is what the exit status tells; the report is not part of that. */
    if (fflush(stdout) != 0 || ferror(stdout)) {
        console_line(report->command, "the report cannot be written: %s", strerror(errno));
    }
}
