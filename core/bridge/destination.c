/* SPDX-License-Identifier: MIT */
/* destination - a destination's bridge: takes the links in, and QEMU's verdict. */
#include "core/base/bytes.h"
#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/bridge/bridge.h"
#include "core/bridge/main_link.h"
#include "transport/socket/connection.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define INIT_BYTES   64u
#define INIT_VERSION 1u

/* What QEMU may take to answer when it has all. */
#define ANSWER_NS (UINT64_C(60000) * NS_PER_MS)

/* What it may take to leave a QEMU that is to end. */
#define LEAVE_NS (UINT64_C(1000) * NS_PER_MS)

/* ---- The source's bridge ----------------------------------------------------------------- */

static void refuse(struct multifd_bridge *bridge, struct transport_request *request, bool busy,
                   const char *why)
{
    struct transport_endpoint *endpoint = bridge->session.endpoint;
    struct transport_greeting answer;

    log_line(&bridge->session.options.log, "refused a connection: %s", why);
    bridge_greeting_refuse(busy, &answer);
    endpoint->ops->reject(endpoint, request, &answer);
}

static struct transport_channel *accept_request(struct multifd_bridge *bridge,
                                                struct transport_request *request,
                                                const struct bridge_greeting *greeting,
                                                const struct transport_profile *profile,
                                                struct multifd_error *err)
{
    struct session *session = &bridge->session;
    struct transport_greeting answer;
    struct transport_channel *channel;

    bridge_greeting_encode(greeting, &answer);
    channel = session->endpoint->ops->accept(session->endpoint, request, profile, &answer,
                                             session->failed_fd, err);
    return channel; /* cppcheck-suppress returnDanglingLifetime; it does not keep the answer */
}

/* Waits for the source's bridge, without limit. 0, or -1 with *err. */
static int take_control(struct multifd_bridge *bridge, struct multifd_error *err)
{
    struct session *session = &bridge->session;
    struct transport_request *request;
    struct bridge_greeting greeting;
    struct transport_channel *channel;

    while (bridge->control == NULL) {
        if (session_has_failed(session)) {
            return session_error(session, err);
        }
        if (session->endpoint->ops->wait_request(session->endpoint, session->failed_fd, -1,
                                                 &request, err) != 0) {
            return -1;
        }
        if (request == NULL) {
            continue;
        }
        if (bridge_greeting_decode(session->endpoint->ops->request_greeting(request), &greeting,
                                   err) != 0 ||
            greeting.kind != BRIDGE_GREETING_CONTROL) {
            refuse(bridge, request, false, "no bridge of a source");
            continue;
        }
        channel = accept_request(bridge, request, &greeting, control_profile(), err);
        if (channel == NULL && err->code == MULTIFD_ERROR_LIMIT) {
            return -1;
        }
        if (channel == NULL) {
            log_line(&session->options.log, "a connection failed: %s", err->message);
            continue;
        }
        memcpy(bridge->name, greeting.session, sizeof(bridge->name));
        bridge->control = control_new(session, channel, err);
        if (bridge->control == NULL) {
            return -1;
        }
    }
    return 0;
}

/* ---- Links: on the acceptor's thread ----------------------------------------------------- */

static int connect_qemu(struct multifd_bridge *bridge, struct multifd_error *err)
{
    uint64_t deadline = clock_now_ns() + bridge->session.options.transport.timeout_ms * NS_PER_MS;

    return socket_connect(&bridge->qemu, bridge->qemu_name, deadline, bridge->session.failed_fd,
                          err);
}

static void tell_connected(const struct multifd_bridge *bridge, int fd)
{
    const struct multifd_bridge_observer *observer = &bridge->observer;
    struct ucred qemu = {.pid = 0};
    socklen_t length = sizeof(qemu);

    if (observer->connected == NULL) {
        return;
    }
    (void)getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &qemu, &length);
    observer->connected(observer->opaque, qemu.pid);
}

