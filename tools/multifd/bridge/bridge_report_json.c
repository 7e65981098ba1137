/* SPDX-License-Identifier: MIT */
#include "bridge/bridge_report.h"

#include "json_parts.h"
#include "report.h"
#include "units.h"

static json_t *text_or_null(const char *text)
{
    return text == NULL || text[0] == '\0' ? json_null() : json_parts_text(text);
}

struct member {
    const char *name;
    uint64_t value;
};

static void add_numbers(json_t *object, const struct member *members, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        (void)json_object_set_new(object, members[i].name, json_parts_number(members[i].value));
    }
}

static json_t *qemu_json(const struct bridge_report *report)
{
    if (report->outcome == NULL) {
        return json_null();
    }
    const struct outcome *outcome = report->outcome;
    const struct qemu_migration *migration = &outcome->migration;
    const struct member members[] = {
        {"total_ms", migration->total_ms},
        {"setup_ms", migration->setup_ms},
        {"downtime_ms", migration->downtime_ms},
        {"rounds", migration->rounds},
        {"normal_pages", migration->normal_pages},
        {"zero_pages", migration->zero_pages},
        {"transferred_bytes", migration->transferred},
        {"ram_bytes", migration->total},
    };
    json_t *object =
        json_pack("{s:s, s:o, s:o, s:b, s:o, s:o}", "version", report->version, "status",
                  text_or_null(migration->status), "guest", text_or_null(outcome->guest), "ended",
                  (int)outcome->ended, "text", json_parts_text(outcome->text), "error",
                  text_or_null(migration->error));
    add_numbers(object, members, sizeof(members) / sizeof(members[0]));
    return object;
}

static json_t *channel_json(const struct bridge_report *report, unsigned index)
{
    const struct multifd_bridge_channel_statistics *channel = &report->channels[index];
    uint64_t moved = channel->direct_bytes + channel->buffered_bytes + channel->carried_bytes;
    const struct member members[] = {
        {"channel", index},
        {"packets", channel->packets},
        {"direct_bytes", channel->direct_bytes},
        {"buffered_bytes", channel->buffered_bytes},
        {"carried_bytes", channel->carried_bytes},
        {"cpu_ns", channel->cpu_ns},
    };
    json_t *object = json_object();

    add_numbers(object, members, sizeof(members) / sizeof(members[0]));
    (void)json_object_set_new(object, "rate_gbps",
                              json_real(units_gigabits(moved, report->statistics.total_ns)));
    return object;
}

static json_t *channels_json(const struct bridge_report *report)
{
    json_t *channels = json_array();

    for (unsigned i = 0; i < report->statistics.channels; i++) {
        (void)json_array_append_new(channels, channel_json(report, i));
    }
    return channels;
}

static void add_statistics(json_t *object, const struct multifd_bridge_statistics *statistics)
{
    const struct member members[] = {
        {"total_ns", statistics->total_ns},
        {"held_ns", statistics->held_ns},
        {"rounds", statistics->rounds},
        {"packets", statistics->packets},
        {"direct_pages", statistics->direct_pages},
        {"direct_bytes", statistics->direct_bytes},
        {"buffered_pages", statistics->buffered_pages},
        {"buffered_bytes", statistics->buffered_bytes},
        {"zero_pages", statistics->zero_pages},
        {"dropped_bytes", statistics->dropped_bytes},
        {"carried_bytes", statistics->carried_bytes},
        {"main_bytes", statistics->main_bytes},
        {"return_bytes", statistics->return_bytes},
        {"registered_bytes", statistics->registered_bytes},
        {"register_ns", statistics->register_ns},
        {"session_cpu_ns", statistics->cpu_ns},
    };

    add_numbers(object, members, sizeof(members) / sizeof(members[0]));
}

static const char *result_of(const struct bridge_report *report)
{
    bool undecided = report->statistics.phase == MULTIFD_BRIDGE_UNDECIDED;

    return report->error == NULL ? "done" : undecided ? "undecided" : "failed";
}

char *bridge_report_json(const struct bridge_report *report)
{
    json_t *object =
        json_pack("{s:i, s:s, s:s, s:o, s:o, s:s, s:o}", "version", REPORT_VERSION, "type",
                  "report", "command", report->command, "qemu_address",
                  json_parts_text(report->qemu), "rdma_address", json_parts_text(report->rdma),
                  "result", result_of(report), "error", json_parts_error(report->error));

    (void)json_object_set_new(object, "qemu", qemu_json(report));
    (void)json_object_set_new(object, "blocks", json_parts_number(report->blocks));
    (void)json_object_set_new(object, "memory_bytes", json_parts_number(report->memory));
    add_statistics(object, &report->statistics);
    (void)json_object_set_new(object, "cpu_ns", json_parts_number(report->cpu_ns));
    (void)json_object_set_new(object, "channels", channels_json(report));
    return json_parts_dump(object, JSON_INDENT(2));
}
