/* SPDX-License-Identifier: MIT */
/* source - a source's bridge: takes QEMU's connections in, and decides how the migration ends. */
#include "core/base/bytes.h"
#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/bridge/bridge.h"
#include "core/bridge/round.h"
#include "core/qemu/stream.h"
#include "transport/socket/connection.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define INIT_BYTES   64u
#define INIT_VERSION 1u
#define MAIN_MAGIC   0x5145564du /* "QEVM" */
#define START_MAX    4096u       /* more than QEMU sends of the main stream before its commands */

/* How often to look at a connection that has not yet said enough. */
#define LOOK_AGAIN_MS 5

/* When it has been told that all went well, QEMU closes its connections by itself. */
#define QEMU_END_NS (UINT64_C(2000) * NS_PER_MS)

/* A connection that has not yet said what it is, or that is not due yet. */
struct newcomer {
    int fd;
    bool waits; /* for others, or for more than has come: poll(2) would tell of it at once */
};

struct run {
    struct multifd_bridge *bridge;
    struct newcomer newcomers[MULTIFD_CHANNELS_MAX + 1];
    uint32_t num;
    uint64_t closing_until_ns; /* 0: not yet closing */
};

int bridge_listen_for_qemu(struct multifd_bridge *bridge, struct multifd_error *err)
{
    uint16_t unused;

    bridge->listener =
        socket_listen(&bridge->qemu, bridge->qemu_name, MULTIFD_CHANNELS_MAX + 1, &unused, err);
    return bridge->listener < 0 ? -1 : 0;
}

void bridge_close_listener(struct multifd_bridge *bridge)
{
    if (bridge->listener >= 0) {
        close(bridge->listener);
        unlink(bridge->qemu.path);
        bridge->listener = -1;
    }
}

/* ---- QEMU's connections ------------------------------------------------------------------ */

static struct transport_channel *connect_channel(struct multifd_bridge *bridge,
                                                 struct bridge_greeting *greeting,
                                                 const struct transport_profile *profile,
                                                 struct multifd_error *err)
{
    struct transport_endpoint *endpoint = bridge->session.endpoint;
    struct transport_greeting offer;
    struct transport_greeting answer;
    struct transport_channel *channel;

    memcpy(greeting->session, bridge->name, sizeof(greeting->session));
    bridge_greeting_encode(greeting, &offer);
    channel =
        endpoint->ops->connect(endpoint, profile, &offer, bridge->session.failed_fd, &answer, err);
    if (channel == NULL && err->code == MULTIFD_ERROR_REFUSED && answer.length != 0) {
        bridge_greeting_explain(&answer, err);
    }
    return channel; /* cppcheck-suppress returnDanglingLifetime; it keeps neither greeting */
}

/*
 * When this returns the other bridge has connected to its QEMU, which takes the first connection
 * for the main one: QEMU 7.2 knows it by nothing else.
 */
static int make_main(struct multifd_bridge *bridge, int fd, struct multifd_error *err)
{
    struct bridge_greeting greeting = {.kind = BRIDGE_GREETING_MAIN};
    struct transport_profile profile;
    struct transport_channel *channel;

    bridge_main_profile(&profile);
    channel = connect_channel(bridge, &greeting, &profile, err);
    if (channel == NULL) {
        return -1;
    }
    if (bridge_main_new(bridge, fd, channel, err) == NULL) {
        channel->ops->free(channel);
        return -1;
    }
    atomic_store(&bridge->phase, MULTIFD_BRIDGE_ACTIVE);
    return 0;
}

static int check_init(const struct multifd_bridge *bridge, const uint8_t *init,
                      struct multifd_error *err)
{
    unsigned theirs = atomic_load(&bridge->peer_expected);
    unsigned id = init[24];

    if (get_be32(init + 4) != INIT_VERSION) {
        return error_set(err, MULTIFD_ERROR_VERSION,
                         "QEMU's channel has version %u of multifd, known is %u",
                         get_be32(init + 4), INIT_VERSION);
    }
    if (id >= MULTIFD_CHANNELS_MAX || atomic_load(&bridge->channels[id]) != NULL) {
        return error_set(err, MULTIFD_ERROR_PROTOCOL, "QEMU's channel %u comes twice, or is none",
                         id);
    }
    if ((bridge->expected != 0 && id >= bridge->expected) || (theirs != 0 && id >= theirs)) {
        return error_set(err, MULTIFD_ERROR_MISMATCH,
                         "QEMU has a channel %u, but its destination is set to %u multifd channels",
                         id, theirs != 0 ? theirs : bridge->expected);
    }
    return 0;
}

