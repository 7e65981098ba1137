/* SPDX-License-Identifier: MIT */
#include "report.h"

#include "units.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static json_t *number(uint64_t value)
{
    return json_integer((json_int_t)value);
}

/* JSON is UTF-8, but a path or an address may hold any bytes: then all but ASCII become "?". */
static json_t *text_json(const char *text)
{
    json_t *string = json_string(text);

    if (string == NULL) {
        char *copy = strdup(text);
        for (char *c = copy; c != NULL && *c != '\0'; c++) {
            if ((unsigned char)*c >= 128) {
                *c = '?';
            }
        }
        string = copy != NULL ? json_string(copy) : NULL;
        free(copy);
    }
    return string;
}

static json_t *error_json(const struct multifd_error *error)
{
    if (error == NULL) {
        return json_null();
    }
    /* A channel's number, or null when it is no single channel's fault. */
    return json_pack("{s:s, s:o, s:o}", "code", multifd_error_name(error->code), "channel",
                     error->channel >= 0 ? json_integer(error->channel) : json_null(), "message",
                     text_json(error->message));
}

static json_t *channel_json(const struct report *report, unsigned index)
{
    const struct multifd_channel_statistics *channel = &report->channels[index];

    return json_pack("{s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:f}", "channel", (int)index,
                     "guest_bytes", number(channel->guest_bytes), "wire_bytes",
                     number(channel->wire_bytes), "normal_pages", number(channel->normal_pages),
                     "zero_pages", number(channel->zero_pages), "packets", number(channel->packets),
                     "credit_stalls", number(channel->credit_stalls), "queue_stalls",
                     number(channel->queue_stalls), "rate_gbps",
                     units_gigabits(channel->guest_bytes, report->statistics.transfer_ns));
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
    };

    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        (void)json_object_set_new(object, members[i].name, number(members[i].value));
    }
}

char *report_json(const struct report *report)
{
    double rate = units_gigabits(report->statistics.guest_bytes, report->statistics.transfer_ns);
    json_t *object =
        json_pack("{s:i, s:s, s:o, s:s, s:o, s:o, s:o}", "version", REPORT_VERSION, "command",
                  report->command, "address", text_json(report->address), "result",
                  report->error == NULL ? "done" : "failed", "error", error_json(report->error),
                  "blocks", number(report->blocks), "memory_bytes", number(report->memory));

    if (object == NULL) {
        return NULL;
    }
    add_statistics(object, &report->statistics);
    (void)json_object_set_new(object, "rate_gbps", json_real(rate));
    (void)json_object_set_new(object, "ratio", json_real(report_ratio(&report->statistics)));
    (void)json_object_set_new(object, "cpu_ns", number(report->cpu_ns));
    (void)json_object_set_new(object, "channels", channels_json(report));
    char *text = json_dumps(object, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    json_decref(object);
    return text;
}
