/* SPDX-License-Identifier: MIT */
#include "core/qemu/destination.h"

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/block_page.h"
#include "core/destination_round.h"
#include "core/destination_setup.h"
#include "core/packet.h"

#include <string.h>

/* To find what has come before; what comes later is nobody's that matters. */
#define LAST_LOOK_MS 1

static void wake_main(void *session, uint64_t round)
{
    (void)round;
    session_wake(session, SESSION_AWAITS_CHANNELS);
}

int qemu_destination_configure(struct multifd_destination *destination, struct multifd_error *err)
{
    struct session *session = &destination->session;
    const struct multifd_options *options = &session->options;
    uint32_t method;

    if (method_table_find(&options->methods, options->method, &method, err) != 0 ||
        session_check_method(session, method, err) != 0) {
        return -1;
    }
    destination->channels_wanted = options->channels;
    destination->config = (struct destination_channel_config){
        .session = session,
        .channels = options->channels,
        .gate = &destination->gate,
        .all_synced = wake_main,
        .owner = session,
        .reader = {.blocks = &session->blocks,
                   .method = method_table_get(&options->methods, method),
                   .endpoint = session->endpoint,
                   .page_size = options->page_size,
                   .page_count = packet_page_count(options->page_size),
                   .slots = session_staging_slots(session, method),
                   .zero_pages = true,
                   .stream = true,
                   .form = PACKET_QEMU},
    };
    return 0;
}

/* ---- Connections ---- */

bool qemu_destination_is_main(const struct transport_greeting *greeting)
{
    return greeting->length == sizeof(((struct transport_settings *)0)->bare_start);
}

int qemu_destination_take_main(struct multifd_destination *destination,
                               struct transport_request *request, struct multifd_error *err)
{
    static const struct transport_greeting none = {.length = 0};
    struct session *session = &destination->session;
    struct transport_channel *channel = session->endpoint->ops->accept(
        session->endpoint, request, qemu_main_profile(), &none, session->failed_fd, err);

    if (channel == NULL) {
        return -1;
    }
    destination->qemu = qemu_main_new(session, channel, err);
    return destination->qemu == NULL ? -1 : 1;
}

static int too_many(const struct multifd_destination *destination, struct multifd_error *err)
{
    return error_set(err, MULTIFD_ERROR_MISMATCH,
                     "QEMU opens more than %u channels: its parameter multifd-channels differs",
                     destination->channels_wanted);
}

int qemu_destination_check_channel(struct multifd_destination *destination,
                                   const struct greeting *greeting, struct multifd_error *err)
{
    if (greeting->channel >= destination->channels_wanted) {
        return too_many(destination, err);
    }
    if (destination->channels[greeting->channel] != NULL) {
        return error_set(err, MULTIFD_ERROR_PROTOCOL, "QEMU opens channel number %u twice",
                         greeting->channel);
    }
    if (atomic_load(&destination->channels_num) == 0) {
        memcpy(destination->uuid, greeting->uuid, sizeof(destination->uuid));
    }
    if (memcmp(destination->uuid, greeting->uuid, sizeof(destination->uuid)) != 0) {
        return error_set(err, MULTIFD_ERROR_MISMATCH, "channel %u is of another guest's UUID",
                         greeting->channel);
    }
    return 0;
}

void qemu_destination_expect_more(struct multifd_destination *destination)
{
    if (destination->deadline_ns == 0) {
        destination->deadline_ns =
            clock_now_ns() + destination->session.options.transport.timeout_ms * NS_PER_MS;
        counter_set(&destination->session.times.setup_start, clock_now_ns());
    }
}

int qemu_destination_too_late(const struct multifd_destination *destination,
                              struct multifd_error *err)
{
    uint32_t channels = atomic_load(&destination->channels_num);

    if (channels == 0) {
        return error_set(err, MULTIFD_ERROR_TIMEOUT,
                         "QEMU has opened no multifd channel: its capability multifd is off");
    }
    if (channels < destination->channels_wanted) {
        return error_set(
            err, MULTIFD_ERROR_TIMEOUT,
            "QEMU has opened %u of %u channels: its parameter multifd-channels differs", channels,
            destination->channels_wanted);
    }
    return error_set(err, MULTIFD_ERROR_TIMEOUT, "QEMU sends nothing on its main channel");
}

/* ---- Rounds ---- */

static int take_block(struct multifd_destination *destination, const struct qemu_event *event,
                      struct multifd_error *err)
{
    const struct qemu_block *block = qemu_main_block(destination->qemu, event->block);

    if (destination_take_block(destination, event->block, block->name, block->length, err) != 0) {
        return -1;
    }
    if (!event->last) {
        return 0;
    }
    return destination_check_blocks(destination, event->block + 1, err) != 0
               ? -1
               : destination_keep_received(&destination->session, err);
}

/*
 * The channels have no part in this page: QEMU does not send one both ways in a round, and no
 * channel goes on to the next round before this thread has come to the end of this one.
 */
static void take_zero_page(struct multifd_destination *destination, const struct qemu_event *event)
{
    const struct multifd_ram_block *block = destination->session.blocks.blocks[event->block];

    block_page_clear(block, event->offset, destination->session.options.page_size);
    counter_add(&destination->qemu_zero_pages, 1);
}

/* A channel that has ended, and whose SYNC can come no more; -1 when there is none. */
static int find_ended(const struct multifd_destination *destination)
{
    for (uint32_t i = 0; i < destination->channels_wanted; i++) {
        /* In this order: a SYNC may have come right before the end. */
        if (destination_channel_ended(destination->channels[i]) &&
            destination_channel_synced(destination->channels[i]) == destination->round) {
            return (int)i;
        }
    }
    return -1;
}