static int make_channel(struct multifd_bridge *bridge, int fd, struct multifd_error *err)
{
    struct bridge_greeting greeting = {.kind = BRIDGE_GREETING_CHANNEL};
    struct transport_profile profile;
    struct transport_channel *channel;
    uint8_t init[INIT_BYTES];

    if (recv(fd, init, sizeof(init), 0) != (ssize_t)sizeof(init)) { /* all have come, see below */
        return error_set(err, MULTIFD_ERROR_SYSTEM, "recv(QEMU's channel)");
    }
    if (check_init(bridge, init, err) != 0) {
        return -1;
    }
    greeting.channel = init[24];
    memcpy(greeting.uuid, init + 8, sizeof(greeting.uuid));
    bridge_channel_profile(bridge, &profile);
    channel = connect_channel(bridge, &greeting, &profile, err);
    if (channel == NULL) {
        return -1;
    }
    if (bridge_source_channel_new(bridge, greeting.channel, fd, channel, err) == NULL) {
        channel->ops->free(channel);
        return -1;
    }
    return 0;
}

static int refuse_stranger(const uint8_t *start, struct multifd_error *err)
{
    if (start[0] == 0x16 && start[1] == 0x03) {
        return error_set(err, MULTIFD_ERROR_INVALID,
                         "QEMU wants TLS: tls-creds must be empty on both sides");
    }
    return error_set(err, MULTIFD_ERROR_PROTOCOL,
                     "a connection that starts with %#x is neither QEMU's main nor a channel",
                     get_be32(start));
}

/*
 * Whether QEMU's destination will answer, which the start of the main stream tells: 1, 0 while it
 * does not yet, or -1 with *err. Without its answer QEMU takes the migration for completed when all
 * is sent, whatever becomes of it; nothing is handed on before this is known.
 */
static int look_for_return_path(const struct multifd_bridge *bridge, const uint8_t *start,
                                size_t length, struct multifd_error *err)
{
    struct qemu_stream *stream = qemu_stream_new(bridge->page_size, err);
    struct qemu_event event = {.type = QEMU_NEEDS_MORE};
    int found = stream == NULL ? -1 : 0;

    while (found == 0) {
        if (qemu_stream_next(stream, &start, &length, &event, err) != 0) {
            found = -1;
        } else if (qemu_stream_has_return_path(stream)) {
            found = 1;
        } else if (event.type == QEMU_BLOCK) {
            found = error_set(err, MULTIFD_ERROR_INVALID,
                              "the source's capability return-path must be on: without it QEMU "
                              "cannot know whether the destination has the guest");
        } else if (length == 0) {
            break;
        }
    }
    qemu_stream_delete(&stream);
    return found;
}

static int meet_main(struct multifd_bridge *bridge, struct newcomer *newcomer, const uint8_t *start,
                     size_t length, struct multifd_error *err)
{
    int found = look_for_return_path(bridge, start, length, err);

    if (found <= 0) {
        newcomer->waits = true;
        return found;
    }
    if (atomic_load(&bridge->main) != NULL) {
        return error_set(err, MULTIFD_ERROR_PROTOCOL, "QEMU makes a second main connection");
    }
    return make_main(bridge, newcomer->fd, err) != 0 ? -1 : 1;
}

/* 1 when the newcomer has become a link or has left, 0 when it stays one, -1 with *err. */
static int meet(struct multifd_bridge *bridge, struct newcomer *newcomer, struct multifd_error *err)
{
    uint8_t start[START_MAX];
    ssize_t got = recv(newcomer->fd, start, sizeof(start), MSG_PEEK);

    if (got == 0) {
        close(newcomer->fd); /* somebody who only looked */
        return 1;
    }
    newcomer->waits = got > 0;
    if (got < 4) {
        return 0;
    }
    if (get_be32(start) == MAIN_MAGIC) {
        return meet_main(bridge, newcomer, start, (size_t)got, err);
    }
    if (get_be32(start) != PACKET_MAGIC) {
        return refuse_stranger(start, err);
    }
    if (atomic_load(&bridge->main) == NULL || got < (ssize_t)INIT_BYTES) {
        return 0;
    }
    return make_channel(bridge, newcomer->fd, err) != 0 ? -1 : 1;
}

static int meet_all(struct run *run, bool *busy, struct multifd_error *err)
{
    for (uint32_t i = 0; i < run->num;) {
        int met = meet(run->bridge, &run->newcomers[i], err);

        if (met < 0) {
            return -1;
        }
        if (met == 0) {
            i++;
            continue;
        }
        *busy = true;
        run->num--;
        memmove(&run->newcomers[i], &run->newcomers[i + 1],
                (run->num - i) * sizeof(run->newcomers[0]));
    }
    return 0;
}

