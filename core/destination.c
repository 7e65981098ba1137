/* SPDX-License-Identifier: MIT */
#include "core/destination.h"

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/parallel.h"
#include "core/destination_setup.h"
#include "core/digest.h"
#include "core/registration.h"

#include <stdlib.h>
#include <string.h>

struct multifd_destination *multifd_destination_new(const char *address,
                                                    const struct multifd_options *options,
                                                    struct multifd_error *err)
{
    struct multifd_destination *destination = calloc(1, sizeof(*destination));
    struct multifd_error unused;

    err = err == NULL ? &unused : err;
    if (destination == NULL) {
        error_set_nomem(err);
        return NULL;
    }
    if (session_init(&destination->session, "source", address, options, err) != 0) {
        free(destination);
        return NULL;
    }
    return destination;
}

void multifd_destination_delete(struct multifd_destination **destination)
{
    struct multifd_destination *gone = *destination;

    if (gone == NULL) {
        return;
    }
    multifd_load_cleanup(gone);
    for (uint32_t i = 0; i < MULTIFD_CHANNELS_MAX; i++) {
        destination_channel_delete(&gone->channels[i]);
    }
    session_fini(&gone->session);
    free(gone);
    *destination = NULL;
}

int multifd_destination_add_block(struct multifd_destination *destination, const char *name,
                                  void *host, uint64_t length, struct multifd_error *err)
{
    struct multifd_error unused;

    err = err == NULL ? &unused : err;
    if (destination->control != NULL || destination->phase > DESTINATION_LISTENING) {
        return error_set(err, MULTIFD_ERROR_STATE, "RAM blocks are added before the source comes");
    }
    /* The page size is the source's and not known yet: the length is compared with its block's. */
    return ram_table_add(&destination->session.blocks, name, host, length, 1, err) == NULL ? -1 : 0;
}

void multifd_destination_on_block(struct multifd_destination *destination, multifd_block_fn *fn,
                                  void *opaque)
{
    destination->on_block = fn;
    destination->on_block_opaque = opaque;
}

int multifd_load_setup(struct multifd_destination *destination, struct multifd_error *err)
{
    struct session *session = &destination->session;
    struct transport_endpoint *endpoint = session->endpoint;
    struct multifd_error failure;

    err = err == NULL ? &failure : err;
    if (session_has_failed(session)) {
        return session_error(session, err);
    }
    if (destination->phase != DESTINATION_NEW) {
        return error_set(err, MULTIFD_ERROR_STATE, "multifd_load_setup was called before");
    }
    if (endpoint->ops->check_memory(endpoint, ram_table_bytes(&session->blocks), &failure) != 0 ||
        endpoint->ops->listen(endpoint, MULTIFD_CHANNELS_MAX + 1, &failure) != 0) {
        return session_abort(session, &failure, err);
    }
    destination->phase = DESTINATION_LISTENING;
    return 0;
}

uint16_t multifd_destination_port(const struct multifd_destination *destination)
{
    return destination->session.endpoint->ops->port(destination->session.endpoint);
}

/* ---- Taking connections in ---- */

static void refuse(struct multifd_destination *destination, struct transport_request *request,
                   enum greeting_reason reason, const char *why)
{
    struct transport_endpoint *endpoint = destination->session.endpoint;
    struct greeting greeting = {.kind = GREETING_CONTROL, .reason = reason};
    struct transport_greeting answer;

    log_line(&destination->session.options.log, "refused a connection: %s", why);
    greeting_encode(&greeting, &answer);
    endpoint->ops->reject(endpoint, request, &answer);
}

static struct transport_channel *accept_request(struct multifd_destination *destination,
                                                struct transport_request *request,
                                                const struct greeting *greeting,
                                                const struct transport_profile *profile,
                                                struct multifd_error *err)
{
    struct session *session = &destination->session;
    struct transport_greeting answer;
    struct transport_channel *channel;

    greeting_encode(greeting, &answer);
    channel = session->endpoint->ops->accept(session->endpoint, request, profile, &answer,
                                             session->failed_fd, err);
    return channel;
}

/* 1 when the session stands, 0 when the peer went away before it did, -1 with *err. */
static int take_control(struct multifd_destination *destination, struct transport_request *request,
                        const struct greeting *greeting, struct multifd_error *err)
{
    struct session *session = &destination->session;
    struct transport_channel *channel;

    counter_set(&session->times.setup_start, clock_now_ns());
    channel = accept_request(destination, request, greeting, control_profile(), err);
    if (channel == NULL && err->code != MULTIFD_ERROR_LIMIT) {
        log_line(&session->options.log, "a connection failed: %s", err->message);
        return 0;
    }
    if (channel == NULL) {
        return -1;
    }
    destination->control = control_new(session, channel, err);
    if (destination->control == NULL) {
        return -1;
    }
    memcpy(destination->uuid, greeting->uuid, sizeof(destination->uuid));
    return destination_agree(destination, err) != 0 ? -1 : 1;
}

