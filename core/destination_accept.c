/* SPDX-License-Identifier: MIT */
/* destination_accept - listening, and taking the source's connections in. */
#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/destination.h"
#include "core/destination_setup.h"
#include "core/qemu/destination.h"

#include <string.h>

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
    if (endpoint->ops->listen(endpoint, MULTIFD_CHANNELS_MAX + 1, &failure) != 0) {
        return session_abort(session, &failure, err);
    }
    if (session->options.qemu != 0 && qemu_destination_configure(destination, &failure) != 0) {
        return session_abort(session, &failure, err);
    }
    destination->phase = DESTINATION_LISTENING;
    return 0;
}

uint16_t multifd_destination_port(const struct multifd_destination *destination)
{
    return destination->session.endpoint->ops->port(destination->session.endpoint);
}

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
    return channel; /* cppcheck-suppress returnDanglingLifetime; it does not keep the answer */
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

/* The same as take_request, from a source that is QEMU's. */
static int take_qemu_request(struct multifd_destination *destination,
                             struct transport_request *request, struct multifd_error *err)
{
    const struct transport_endpoint_ops *ops = destination->session.endpoint->ops;
    const struct transport_greeting *raw = ops->request_greeting(request);
    struct greeting greeting;

    if (qemu_destination_is_main(raw) && destination->qemu == NULL) {
        return qemu_destination_take_main(destination, request, err);
    }
    if (greeting_decode(raw, &greeting, err) != 0 || greeting.kind != GREETING_CHANNEL) {
        refuse(destination, request, GREETING_UNKNOWN, "neither QEMU's main channel nor another");
        return 0;
    }
    if (qemu_destination_check_channel(destination, &greeting, err) != 0) {
        refuse(destination, request, GREETING_UNKNOWN, err->message);
        return -1;
    }
    return take_channel(destination, request, &greeting, err);
}

/* 1 when the request's connection was taken in, 0 when it was refused, -1 with *err. */
static int take_request(struct multifd_destination *destination, struct transport_request *request,
                        struct multifd_error *err)
{
    struct transport_endpoint *endpoint = destination->session.endpoint;
    struct greeting greeting;

    if (destination->session.options.qemu != 0) {
        return take_qemu_request(destination, request, err);
    }
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
    uint64_t deadline = destination->deadline_ns;

    *request = NULL;
    if (session->endpoint->ops->wait_request(session->endpoint, session->failed_fd,
                                             deadline == 0 ? -1 : clock_ms_until(deadline), request,
                                             err) != 0) {
        return -1;
    }
    return *request == NULL && deadline != 0 && clock_now_ns() >= deadline
               ? qemu_destination_too_late(destination, err)
               : 0;
}

/*
 * Whoever comes from now on hears at once that nobody listens, instead of waiting for an answer. Of
 * QEMU's channels there may be more than are wanted, which shows a little later.
 */
static void note_complete(struct multifd_destination *destination)
{
    struct transport_endpoint *endpoint = destination->session.endpoint;
    struct session_times *times = &destination->session.times;
    uint64_t now = clock_now_ns();

    if (destination->session.options.qemu == 0) {
        endpoint->ops->stop_listening(endpoint);
    }
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
    return session_wait(session, SESSION_AWAITS_CONTROL, never, NULL, err);
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
    if (atomic_load(&destination->channels_num) == destination->channels_wanted &&
        (destination->session.options.qemu == 0 || destination->qemu != NULL)) {
        note_complete(destination);
    } else if (destination->session.options.qemu != 0) {
        qemu_destination_expect_more(destination);
    }
    return 0;
}

bool multifd_recv_all_channels_created(const struct multifd_destination *destination)
{
    return atomic_load(&destination->complete);
}