/*
 * No wait is without an end: QEMU sends something in each of its rounds, however slowly it is told
 * to. While it is silent, since it was stopped or waits for its operator, so is this side's clock
 * running.
 */
static int check_silence(struct multifd_destination *destination, struct multifd_error *err)
{
    uint64_t limit = destination->session.options.transport.timeout_ms * NS_PER_MS;
    uint64_t bytes = qemu_main_bytes(destination->qemu);
    uint64_t now = clock_now_ns();

    for (uint32_t i = 0; i < destination->channels_wanted; i++) {
        bytes += counter_get(&destination_channel_counters(destination->channels[i])->wire_bytes);
    }
    if (bytes != destination->qemu_bytes || destination->qemu_heard_ns == 0) {
        destination->qemu_bytes = bytes;
        destination->qemu_heard_ns = now;
    }
    if (now - destination->qemu_heard_ns < limit) {
        return 0;
    }
    return error_set(err, MULTIFD_ERROR_TIMEOUT, "QEMU has been silent for %.1f s",
                     (double)(now - destination->qemu_heard_ns) / 1e9);
}

/* Waits until every channel has come to its SYNC, or one has ended before. */
static int wait_for_channels(struct multifd_destination *destination, struct multifd_error *err)
{
    struct session *session = &destination->session;

    atomic_store(&session->awaited, SESSION_AWAITS_ALL);
    for (;;) {
        waker_arm(&session->main);
        if (session_has_failed(session)) {
            return session_error(session, err);
        }
        if (round_gate_is_complete(&destination->gate) || find_ended(destination) >= 0) {
            waker_disarm(&session->main, false);
            return 0;
        }
        if (check_silence(destination, err) != 0) {
            return -1;
        }
        waker_sleep(&session->main, TRANSPORT_SLEEP_MS_MAX);
    }
}

/*
 * QEMU has opened all its channels before the end of the setup comes on its main channel. One that
 * is still waiting then is one too many.
 */
static int stop_listening(struct multifd_destination *destination, struct multifd_error *err)
{
    static const struct transport_greeting none = {.length = 0};
    struct transport_endpoint *endpoint = destination->session.endpoint;
    struct transport_request *request = NULL;
    struct multifd_error unknown;
    struct greeting greeting;
    bool is_channel = false;

    for (unsigned strangers = 0; strangers < MULTIFD_CHANNELS_MAX && !is_channel; strangers++) {
        if (endpoint->ops->wait_request(endpoint, destination->session.failed_fd, LAST_LOOK_MS,
                                        &request, err) != 0) {
            return -1;
        }
        if (request == NULL) {
            break;
        }
        is_channel =
            greeting_decode(endpoint->ops->request_greeting(request), &greeting, &unknown) == 0;
        endpoint->ops->reject(endpoint, request, &none);
    }
    endpoint->ops->stop_listening(endpoint);
    return is_channel ? too_many(destination, err) : 0;
}

static int end_round(struct multifd_destination *destination, struct multifd_error *err)
{
    if (destination->round == 0 && stop_listening(destination, err) != 0) {
        return -1;
    }
    if (wait_for_channels(destination, err) != 0) {
        return -1;
    }
    if (!round_gate_is_complete(&destination->gate)) {
        error_set(err, MULTIFD_ERROR_DISCONNECTED, "QEMU closed a channel before the round's SYNC");
        error_set_channel(err, find_ended(destination));
        return -1;
    }
    destination_release_round(destination, atomic_fetch_add(&destination->round, 1) + 1);
    counter_set(&destination->session.times.last_sync, clock_now_ns());
    return 1;
}

static int finish(struct multifd_destination *destination, struct multifd_error *err)
{
    return session_finish(&destination->session) ? 0 : session_error(&destination->session, err);
}

/* Does what an event asks for. 1 when a round has ended, 2 to go on, else as take_round. */
static int take_event(struct multifd_destination *destination, const struct qemu_event *event,
                      struct multifd_error *err)
{
    switch (event->type) {
    case QEMU_BLOCK:
        return take_block(destination, event, err) != 0 ? -1 : 2;
    case QEMU_ZERO_PAGE:
        take_zero_page(destination, event);
        return 2;
    case QEMU_SYNC:
        return end_round(destination, err);
    case QEMU_DONE:
        return finish(destination, err);
    case QEMU_NEEDS_MORE:
        return check_silence(destination, err) != 0 ? -1 : 2;
    default:
        return 2;
    }
}

int qemu_destination_take_round(struct multifd_destination *destination, struct multifd_error *err)
{
    struct multifd_error failure;
    struct qemu_event event;
    int status = 2;

    while (status == 2) {
        status = qemu_main_next(destination->qemu, &event, &failure) != 0
                     ? -1
                     : take_event(destination, &event, &failure);
    }
    return status < 0 ? session_abort(&destination->session, &failure, err) : status;
}

void qemu_destination_statistics(const struct multifd_destination *destination,
                                 struct multifd_statistics *out)
{
    uint64_t zero_pages = counter_get(&destination->qemu_zero_pages);

    if (destination->session.options.qemu == 0) {
        return; /* and the page size is the source's: its hello may be setting it in this moment */
    }
    out->zero_pages += zero_pages;
    out->guest_bytes += zero_pages * destination->session.options.page_size;
}
