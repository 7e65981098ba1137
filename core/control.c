/* SPDX-License-Identifier: MIT */
#include "core/control.h"

#include "core/base/clock.h"
#include "core/base/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS 16u /* messages in flight, each way */
#define INBOX 16u /* messages that may wait for the main thread */

/* How long the last words of a session may take to reach the peer. */
#define LINGER_NS (UINT64_C(1000) * NS_PER_MS)

struct control {
    struct session *session;
    pthread_t thread;
    struct waker waker;

    pthread_mutex_t lock; /* guards all that follows, the channel's functions included */
    pthread_cond_t room;  /* a message may be sent now, or never again */
    struct transport_channel *channel;
    control_handler *handler;
    uint32_t timeout_ms;
    uint64_t heard_ns;
    uint64_t sent_ns;
    bool stop;
    bool broken;
    bool last_sent; /* control_send_last */
    bool bye_heard;
    struct message inbox[INBOX]; /* ring */
    uint32_t inbox_first;
    uint32_t inbox_num;
};

const struct transport_profile *control_profile(void)
{
    static const struct transport_profile profile = {
        .send_slots = SLOTS,
        .send_size = MESSAGE_MAX,
        .receive_slots = SLOTS,
        .receive_size = MESSAGE_MAX,
    };

    return &profile;
}

/* With the lock held. False when there is no room; -1 in *status when sending has failed. */
static bool try_send(struct control *control, const struct message *message, int *status,
                     struct multifd_error *err)
{
    uint8_t *buffer = control->channel->ops->send_buffer(control->channel, 0);

    if (buffer == NULL) {
        return false;
    }
    *status = control->channel->ops->send(control->channel, NULL, 0,
                                          message_encode(message, buffer), false, err);
    control->sent_ns = clock_now_ns();
    return true;
}

/* With the lock held. */
static int send_waiting(struct control *control, const struct message *message,
                        struct multifd_error *err)
{
    struct multifd_error failure;
    int status;

    for (;;) {
        if (session_has_failed(control->session) || control->broken) {
            return session_error(control->session, err);
        }
        if (try_send(control, message, &status, &failure)) {
            break;
        }
        pthread_cond_wait(&control->room, &control->lock);
    }
    if (status != 0) {
        error_set_channel(&failure, MULTIFD_CONTROL_CHANNEL);
        session_fail(control->session, &failure);
        return session_error(control->session, err);
    }
    return 0;
}

int control_send(struct control *control, const struct message *message, struct multifd_error *err)
{
    int status;

    pthread_mutex_lock(&control->lock);
    status = send_waiting(control, message, err);
    pthread_mutex_unlock(&control->lock);
    return status;
}

/* ---- The thread; everything below runs with the lock held ---- */

static int answer_request(struct control *control, struct message *message,
                          struct multifd_error *err)
{
    int status = 0;

    if (control->handler == NULL) {
        return error_set(err, MULTIFD_ERROR_PROTOCOL, "unexpected %s", message_name(message->type));
    }
    if (control->handler(control->session, message, err) != 0) {
        return -1;
    }
    if (!try_send(control, message, &status, err)) {
        return error_set(err, MULTIFD_ERROR_PROTOCOL,
                         "the %s requests more than it takes answers for", control->session->peer);
    }
    return status;
}

static int peer_failed(const struct control *control, const struct message_error *error,
                       struct multifd_error *err)
{
    error_set(err, MULTIFD_ERROR_PEER, "the %s failed: %s", control->session->peer, error->text);
    err->channel = error->channel;
    return -1;
}

static int take_message(struct control *control, const struct transport_message *raw,
                        struct multifd_error *err)
{
    uint32_t slot = (control->inbox_first + control->inbox_num) % INBOX;
    struct message *message = &control->inbox[slot];