static void take_newcomers(struct run *run, bool *busy)
{
    struct multifd_bridge *bridge = run->bridge;
    char name[SOCKET_NAME_MAX];

    while (run->num < MULTIFD_CHANNELS_MAX + 1) {
        int fd = socket_accept(bridge->listener, name);

        if (fd < 0) {
            return;
        }
        if (counter_get(&bridge->first_ns) == 0) {
            counter_set(&bridge->first_ns, clock_now_ns());
        }
        run->newcomers[run->num++] = (struct newcomer){.fd = fd};
        *busy = true;
    }
}

/* ---- The other bridge -------------------------------------------------------------------- */

static void tell_committing(const struct multifd_bridge *bridge, const struct bridge_link *main)
{
    const struct multifd_bridge_observer *observer = &bridge->observer;
    uint8_t words[QEMU_ANSWER_BYTES];

    if (observer->committing != NULL) {
        qemu_shut(true, words);
        observer->committing(observer->opaque, main->fd, words, sizeof(words));
    }
}

/*
 * The destination has all: the last look at whether this side has, too. From here on only what is
 * decided there counts.
 */
static int commit(struct multifd_bridge *bridge, uint64_t main_bytes, struct multifd_error *err)
{
    static const struct message message = {.type = MESSAGE_BRIDGE_COMMIT};
    const struct bridge_link *main = atomic_load(&bridge->main);
    bool fine;

    if (main == NULL || !atomic_load(&bridge->stream_done) || atomic_load(&bridge->committed) ||
        counter_get(&main->counters.main_bytes) != main_bytes) {
        return error_set(err, MULTIFD_ERROR_PROTOCOL,
                         "the destination's bridge has %llu bytes of the main stream, which is "
                         "not what was sent",
                         (unsigned long long)main_bytes);
    }
    pthread_mutex_lock(&bridge->decision);
    fine = !session_has_failed(&bridge->session);
    if (fine) {
        tell_committing(bridge, main);
    }
    atomic_store(&bridge->committed, fine);
    pthread_mutex_unlock(&bridge->decision);
    if (fine && control_send(bridge->control, &message, err) == 0) {
        return 0;
    }
    atomic_store(&bridge->committed, false); /* it was not sent */
    return session_error(&bridge->session, err);
}

static int take_message(struct multifd_bridge *bridge, const struct message *message,
                        struct multifd_error *err)
{
    switch (message->type) {
    case MESSAGE_SYNC_DONE:
        return bridge_round_release(bridge, message->round, err);
    case MESSAGE_STAGING:
        return bridge_source_channel_set_staging(bridge, &message->staging, err);
    case MESSAGE_BRIDGE_READY:
        return commit(bridge, message->main_bytes, err);
    default:
        return error_set(err, MULTIFD_ERROR_PROTOCOL, "unexpected %s", message_name(message->type));
    }
}

