/* SPDX-License-Identifier: MIT */
#include "core/destination_round.h"

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/probes.h"
#include "core/digest.h"

#include <string.h>

static int compare_digests(struct multifd_destination *destination, struct multifd_error *err)
{
    const struct ram_table *table = &destination->session.blocks;
    uint8_t digest[MESSAGE_DIGEST_BYTES];
    uint64_t start = clock_now_ns();
    struct message message;

    for (uint32_t i = 0; i < table->num; i++) {
        const struct multifd_ram_block *block = table->blocks[i];

        if (control_expect(destination->control, MESSAGE_BLOCK_DIGEST, &message, err) != 0) {
            return -1;
        }
        if (message.digest.block != i) {
            return error_set(err, MULTIFD_ERROR_PROTOCOL,
                             "a digest of RAM block %u where that of %u is due",
                             message.digest.block, i);
        }
        if (digest_block(block, digest, err) != 0) {
            return -1;
        }
        if (memcmp(digest, message.digest.digest, sizeof(digest)) != 0) {
            return error_set(err, MULTIFD_ERROR_VERIFY,
                             "RAM block \"%s\" differs between the sides", block->name);
        }
    }
    counter_set(&destination->session.times.verify_ns, clock_now_ns() - start);
    return 0;
}

static int finish(struct multifd_destination *destination, struct multifd_error *err)
{
    struct multifd_statistics statistics;
    struct message_totals totals;
    struct message message;

    if (control_expect(destination->control, MESSAGE_FINISH, &message, err) != 0) {
        return -1;
    }
    multifd_destination_statistics(destination, &statistics);
    statistics_totals(&statistics, &totals);
    if (memcmp(&message.totals, &totals, sizeof(totals)) != 0) {
        return error_set(err, MULTIFD_ERROR_PROTOCOL,
                         "the source sent %llu packets with %llu pages, but %llu with %llu came",
                         (unsigned long long)message.totals.packets,
                         (unsigned long long)message.totals.normal_pages,
                         (unsigned long long)totals.packets,
                         (unsigned long long)totals.normal_pages);
    }
    if (destination->verify != 0 && compare_digests(destination, err) != 0) {
        return -1;
    }
    message.type = MESSAGE_FINISH_OK;
    message.totals = totals;
    return control_send_last(destination->control, &message, err);
}

bool destination_all_synced(const struct multifd_destination *destination)
{
    for (uint32_t i = 0; i < destination->channels_wanted; i++) {
        if (destination_channel_synced(destination->channels[i]) == destination->round) {
            return false;
        }
    }
    return true;
}

static bool synced_or_message(void *arg)
{
    struct multifd_destination *destination = arg;

    return destination_all_synced(destination) || control_has_message(destination->control);
}

void destination_release_round(struct multifd_destination *destination)
{
    struct session_times *times = &destination->session.times;

    destination->round++;
    PROBE_ROUND_APPLIED(destination->round);
    counter_set(&times->syncs, destination->round);
    counter_set(&times->last_sync, clock_now_ns());
    atomic_store(&destination->unsynced, destination->channels_wanted);
    for (uint32_t i = 0; i < destination->channels_wanted; i++) {
        destination_channel_release(destination->channels[i], destination->round);
    }
}

static int end_round(struct multifd_destination *destination, struct multifd_error *err)
{
    struct message message = {.type = MESSAGE_SYNC_DONE};

    destination_release_round(destination);
    message.round = destination->round;
    return control_send(destination->control, &message, err);
}

int destination_take_round(struct multifd_destination *destination, struct multifd_error *err)
{
    struct multifd_error failure;

    if (session_wait(&destination->session, SESSION_AWAITS_CHANNELS | SESSION_AWAITS_CONTROL,
                     synced_or_message, destination, err) != 0) {
        return -1;
    }
    if (destination_all_synced(destination)) {
        return end_round(destination, err) != 0 ? -1 : 1;
    }
    return finish(destination, &failure) != 0 ? session_abort(&destination->session, &failure, err)
                                              : 0;
}