static int take_main(struct multifd_bridge *bridge, struct transport_request *request,
                     const struct bridge_greeting *greeting, struct multifd_error *err)
{
    struct transport_profile profile;
    struct transport_channel *channel;
    int fd = connect_qemu(bridge, err);

    if (fd < 0) {
        refuse(bridge, request, false, err->message);
        return -1;
    }
    tell_connected(bridge, fd);
    bridge_main_profile(&profile);
    channel = accept_request(bridge, request, greeting, &profile, err);
    if (channel == NULL) {
        close(fd);
        return -1;
    }
    if (bridge_main_new(bridge, fd, channel, err) == NULL) {
        channel->ops->free(channel);
        close(fd);
        return -1;
    }
    counter_set(&bridge->first_ns, clock_now_ns());
    atomic_store(&bridge->phase, MULTIFD_BRIDGE_ACTIVE);
    return 0;
}

/* QEMU 7.2 reads the start of a channel as soon as it is connected, and does nothing else. */
static int say_init(const struct multifd_bridge *bridge, int fd,
                    const struct bridge_greeting *greeting, int wake_fd, struct multifd_error *err)
{
    uint64_t deadline = clock_now_ns() + bridge->session.options.transport.timeout_ms * NS_PER_MS;
    uint8_t init[INIT_BYTES] = {0};

    put_be32(init, PACKET_MAGIC);
    put_be32(init + 4, INIT_VERSION);
    memcpy(init + 8, greeting->uuid, sizeof(greeting->uuid));
    init[24] = greeting->channel;
    return socket_send_all(fd, init, sizeof(init), bridge->qemu_name, deadline, wake_fd, err);
}

/* As a link's abandon, on a connection that never became one. */
static void leave_syncs(const struct multifd_bridge *bridge, int fd)
{
    uint64_t deadline = clock_now_ns() + LEAVE_NS;
    uint8_t sync[BRIDGE_HEADER_MAX];
    uint32_t bytes = bridge_header_empty(MULTIFD_FLAG_SYNC, bridge->page_count, sync);
    struct multifd_error unused;

    for (int i = 0; i < BRIDGE_LAST_SYNCS; i++) {
        (void)socket_send_all(fd, sync, bytes, bridge->qemu_name, deadline, -1, &unused);
    }
}

/*
 * QEMU waits for all of its channels before it looks at anything, so in a migration that has failed
 * before that it gets those that are missing, if their number is known.
 */
static void complete_channels(struct multifd_bridge *bridge)
{
    unsigned theirs = atomic_load(&bridge->peer_expected);
    unsigned wanted = bridge->expected != 0 ? bridge->expected : theirs;
    uint64_t deadline = clock_now_ns() + LEAVE_NS;
    struct bridge_greeting greeting = {.kind = BRIDGE_GREETING_CHANNEL};
    struct multifd_error unused;

    memcpy(greeting.uuid, bridge->uuid, sizeof(greeting.uuid));
    for (unsigned id = 0; atomic_load(&bridge->main) != NULL && id < wanted; id++) {
        int fd;

        if (atomic_load(&bridge->channels[id]) != NULL || bridge->left[id]) {
            continue;
        }
        fd = socket_connect(&bridge->qemu, bridge->qemu_name, deadline, -1, &unused);
        if (fd < 0) {
            return;
        }
        greeting.channel = (uint8_t)id;
        if (say_init(bridge, fd, &greeting, -1, &unused) == 0) {
            leave_syncs(bridge, fd);
        }
        close(fd);
    }
}

