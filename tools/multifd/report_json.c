/* SPDX-License-Identifier: MIT */
#include "report.h"

#include "json_parts.h"
#include "units.h"

#include <stdlib.h>
#include <string.h>

static json_t *channel_json(const struct report *report, unsigned index)
{
    const struct multifd_channel_statistics *channel = &report->channels[index];

    return json_pack(
        "{s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:f}", "channel", (int)index,
        "guest_bytes", json_parts_number(channel->guest_bytes), "wire_bytes",
        json_parts_number(channel->wire_bytes), "normal_pages",
        json_parts_number(channel->normal_pages), "zero_pages",
        json_parts_number(channel->zero_pages), "packets", json_parts_number(channel->packets),
        "credit_stalls", json_parts_number(channel->credit_stalls), "queue_stalls",
        json_parts_number(channel->queue_stalls), "memory_stalls",
        json_parts_number(channel->memory_stalls), "cpu_ns", json_parts_number(channel->cpu_ns),
        "rate_gbps", units_gigabits(channel->guest_bytes, report->statistics.transfer_ns));
}

static json_t *channels_json(const struct report *report)
{
    json_t *channels = json_array();

    for (unsigned i = 0; i < report->statistics.channels; i++) {
        (void)json_array_append_new(channels, channel_json(report, i));
    }
    return channels;
}

static void add_statistics(json_t *object, const struct multifd_statistics *statistics)
{
    const struct {
        const char *name;
        uint64_t value;
    } members[] = {
        {"total_ns", statistics->total_ns},
        {"setup_ns", statistics->setup_ns},
        {"register_ns", statistics->register_ns},
        {"transfer_ns", statistics->transfer_ns},
        {"sync_ns", statistics->sync_ns},
        {"verify_ns", statistics->verify_ns},
        {"normal_pages", statistics->normal_pages},
        {"zero_pages", statistics->zero_pages},
        {"packets", statistics->packets},
        {"syncs", statistics->syncs},
        {"guest_bytes", statistics->guest_bytes},
        {"wire_bytes", statistics->wire_bytes},
        {"registered_bytes", statistics->registered_bytes},
        {"credit_stalls", statistics->credit_stalls},
        {"queue_stalls", statistics->queue_stalls},
        {"memory_stalls", statistics->memory_stalls},
        {"session_cpu_ns", statistics->cpu_ns},
    };

    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        (void)json_object_set_new(object, members[i].name, json_parts_number(members[i].value));
    }
}

/* Those that are known. */
static json_t *device_json(const struct multifd_statistics *statistics)
{
    struct report_counter counters[REPORT_COUNTERS];
    size_t known = report_device(&statistics->device, counters);
    json_t *device = json_object();

    for (size_t i = 0; i < known; i++) {
        (void)json_object_set_new(device, counters[i].name, json_parts_number(counters[i].value));
    }
    return device;
}

static json_t *new_object(const struct report *report, const char *type)
{
    return json_pack("{s:i, s:s, s:s}", "version", REPORT_VERSION, "type", type, "command",
                     report->command);
}

static void add_session(json_t *object, const struct report *report)
{
    double rate = units_gigabits(report->statistics.guest_bytes, report->statistics.transfer_ns);

    (void)json_object_set_new(object, "blocks", json_parts_number(report->blocks));
    (void)json_object_set_new(object, "memory_bytes", json_parts_number(report->memory));
    add_statistics(object, &report->statistics);
    (void)json_object_set_new(object, "port", device_json(&report->statistics));
    (void)json_object_set_new(object, "rate_gbps", json_real(rate));
    (void)json_object_set_new(object, "ratio", json_real(report_ratio(&report->statistics)));
    (void)json_object_set_new(object, "cpu_ns", json_parts_number(report->cpu_ns));
    (void)json_object_set_new(object, "channels", channels_json(report));
}

char *report_json(const struct report *report, bool one_line)
{
    json_t *object = new_object(report, "report");

    (void)json_object_set_new(object, "address", json_parts_text(report->address));
    (void)json_object_set_new(object, "result",
                              json_string(report->error == NULL ? "done" : "failed"));
    (void)json_object_set_new(object, "error", json_parts_error(report->error));
    add_session(object, report);
    return json_parts_dump(object, one_line ? 0 : JSON_INDENT(2));
}

/* What has moved in an interval, and how fast. */
static json_t *interval_json(uint64_t guest_bytes, uint64_t wire_bytes, uint64_t nanoseconds)
{
    return json_pack("{s:o, s:o, s:o, s:f, s:f}", "ns", json_parts_number(nanoseconds),
                     "guest_bytes", json_parts_number(guest_bytes), "wire_bytes",
                     json_parts_number(wire_bytes), "guest_gbps",
                     units_gigabits(guest_bytes, nanoseconds), "wire_gbps",
                     units_gigabits(wire_bytes, nanoseconds));
}

/* Channels that have come since were at zero. */
static void add_channel_intervals(json_t *channels, const struct report *now,
                                  const struct report *before)
{
    static const struct multifd_channel_statistics none;

    for (unsigned i = 0; i < now->statistics.channels; i++) {
        const struct multifd_channel_statistics *from =
            i < before->statistics.channels ? &before->channels[i] : &none;
        const struct multifd_channel_statistics *to = &now->channels[i];
        (void)json_object_set_new(json_array_get(channels, i), "interval",
                                  interval_json(to->guest_bytes - from->guest_bytes,
                                                to->wire_bytes - from->wire_bytes,
                                                now->taken_ns - before->taken_ns));
    }
}

char *report_json_statistics(const struct report *now, const struct report *before)
{
    json_t *object = new_object(now, "statistics");

    (void)json_object_set_new(
        object, "interval",
        interval_json(now->statistics.guest_bytes - before->statistics.guest_bytes,
                      now->statistics.wire_bytes - before->statistics.wire_bytes,
                      now->taken_ns - before->taken_ns));
    add_session(object, now);
    add_channel_intervals(json_object_get(object, "channels"), now, before);
    return json_parts_dump(object, 0);
}
