/* SPDX-License-Identifier: MIT */
#include "core/statistics.h"

#include "core/base/clock.h"

void channel_counters_add(struct channel_counters *counters, uint32_t normal, uint32_t zero,
                          uint32_t page_size, uint64_t wire_bytes)
{
    counter_add(&counters->guest_bytes, ((uint64_t)normal + zero) * page_size);
    counter_add(&counters->wire_bytes, wire_bytes);
    counter_add(&counters->normal_pages, normal);
    counter_add(&counters->zero_pages, zero);
    counter_add(&counters->packets, 1);
}

void channel_counters_read(const struct channel_counters *counters,
                           struct multifd_channel_statistics *out)
{
    out->guest_bytes = counter_get(&counters->guest_bytes);
    out->wire_bytes = counter_get(&counters->wire_bytes);
    out->normal_pages = counter_get(&counters->normal_pages);
    out->zero_pages = counter_get(&counters->zero_pages);
    out->packets = counter_get(&counters->packets);
    out->credit_stalls = counter_get(&counters->credit_stalls);
    out->queue_stalls = counter_get(&counters->queue_stalls);
    out->memory_stalls = counter_get(&counters->memory_stalls);
}

void statistics_add_channel(struct multifd_statistics *out, const struct channel_counters *counters)
{
    struct multifd_channel_statistics channel;

    channel_counters_read(counters, &channel);
    out->guest_bytes += channel.guest_bytes;
    out->wire_bytes += channel.wire_bytes;
    out->normal_pages += channel.normal_pages;
    out->zero_pages += channel.zero_pages;
    out->packets += channel.packets;
    out->credit_stalls += channel.credit_stalls;
    out->queue_stalls += channel.queue_stalls;
    out->memory_stalls += channel.memory_stalls;
    out->channels++;
}

/* The time between two marks, up to now if the second has not been reached. */
static uint64_t between(uint64_t start, uint64_t end)
{
    if (start == 0) {
        return 0;
    }
    end = end == 0 ? clock_now_ns() : end;
    return end > start ? end - start : 0;
}

void statistics_times(struct multifd_statistics *out, const struct session_times *times)
{
    uint64_t first_page = counter_get(&times->first_page);

    out->syncs = counter_get(&times->syncs);
    out->total_ns = between(counter_get(&times->setup_start), counter_get(&times->finish_end));
    out->setup_ns = between(counter_get(&times->setup_start), counter_get(&times->setup_end));
    out->transfer_ns = between(first_page, counter_get(&times->last_sync));
    out->sync_ns = counter_get(&times->sync_ns);
    out->verify_ns = counter_get(&times->verify_ns);
    out->registered_bytes = counter_get(&times->registered_bytes);
    out->register_ns = counter_get(&times->register_ns);
}

void statistics_totals(const struct multifd_statistics *statistics, struct message_totals *totals)
{
    *totals = (struct message_totals){
        .packets = statistics->packets,
        .normal_pages = statistics->normal_pages,
        .zero_pages = statistics->zero_pages,
        .guest_bytes = statistics->guest_bytes,
        .syncs = statistics->syncs,
    };
}