    if (message_decode(raw->bytes, raw->length, message, err) != 0) {
        return -1;
    }
    switch (message->type) {
    case MESSAGE_PING:
        return 0;
    case MESSAGE_BYE:
        control->bye_heard = true;
        return 0;
    case MESSAGE_ERROR:
        return peer_failed(control, &message->error, err);
    case MESSAGE_PIECES_REQUEST:
        return answer_request(control, message, err);
    default:
        control->inbox_num++;
        return 0;
    }
}

/*
 * While the inbox is full nothing is taken, no credit goes back, and the peer waits. Not to listen
 * is no silence of the peer's.
 */
static int take_messages(struct control *control, struct multifd_error *err)
{
    struct transport_channel *channel = control->channel;
    struct transport_message raw;

    if (control->inbox_num == INBOX) {
        control->heard_ns = clock_now_ns();
    }
    while (control->inbox_num < INBOX && channel->ops->receive(channel, &raw)) {
        control->heard_ns = clock_now_ns();
        if (take_message(control, &raw, err) != 0 || channel->ops->release(channel, err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* Takes in all there is; wakes whoever waited for it. */
static int pump(struct control *control, struct multifd_error *err)
{
    struct transport_channel *channel = control->channel;
    int status = channel->ops->progress(channel, err);

    if (status == 0) {
        status = take_messages(control, err);
    }
    /* Before a failure is looked at: once the last message has arrived, leaving is no failure. */
    if (control->last_sent && (control->bye_heard || channel->ops->drained(channel))) {
        session_finish(control->session);
    }
    pthread_cond_broadcast(&control->room);
    waker_wake(&control->session->main);
    return status;
}

/*
 * A peer is dead some time before its limit is over, so that the limit holds for who waits on us.
 */
static uint64_t silence_ns(const struct control *control)
{
    return control->timeout_ms * NS_PER_MS * 3 / 4;
}

static uint64_t ping_ns(const struct control *control)
{
    return control->timeout_ms * NS_PER_MS / 8;
}

static int prove_life(struct control *control, struct multifd_error *err)
{
    static const struct message ping = {.type = MESSAGE_PING};
    uint64_t now = clock_now_ns();
    int status = 0;

    if (now - control->heard_ns >= silence_ns(control)) {
        return error_set(err, MULTIFD_ERROR_TIMEOUT, "the %s has been silent for %.1f s",
                         control->session->peer, (double)(now - control->heard_ns) / 1e9);
    }
    if (now - control->sent_ns >= ping_ns(control)) {
        try_send(control, &ping, &status, err); /* without room: what is unread proves as much */
        control->sent_ns = now;
    }
    return status;
}

static uint64_t earlier(uint64_t left, uint64_t right)
{
    return left < right ? left : right;
}

static uint64_t next_deadline(const struct control *control, uint64_t settle_ns)
{
    uint64_t ping = control->sent_ns + ping_ns(control);
    uint64_t silence = control->heard_ns + silence_ns(control);
    uint64_t look = clock_now_ns() + TRANSPORT_SLEEP_MS_MAX * NS_PER_MS;

    return earlier(earlier(ping, silence), earlier(settle_ns, look));
}

/* Sleeps until something happens or `deadline_ns`; gives the lock away meanwhile. */
static int sleep_until(struct control *control, uint64_t deadline_ns, struct multifd_error *err)
{
    struct transport_channel *channel = control->channel;
    struct pollfd fds[TRANSPORT_POLLFDS + 1];
    uint32_t num = channel->ops->pollfds(channel, fds);

    fds[num] = (struct pollfd){.fd = control->waker.fd, .events = POLLIN};
    pthread_mutex_unlock(&control->lock);
    if (poll(fds, num + 1, clock_ms_until(deadline_ns)) < 0) {
        for (uint32_t i = 0; i <= num; i++) {
            fds[i].revents = 0; /* interrupted: undefined */
        }
    }
    pthread_mutex_lock(&control->lock);
    waker_disarm(&control->waker, fds[num].revents != 0);
    return channel->ops->wake(channel, fds, err);
}

/* One turn: takes in, proves life, sleeps. 0 to go on, 1 to end, -1 with *err when broken. */
static int turn(struct control *control, struct multifd_error *err)
{
    struct transport_channel *channel = control->channel;
    uint64_t settle_ns;

    /* Armed first, so that what comes after this look wakes us again. */
    waker_arm(&control->waker);
    if (channel->ops->arm(channel, true, err) != 0 || pump(control, err) != 0 ||
        prove_life(control, err) != 0) {
        return -1;
    }
    settle_ns = session_settle(control->session, false);
    if (control->stop || session_has_failed(control->session)) {
        return 1;
    }
    return sleep_until(control, next_deadline(control, settle_ns), err);
}

/* Says and waits: until all is delivered, the peer is gone, or the time is over. */
static void linger(struct control *control)
{
    uint64_t deadline = clock_now_ns() + LINGER_NS;
    struct multifd_error err;

    while (!control->channel->ops->drained(control->channel) && clock_now_ns() < deadline) {
        waker_arm(&control->waker);
        if (control->channel->ops->arm(control->channel, true, &err) != 0 ||
            control->channel->ops->progress(control->channel, &err) != 0) {
            return;
        }
        if (!control->channel->ops->drained(control->channel) &&
            sleep_until(control, deadline, &err) != 0) {
            return;
        }
    }
}

/* Tells the peer why this side has failed, as far as the connection still carries it. */
static void report_failure(struct control *control)
{
    struct message message = {.type = MESSAGE_ERROR};
    struct multifd_error error;
    int status = 0;

    session_error(control->session, &error);
    if (error.code == MULTIFD_ERROR_PEER) {
        return; /* it knows */
    }
    message.error.code = error.code;
    message.error.channel = error.channel;
    strcpy(message.error.text, error.message);
    if (try_send(control, &message, &status, &error) && status == 0) {
        linger(control);
    }
}

/*
 * No reason can come any more, but an end without one is still held back for a moment: the main
 * thread may just be reading the message that finishes the session.
 */
static void settle(struct control *control)
{
    uint64_t when;

    while ((when = session_settle(control->session, control->stop)) != UINT64_MAX) {
        const struct timespec until = {.tv_sec = (time_t)(when / 1000000000u),
                                       .tv_nsec = (long)(when % 1000000000u)};

        pthread_cond_clockwait(&control->room, &control->lock, CLOCK_MONOTONIC, &until);
    }
}

static void *control_main(void *arg)
{
    struct control *control = arg;
    struct multifd_error err;
    int status;

    pthread_mutex_lock(&control->lock);
    while ((status = turn(control, &err)) == 0) {
    }
    if (status < 0) {
        error_set_channel(&err, MULTIFD_CONTROL_CHANNEL);
        session_fail(control->session, &err);
        settle(control);
    }
    if (session_has_failed(control->session)) {
        report_failure(control);
    }
    control->broken = true;
    pthread_cond_broadcast(&control->room);
    waker_wake(&control->session->main);
    pthread_mutex_unlock(&control->lock);
    return NULL;
}

/* ---- For the main thread ---- */

struct control *control_new(struct session *session, struct transport_channel *channel,
                            struct multifd_error *err)
{
    struct control *control = calloc(1, sizeof(*control));
    int errnum;

    if (control == NULL) {
        error_set_nomem(err);
        goto free_channel;
    }
    if (waker_init(&control->waker, err) != 0) {
        goto free_control;
    }
    control->session = session;
    control->channel = channel;
    control->timeout_ms = session->options.transport.timeout_ms;
    control->heard_ns = control->sent_ns = clock_now_ns();
    pthread_mutex_init(&control->lock, NULL);
    pthread_cond_init(&control->room, NULL);
    session_add_waker(session, &control->waker);
    errnum = pthread_create(&control->thread, NULL, control_main, control);
    if (errnum != 0) {
        error_set_errno(err, MULTIFD_ERROR_SYSTEM, errnum, "pthread_create");
        goto forget_waker;
    }
    return control;

forget_waker:
    session_remove_waker(session, &control->waker);
    pthread_cond_destroy(&control->room);
    pthread_mutex_destroy(&control->lock);
    waker_fini(&control->waker);
free_control:
    free(control);
free_channel:
    channel->ops->free(channel);
    return NULL;
}

void control_delete(struct control **control)
{
    struct control *gone = *control;

    if (gone == NULL) {
        return;
    }
    pthread_mutex_lock(&gone->lock);
    gone->stop = true;
    pthread_cond_broadcast(&gone->room); /* it may wait there for a broken connection to settle */
    pthread_mutex_unlock(&gone->lock);
    waker_wake(&gone->waker);
    pthread_join(gone->thread, NULL);
    session_remove_waker(gone->session, &gone->waker);
    gone->channel->ops->free(gone->channel);
    pthread_cond_destroy(&gone->room);
    pthread_mutex_destroy(&gone->lock);
    waker_fini(&gone->waker);
    free(gone);
    *control = NULL;
}

void control_set_timeout(struct control *control, uint32_t timeout_ms)
{
    struct session *session = control->session;

    pthread_mutex_lock(&control->lock);
    if (timeout_ms < control->timeout_ms) {
        control->timeout_ms = timeout_ms;
        session->options.transport.timeout_ms = timeout_ms;
        session->endpoint->ops->set_timeout(session->endpoint, timeout_ms);
    }
    pthread_mutex_unlock(&control->lock);
    waker_wake(&control->waker); /* it sleeps by the longer limit */
}

void control_set_handler(struct control *control, control_handler *handler)
{
    pthread_mutex_lock(&control->lock);
    control->handler = handler;
    pthread_mutex_unlock(&control->lock);
}

bool control_has_message(struct control *control)
{
    bool has;

    pthread_mutex_lock(&control->lock);
    has = control->inbox_num != 0;
    pthread_mutex_unlock(&control->lock);
    return has;
}

static bool has_message(void *arg)
{
    return control_has_message(arg);
}

static void take_from_inbox(struct control *control, struct message *message)
{
    pthread_mutex_lock(&control->lock);
    *message = control->inbox[control->inbox_first];
    control->inbox_first = (control->inbox_first + 1) % INBOX;
    control->inbox_num--;
    pthread_mutex_unlock(&control->lock);
    waker_wake(&control->waker); /* it may have waited for room */
}

int control_expect(struct control *control, enum message_type type, struct message *message,
                   struct multifd_error *err)
{
    struct multifd_error wrong;

    if (session_wait(control->session, has_message, control, err) != 0) {
        return -1;
    }
    take_from_inbox(control, message);
    if (message->type == type) {
        return 0;
    }
    error_set(&wrong, MULTIFD_ERROR_PROTOCOL, "the %s sent %s where %s is due",
              control->session->peer, message_name(message->type), message_name(type));
    session_fail(control->session, &wrong);
    return session_error(control->session, err);
}

static bool has_finished(void *session)
{
    return session_has_finished(session);
}

int control_send_last(struct control *control, const struct message *message,
                      struct multifd_error *err)
{
    int status;

    pthread_mutex_lock(&control->lock);
    status = send_waiting(control, message, err);
    control->last_sent = status == 0;
    pthread_mutex_unlock(&control->lock);
    if (status != 0) {
        return -1;
    }
    waker_wake(&control->waker);
    return session_wait(control->session, has_finished, control->session, err);
}

void control_say_bye(struct control *control)
{
    static const struct message bye = {.type = MESSAGE_BYE};
    uint64_t deadline = clock_now_ns() + LINGER_NS;
    struct multifd_error err;
    bool done = control_send(control, &bye, &err) != 0;

    while (!done && clock_now_ns() < deadline) {
        waker_arm(&control->session->main);
        pthread_mutex_lock(&control->lock);
        done = control->broken || control->channel->ops->drained(control->channel);
        pthread_mutex_unlock(&control->lock);
        waker_sleep(&control->session->main, done ? 0 : clock_ms_until(deadline));
    }
}