static int take_messages(struct multifd_bridge *bridge, bool *busy, struct multifd_error *err)
{
    struct message message;

    while (control_take(bridge->control, &message)) {
        *busy = true;
        if (take_message(bridge, &message, err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* ---- The run ----------------------------------------------------------------------------- */

/* Sleeps until QEMU, the other bridge or a link has something to say. */
static void sleep_once(struct run *run)
{
    struct session *session = &run->bridge->session;
    struct pollfd fds[MULTIFD_CHANNELS_MAX + 3];
    int sleep_ms = run->num == 0 ? TRANSPORT_SLEEP_MS_MAX : LOOK_AGAIN_MS;
    uint32_t num = 0;

    fds[num++] = (struct pollfd){.fd = session->main.fd, .events = POLLIN};
    fds[num++] = (struct pollfd){.fd = run->bridge->listener, .events = POLLIN};
    for (uint32_t i = 0; i < run->num; i++) {
        int fd = run->newcomers[i].waits ? -1 : run->newcomers[i].fd;

        fds[num++] = (struct pollfd){.fd = fd, .events = POLLIN};
    }
    if (poll(fds, num, sleep_ms) <= 0) {
        fds[0].revents = 0;
    }
    waker_disarm(&session->main, fds[0].revents != 0);
}

/* One look at everything. 1 when the run is over, 0 to go on, -1 with *err. */
static int look(struct run *run, bool *busy, struct multifd_error *err)
{
    struct multifd_bridge *bridge = run->bridge;

    if (session_has_failed(&bridge->session)) {
        return session_error(&bridge->session, err);
    }
    if (run->closing_until_ns == 0) {
        take_newcomers(run, busy);
    }
    if (meet_all(run, busy, err) != 0 || take_messages(bridge, busy, err) != 0) {
        return -1;
    }
    switch (atomic_load(&bridge->verdict)) {
    case BRIDGE_REFUSED:
        return error_set(err, MULTIFD_ERROR_SYSTEM,
                         "QEMU's destination did not take the guest: see its own messages");
    case BRIDGE_UNHEARD:
        atomic_store(&bridge->phase, MULTIFD_BRIDGE_UNDECIDED);
        return error_set(err, MULTIFD_ERROR_CANCELLED,
                         "QEMU's source ended the migration just when its destination took the "
                         "guest over: if the guest runs on here, end QEMU at the destination");
    case BRIDGE_SUCCEEDED:
        if (run->closing_until_ns == 0) {
            run->closing_until_ns = clock_now_ns() + QEMU_END_NS;
        }
        return atomic_load(&bridge->main_closed) || clock_now_ns() >= run->closing_until_ns;
    default:
        return 0;
    }
}

static int loop(struct run *run, struct multifd_error *err)
{
    struct session *session = &run->bridge->session;
    int status = 0;

    while (status == 0) {
        bool busy = false;

        atomic_store(&session->awaited, SESSION_AWAITS_ALL);
        waker_arm(&session->main);
        status = look(run, &busy, err);
        if (status == 0 && !busy) {
            sleep_once(run);
        } else {
            waker_disarm(&session->main, false);
        }
    }
    return status < 0 ? -1 : 0;
}

/*
 * Whether it is not known what became of the guest: COMMIT was sent, and neither QEMU's answer nor
 * a word of the other bridge's has come that it did not hand the end over; see bridge.h.
 */
static bool is_undecided(struct multifd_bridge *bridge, const struct multifd_error *err)
{
    return atomic_load(&bridge->committed) && atomic_load(&bridge->verdict) == BRIDGE_OPEN &&
           err->code != MULTIFD_ERROR_PEER;
}

static void tell_undecided(struct multifd_bridge *bridge, struct multifd_error *err)
{
    const struct bridge_link *main = atomic_load(&bridge->main);
    struct multifd_error cause = *err;
    uint8_t answer[QEMU_ANSWER_BYTES];

    qemu_shut(true, answer);
    (void)!send(main->fd, answer, sizeof(answer), MSG_NOSIGNAL);
    atomic_store(&bridge->phase, MULTIFD_BRIDGE_UNDECIDED);
    error_set(err, cause.code,
              "the other bridge was lost just when it handed the guest over: QEMU here keeps the "
              "guest stopped; if it does not run at the destination, continue it here (%.300s)",
              cause.message);
}

/* An observer may hold a copy of the connection: that QEMU hears of its end all the same. */
static void end_main(const struct multifd_bridge *bridge)
{
    const struct bridge_link *main = atomic_load(&bridge->main);

    if (main != NULL) {
        (void)shutdown(main->fd, SHUT_RDWR);
    }
}

static int take_apart(struct run *run, int status, struct multifd_error *err)
{
    struct multifd_bridge *bridge = run->bridge;
    struct multifd_error unused;
    const struct message last = {.type = MESSAGE_FINISH_OK};

    if (status == 0 && control_send_last(bridge->control, &last, &unused) != 0) {
        log_line(&bridge->session.options.log, "the destination's bridge has gone: %s",
                 unused.message);
    } else if (status != 0) {
        session_abort(&bridge->session, err, err);
    }
    bridge_stop_links(bridge);
    if (status != 0 && is_undecided(bridge, err)) {
        tell_undecided(bridge, err);
    }
    for (uint32_t i = 0; i < run->num; i++) {
        close(run->newcomers[i].fd);
    }
    bridge_close_listener(bridge);
    end_main(bridge);
    bridge_close_qemu(bridge, false);
    bridge_disconnect(bridge);
    return status;
}

int bridge_run_source(struct multifd_bridge *bridge, struct multifd_error *err)
{
    struct run run = {.bridge = bridge};
    struct multifd_error failure;
    int status = 0;

    if (bridge_connect_control(bridge, &failure) != 0 ||
        bridge_agree_source(bridge, &failure) != 0 || loop(&run, &failure) != 0) {
        status = -1;
    }
    status = take_apart(&run, status, &failure);
    if (status != 0) {
        *err = failure;
    }
    return status;
}