static int take_channel(struct multifd_destination *destination, struct transport_request *request,
                        const struct greeting *greeting, struct multifd_error *err)
{
    struct transport_profile profile;
    struct transport_channel *channel;
    uint32_t id = greeting->channel;

    destination_channel_profile(&destination->config, &profile);
    channel = accept_request(destination, request, greeting, &profile, err);
    if (channel == NULL) {
        error_set_channel(err, (int)id);
        return -1;
    }
    destination->channels[id] =
        destination_channel_new(&destination->config, (uint8_t)id, channel, err);
    if (destination->channels[id] == NULL) {
        return -1;
    }
    if (destination_tell_staging(destination, id, err) != 0) {
        return -1;
    }
    atomic_fetch_add(&destination->channels_num, 1);
    return 1;
}

/* 1 when the request's connection was taken in, 0 when it was refused, -1 with *err. */
static int take_request(struct multifd_destination *destination, struct transport_request *request,
                        struct multifd_error *err)
{
    struct transport_endpoint *endpoint = destination->session.endpoint;
    struct greeting greeting;

    if (greeting_decode(endpoint->ops->request_greeting(request), &greeting, err) != 0) {
        refuse(destination, request,
               err->code == MULTIFD_ERROR_VERSION ? GREETING_VERSION_DIFFERS : GREETING_UNKNOWN,
               err->message);
        return 0;
    }
    if (greeting.kind == GREETING_CONTROL) {
        if (destination->control == NULL) {
            return take_control(destination, request, &greeting, err);
        }
        refuse(destination, request, GREETING_BUSY, "a second session");
        return 0;
    }
    if (destination->control == NULL ||
        memcmp(greeting.uuid, destination->uuid, sizeof(greeting.uuid)) != 0 ||
        greeting.channel >= destination->channels_wanted ||
        destination->channels[greeting.channel] != NULL) {
        refuse(destination, request, GREETING_UNKNOWN, "no channel of this session");
        return 0;
    }
    return take_channel(destination, request, &greeting, err);
}

/* Waits for one request. 0 with *request, or with NULL when something else woke this thread. */
static int wait_request(struct multifd_destination *destination, struct transport_request **request,
                        struct multifd_error *err)
{
    struct session *session = &destination->session;

    *request = NULL;
    return session->endpoint->ops->wait_request(session->endpoint, session->failed_fd, -1, request,
                                                err);
}

/* Whoever comes from now on hears at once that nobody listens, instead of waiting for an answer. */
static void note_complete(struct multifd_destination *destination)
{
    struct transport_endpoint *endpoint = destination->session.endpoint;
    struct session_times *times = &destination->session.times;
    uint64_t now = clock_now_ns();

    endpoint->ops->stop_listening(endpoint);
    counter_set(&times->setup_end, now);
    counter_set(&times->first_page, now);
    atomic_store(&destination->complete, true);
}

static bool never(void *arg)
{
    (void)arg;
    return false;
}

/* When only a channel broke while it was made, the control connection may still bring the reason.
 */
static int fail_channel(struct multifd_destination *destination,
                        const struct multifd_error *failure, struct multifd_error *err)
{
    struct session *session = &destination->session;

    if (destination->control == NULL) {
        return session_abort(session, failure, err);
    }
    session_fail(session, failure);
    return session_wait(session, never, NULL, err);
}

int multifd_recv_new_channel(struct multifd_destination *destination, struct multifd_error *err)
{
    struct session *session = &destination->session;
    struct transport_request *request;
    struct multifd_error failure;
    int taken = 0;

    if (session_has_failed(session)) {
        return session_error(session, err);
    }
    if (destination->phase != DESTINATION_LISTENING || atomic_load(&destination->complete)) {
        return error_set(err == NULL ? &failure : err, MULTIFD_ERROR_STATE,
                         "no channel is due: not listening, or all are there");
    }
    while (taken == 0) {
        if (session_has_failed(session)) {
            return session_error(session, err);
        }
        if (wait_request(destination, &request, &failure) != 0) {
            return session_abort(session, &failure, err);
        }
        if (request != NULL) {
            taken = take_request(destination, request, &failure);
        }
    }
    if (taken < 0) {
        return fail_channel(destination, &failure, err);
    }
    if (atomic_load(&destination->channels_num) == destination->channels_wanted) {
        note_complete(destination);
    }
    return 0;
}