static int take_channel(struct multifd_bridge *bridge, struct transport_request *request,
                        const struct bridge_greeting *greeting, struct multifd_error *err)
{
    struct transport_profile profile;
    struct transport_channel *channel;
    int fd = connect_qemu(bridge, err);

    memcpy(bridge->uuid, greeting->uuid, sizeof(bridge->uuid));
    if (fd < 0 || say_init(bridge, fd, greeting, bridge->session.failed_fd, err) != 0) {
        refuse(bridge, request, false, err->message);
        goto close_fd;
    }
    bridge_channel_profile(bridge, &profile);
    channel = accept_request(bridge, request, greeting, &profile, err);
    if (channel == NULL) {
        goto close_fd;
    }
    if (bridge_destination_channel_new(bridge, greeting->channel, fd, channel, err) == NULL) {
        if (atomic_load(&bridge->channels[greeting->channel]) != NULL) {
            return -1; /* it has both, and goes with the bridge */
        }
        channel->ops->free(channel);
        goto close_fd;
    }
    return 0;

close_fd:
    if (fd >= 0) {
        leave_syncs(bridge, fd);
        bridge->left[greeting->channel] = true;
        close(fd);
    }
    return -1;
}

static int take_request(struct multifd_bridge *bridge, struct transport_request *request,
                        struct multifd_error *err)
{
    const struct transport_endpoint_ops *ops = bridge->session.endpoint->ops;
    struct bridge_greeting greeting;

    if (bridge_greeting_decode(ops->request_greeting(request), &greeting, err) != 0) {
        refuse(bridge, request, false, err->message);
        return 0;
    }
    if (memcmp(greeting.session, bridge->name, sizeof(bridge->name)) != 0) {
        refuse(bridge, request, true, "of another migration");
        return 0;
    }
    if (greeting.kind == BRIDGE_GREETING_MAIN && atomic_load(&bridge->main) == NULL) {
        return take_main(bridge, request, &greeting, err);
    }
    if (greeting.kind == BRIDGE_GREETING_CHANNEL && atomic_load(&bridge->main) != NULL &&
        atomic_load(&bridge->channels[greeting.channel]) == NULL) {
        return take_channel(bridge, request, &greeting, err);
    }
    refuse(bridge, request, false, "twice, or before the main connection");
    return 0;
}

/*
 * Until QEMU has passed the first round's end, when it has all its channels; where no rounds are
 * watched, until its stream is done.
 */
static void accept_links(void *arg)
{
    struct multifd_bridge *bridge = arg;
    struct session *session = &bridge->session;
    struct transport_request *request;
    struct multifd_error err;

    while (!session_has_failed(session) && !session_has_finished(session) &&
           atomic_load(&bridge->passed) == 0 && !atomic_load(&bridge->stream_done)) {
        if (session->endpoint->ops->wait_request(session->endpoint, session->failed_fd,
                                                 TRANSPORT_SLEEP_MS_MAX, &request, &err) != 0 ||
            (request != NULL && take_request(bridge, request, &err) != 0)) {
            session_fail(session, &err);
            return;
        }
    }
}

/* ---- The end ----------------------------------------------------------------------------- */

/*
 * From now on what fails on this side is not told to the source's bridge, since QEMU may succeed
 * all the same. False when the session has failed before: then nothing is ever handed over.
 */
static bool release_end(struct multifd_bridge *bridge)
{
    struct bridge_link *main = atomic_load(&bridge->main);
    bool fine;

    pthread_mutex_lock(&bridge->decision);
    fine = session_commit(&bridge->session);
    if (fine && bridge->observer.handing_over != NULL) {
        bridge->observer.handing_over(bridge->observer.opaque);
    }
    atomic_store(&bridge->committed, fine);
    pthread_mutex_unlock(&bridge->decision);
    waker_wake(&main->waker);
    return fine;
}

static int take_message(struct multifd_bridge *bridge, const struct message *message,
                        struct multifd_error *err)
{
    if (message->type == MESSAGE_BRIDGE_COMMIT && atomic_load(&bridge->stream_done) &&
        !atomic_load(&bridge->committed)) {
        return release_end(bridge) ? 0 : session_error(&bridge->session, err);
    }
    if (message->type == MESSAGE_FINISH_OK && atomic_load(&bridge->verdict) == BRIDGE_SUCCEEDED) {
        return 1;
    }
    return error_set(err, MULTIFD_ERROR_PROTOCOL, "unexpected %s", message_name(message->type));
}

