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

void destination_release_round(struct multifd_destination *destination, uint64_t round)
{
    PROBE_ROUND_APPLIED(round);
    counter_set(&destination->session.times.syncs, round);
    round_gate_reset(&destination->gate);
    for (uint32_t i = 0; i < destination->channels_wanted; i++) {
        destination_channel_release(destination->channels[i], round);
    }
}

void destination_end_round(void *owner, uint64_t round)
{
    struct multifd_destination *destination = owner;
    struct message message = {.type = MESSAGE_SYNC_DONE, .round = round};
    struct multifd_error err;

    if (!round_gate_claim(&destination->gate, round)) {
        return;
    }
    /* Released first: what the source sends when it has heard must find the channels open. */
    destination_release_round(destination, round);
    if (control_send(destination->control, &message, &err) == 0) {
        counter_set(&destination->session.times.last_sync, clock_now_ns());
        atomic_store(&destination->round, round);
        session_wake(&destination->session, SESSION_AWAITS_CHANNELS);
    }
}

struct round_wait {
    struct multifd_destination *destination;
    uint64_t round; /* that is to end */
};

static bool has_ended(void *arg)
{
    const struct round_wait *wait = arg;

    return atomic_load(&wait->destination->round) == wait->round;
}

static bool ended_or_message(void *arg)
{
    const struct round_wait *wait = arg;

    return has_ended(arg) || control_has_message(wait->destination->control);
}

int destination_take_round(struct multifd_destination *destination, struct multifd_error *err)
{
    struct round_wait wait = {destination, atomic_load(&destination->round) + 1};
    struct session *session = &destination->session;
    struct multifd_error failure;

    round_gate_await(&destination->gate, wait.round);
    if (round_gate_is_complete(&destination->gate)) {
        destination_end_round(destination, wait.round);
    }
    if (session_wait(session, SESSION_AWAITS_CHANNELS | SESSION_AWAITS_CONTROL, ended_or_message,
                     &wait, err) != 0) {
        return -1;
    }
    /* A message without the end of a round finishes the session, unless a channel is just at it. */
    if (!has_ended(&wait) && round_gate_claim(&destination->gate, wait.round)) {
        return finish(destination, &failure) != 0 ? session_abort(session, &failure, err) : 0;
    }
    return session_wait(session, SESSION_AWAITS_CHANNELS, has_ended, &wait, err) != 0 ? -1 : 1;
}