bool multifd_recv_all_channels_created(const struct multifd_destination *destination)
{
    return atomic_load(&destination->complete);
}

/* ---- Rounds and the end ---- */

static void read_totals(const struct multifd_destination *destination,
                        struct message_totals *totals)
{
    struct multifd_statistics statistics;

    multifd_destination_statistics(destination, &statistics);
    *totals = (struct message_totals){
        .packets = statistics.packets,
        .normal_pages = statistics.normal_pages,
        .zero_pages = statistics.zero_pages,
        .guest_bytes = statistics.guest_bytes,
        .syncs = statistics.syncs,
    };
}

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
    struct message_totals totals;
    struct message message;

    if (control_expect(destination->control, MESSAGE_FINISH, &message, err) != 0) {
        return -1;
    }
    read_totals(destination, &totals);
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

static bool all_synced(const struct multifd_destination *destination)
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

    return all_synced(destination) || control_has_message(destination->control);
}

static int end_round(struct multifd_destination *destination, struct multifd_error *err)
{
    struct session_times *times = &destination->session.times;
    struct message message = {.type = MESSAGE_SYNC_DONE};

    destination->round++;
    counter_set(&times->syncs, destination->round);
    counter_set(&times->last_sync, clock_now_ns());
    for (uint32_t i = 0; i < destination->channels_wanted; i++) {
        destination_channel_release(destination->channels[i], destination->round);
    }
    message.round = destination->round;
    return control_send(destination->control, &message, err);
}

int multifd_recv_sync_main(struct multifd_destination *destination, struct multifd_error *err)
{
    struct session *session = &destination->session;
    struct multifd_error failure;

    if (session_has_failed(session)) {
        return session_error(session, err);
    }
    if (destination->phase != DESTINATION_LISTENING || !atomic_load(&destination->complete)) {
        return error_set(err == NULL ? &failure : err, MULTIFD_ERROR_STATE,
                         "not all channels are there, or the session has ended");
    }
    if (session_wait(session, synced_or_message, destination, err) != 0) {
        return -1;
    }
    if (all_synced(destination)) {
        return end_round(destination, err) != 0 ? -1 : 1;
    }
    if (finish(destination, &failure) != 0) {
        return session_abort(session, &failure, err);
    }
    destination->phase = DESTINATION_FINISHED;
    counter_set(&session->times.finish_end, clock_now_ns());
    return 0;
}

static void disconnect(void *channel)
{
    destination_channel_disconnect(channel);
}

/* Channels come in any order: those that did, one behind the other. */
static uint32_t existing_channels(const struct multifd_destination *destination, void **channels)
{
    uint32_t num = 0;

    for (uint32_t i = 0; i < MULTIFD_CHANNELS_MAX; i++) {
        if (destination->channels[i] != NULL) {
            channels[num++] = destination->channels[i];
        }
    }
    return num;
}

static void release(struct multifd_destination *destination)
{
    void *channels[MULTIFD_CHANNELS_MAX];
    uint32_t num = existing_channels(destination, channels);

    for (uint32_t i = 0; i < num; i++) {
        destination_channel_stop(channels[i]);
    }
    /* Before the channels are gone: a failure is told while the connection still carries it. */
    control_delete(&destination->control);
    /* At once: a queue pair whose peer is out of reach takes its time to go (rxe: most of a
     * second). */
    parallel_for_each(channels, num, disconnect);
    registration_release(&destination->session);
}

void multifd_load_cleanup(struct multifd_destination *destination)
{
    if (destination->phase == DESTINATION_CLEAN) {
        return;
    }
    multifd_destination_cancel(destination, "the destination ended the session before its finish");
    release(destination);
    destination->phase = DESTINATION_CLEAN;
}

void multifd_destination_cancel(struct multifd_destination *destination, const char *reason)
{
    struct multifd_error err;

    error_set(&err, MULTIFD_ERROR_CANCELLED, "%s", reason);
    session_fail(&destination->session, &err);
}

void multifd_destination_statistics(const struct multifd_destination *destination,
                                    struct multifd_statistics *out)
{
    memset(out, 0, sizeof(*out));
    if (atomic_load(&destination->complete)) {
        for (uint32_t i = 0; i < destination->channels_wanted; i++) {
            statistics_add_channel(out, destination_channel_counters(destination->channels[i]));
        }
    }
    statistics_times(out, &destination->session.times);
}

int multifd_destination_channel_statistics(const struct multifd_destination *destination,
                                           unsigned channel, struct multifd_channel_statistics *out)
{
    if (!atomic_load(&destination->complete) || channel >= destination->channels_wanted) {
        return -1;
    }
    channel_counters_read(destination_channel_counters(destination->channels[channel]), out);
    return 0;
}