/* QEMU has all but the end. */
static int tell_ready(struct multifd_bridge *bridge, struct multifd_error *err)
{
    const struct bridge_link *main = atomic_load(&bridge->main);
    const struct message message = {.type = MESSAGE_BRIDGE_READY,
                                    .main_bytes = counter_get(&main->counters.main_bytes)};

    control_await_last(bridge->control);
    return control_send(bridge->control, &message, err);
}

/* QEMU has ended without taking the guest, which is certain: the source's bridge is to hear it. */
static int refused(struct multifd_bridge *bridge, struct multifd_error *err)
{
    session_take_back(&bridge->session);
    return error_set(err, MULTIFD_ERROR_SYSTEM,
                     "QEMU's destination did not take the guest: see its own messages");
}

struct run {
    struct multifd_bridge *bridge;
    bool told;
};

static bool has_news(void *arg)
{
    const struct run *run = arg;
    const struct multifd_bridge *bridge = run->bridge;

    return control_has_message(bridge->control) ||
           (atomic_load(&bridge->stream_done) && !run->told) ||
           atomic_load(&bridge->verdict) == BRIDGE_REFUSED;
}

/* 0 when the source's bridge has said that all is well, or -1 with *err. */
static int loop(struct multifd_bridge *bridge, struct multifd_error *err)
{
    struct run run = {.bridge = bridge};
    struct message message;
    int status = 0;

    while (status == 0) {
        if (session_wait(&bridge->session, SESSION_AWAITS_ALL, has_news, &run, err) != 0) {
            return -1;
        }
        if (atomic_load(&bridge->verdict) == BRIDGE_REFUSED) {
            return refused(bridge, err);
        }
        if (atomic_load(&bridge->stream_done) && !run.told) {
            run.told = true;
            status = tell_ready(bridge, err);
        }
        if (status == 0 && control_take(bridge->control, &message)) {
            status = take_message(bridge, &message, err);
        }
    }
    return status < 0 ? -1 : 0;
}

/*
 * The source's bridge is lost when QEMU has the end, or part of it: what QEMU makes of it decides.
 * Nobody here can stop it any more, nor know what QEMU at the source has heard.
 */
static void take_verdict(struct multifd_bridge *bridge, struct multifd_error *err)
{
    struct multifd_error cause = *err;

    if (bridge_main_wait_answer(atomic_load(&bridge->main), clock_now_ns() + ANSWER_NS) !=
        BRIDGE_SUCCEEDED) {
        return;
    }
    atomic_store(&bridge->phase, MULTIFD_BRIDGE_UNDECIDED);
    error_set(err, cause.code,
              "QEMU here has taken the guest over, but the source's bridge was lost just then: if "
              "the guest runs on at the source, end QEMU here (%.300s)",
              cause.message);
}

static int take_apart(struct multifd_bridge *bridge, int status, struct multifd_error *err)
{
    bool abandon = status != 0;

    if (status == 0 && session_finish(&bridge->session)) {
        control_say_bye(bridge->control);
    } else if (status != 0) {
        session_abort(&bridge->session, err, err);
    }
    if (bridge->accepting) {
        worker_join(&bridge->acceptor);
    }
    bridge_stop_links(bridge);
    if (status != 0 && atomic_load(&bridge->committed)) {
        abandon = false;
        take_verdict(bridge, err);
    }
    if (abandon) {
        complete_channels(bridge);
    }
    bridge_close_qemu(bridge, abandon);
    bridge_disconnect(bridge);
    return status;
}

int bridge_run_destination(struct multifd_bridge *bridge, struct multifd_error *err)
{
    struct multifd_error failure;
    int status = 0;

    if (take_control(bridge, &failure) != 0 || bridge_agree_destination(bridge, &failure) != 0) {
        status = -1;
    } else if (worker_start(&bridge->acceptor, bridge->session.workers, accept_links, bridge,
                            &failure) != 0) {
        status = -1;
    } else {
        bridge->accepting = true;
        status = loop(bridge, &failure);
    }
    status = take_apart(bridge, status, &failure);
    if (status != 0) {
        *err = failure;
    }
    return status;
}
