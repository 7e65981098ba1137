/* SPDX-License-Identifier: MIT */
#include "report.h"

#include "console.h"
#include "units.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

uint64_t report_processor_ns(void)
{
    struct rusage usage;

    if (getrusage(RUSAGE_SELF, &usage) != 0) {
        return 0;
    }
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000 +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000;
}

double report_ratio(const struct multifd_statistics *statistics)
{
    return statistics->wire_bytes == 0
               ? 0
               : (double)statistics->guest_bytes / (double)statistics->wire_bytes;
}

void report_stamp(struct report *report)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    report->taken_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void report_collect(struct report *report, const struct session_view *view)
{
    report_stamp(report);
    session_view_statistics(view, &report->statistics);
    report->cpu_ns = report_processor_ns(); /* after that of the session, which is a part of it */
    unsigned count = report->statistics.channels;
    report->channels = calloc(count > 0 ? count : 1, sizeof(*report->channels));
    if (report->channels == NULL) {
        report->statistics.channels = 0;
        return;
    }
    for (unsigned i = 0; i < count; i++) {
        (void)session_view_channel(view, i, &report->channels[i]);
    }
}

void report_clear(struct report *report)
{
    free(report->channels);
    report->channels = NULL;
}

void report_print_time(FILE *out, const char *name, uint64_t nanoseconds)
{
    char text[UNITS_TEXT];

    units_format_seconds(text, (double)nanoseconds / 1e9);
    (void)fprintf(out, "  %-14s%s\n", name, text);
}

static void print_times(const struct multifd_statistics *statistics, FILE *out)
{
    report_print_time(out, "total", statistics->total_ns);
    report_print_time(out, "setup", statistics->setup_ns);
    report_print_time(out, "registration", statistics->register_ns);
    report_print_time(out, "transfer", statistics->transfer_ns);
    report_print_time(out, "sync", statistics->sync_ns);
    report_print_time(out, "verify", statistics->verify_ns);
}

static void print_processor(const struct report *report, FILE *out)
{
    char all[UNITS_TEXT];
    char session[UNITS_TEXT];

    units_format_seconds(all, (double)report->cpu_ns / 1e9);
    units_format_seconds(session, (double)report->statistics.cpu_ns / 1e9);
    (void)fprintf(out, "  %-14s%s, %s of it by the session's threads\n", "processor", all, session);
}

/* Only a source's packets wait. */
static void print_waiting(const struct multifd_statistics *statistics, FILE *out)
{
    if (statistics->credit_stalls + statistics->queue_stalls + statistics->memory_stalls != 0) {
        (void)fprintf(out,
                      "  %-14s%" PRIu64 " packets for credits, %" PRIu64
                      " for the send queue, %" PRIu64 " for memory\n",
                      "waited", statistics->credit_stalls, statistics->queue_stalls,
                      statistics->memory_stalls);
    }
}

size_t report_device(const struct multifd_device_counters *device,
                     struct report_counter counters[REPORT_COUNTERS])
{
    const struct report_counter all[REPORT_COUNTERS] = {
        {"retries", "retries", device->retries},
        {"ack_timeouts", "ack timeouts", device->ack_timeouts},
        {"sequence_naks", "sequence NAKs", device->sequence_naks},
        {"rnr_naks", "RNR NAKs", device->rnr_naks},
        {"out_of_sequence", "out of sequence", device->out_of_sequence},
        {"duplicates", "duplicates", device->duplicates},
    };
    size_t known = 0;

    for (size_t i = 0; i < REPORT_COUNTERS; i++) {
        if (all[i].value != MULTIFD_UNKNOWN) {
            counters[known++] = all[i];
        }
    }
    return known;
}

/* The device counts for all that use its port. */
static void print_device(const struct multifd_statistics *statistics, FILE *out)
{
    struct report_counter counters[REPORT_COUNTERS];
    size_t known = report_device(&statistics->device, counters);

    for (size_t i = 0; i < known; i++) {
        (void)fprintf(out, "%s%" PRIu64 " %s%s", i == 0 ? "  port          " : ", ",
                      counters[i].value, counters[i].text, i + 1 == known ? "\n" : "");
    }
}

static void print_channels(const struct report *report, FILE *out)
{
    (void)fprintf(out, "\n  %7s %12s %12s %10s %16s %9s\n", "channel", "normal", "zero", "packets",
                  "wire bytes", "Gb/s");
    for (unsigned i = 0; i < report->statistics.channels; i++) {
        const struct multifd_channel_statistics *channel = &report->channels[i];
        (void)fprintf(out, "  %7u %12" PRIu64 " %12" PRIu64 " %10" PRIu64 " %16" PRIu64 " %9.2f\n",
                      i, channel->normal_pages, channel->zero_pages, channel->packets,
                      channel->wire_bytes,
                      units_gigabits(channel->guest_bytes, report->statistics.transfer_ns));
    }
}

void report_table(const struct report *report, FILE *out)
{
    const struct multifd_statistics *statistics = &report->statistics;
    char memory[UNITS_TEXT];

    units_format_size(memory, report->memory);
    (void)fprintf(out, "multifd %s: %s, %s\n\n", report->command, report->address,
                  report->error == NULL ? "done" : "failed");
    (void)fprintf(out, "  %-14s%s in %zu RAM block%s, %u channel%s\n", "memory", memory,
                  report->blocks, report->blocks == 1 ? "" : "s", statistics->channels,
                  statistics->channels == 1 ? "" : "s");
    print_times(statistics, out);
    (void)fprintf(out, "  %-14s%.2f Gb/s\n", "rate",
                  units_gigabits(statistics->guest_bytes, statistics->transfer_ns));
    (void)fprintf(out, "  %-14s%" PRIu64 " normal, %" PRIu64 " zero\n", "pages",
                  statistics->normal_pages, statistics->zero_pages);
    (void)fprintf(out, "  %-14s%" PRIu64 "\n", "packets", statistics->packets);
    (void)fprintf(out, "  %-14s%" PRIu64 "\n", "syncs", statistics->syncs);
    (void)fprintf(out, "  %-14s%" PRIu64 " guest, %" PRIu64 " wire, %" PRIu64 " registered\n",
                  "bytes", statistics->guest_bytes, statistics->wire_bytes,
                  statistics->registered_bytes);
    (void)fprintf(out, "  %-14s%.2f guest bytes for each byte on the wire\n", "ratio",
                  report_ratio(statistics));
    print_waiting(statistics, out);
    print_device(statistics, out);
    print_processor(report, out);
    print_channels(report, out);
}

void report_print(const struct report *report, enum report_form form)
{
    errno = 0;
    if (form == REPORT_TABLE) {
        report_table(report, stdout);
    } else {
        char *text = report_json(report, form == REPORT_JSON_LINE);
        (void)puts(text != NULL ? text : "");
        free(text);
    }
    /* Whether the guest has moved is what the exit status tells; the report is not part of that. */
    if (fflush(stdout) != 0 || ferror(stdout)) {
        console_line(report->command, "the report cannot be written: %s", strerror(errno));
    }
}
