/* SPDX-License-Identifier: MIT */
/* Everything here runs on the control connection's thread and with its lock held, but for sleeping.
 */
#include "core/control_thread.h"

#include "core/base/error.h"

#include <string.h>

bool control_try_send(struct control *control, const struct message *message, int *status,
                      struct multifd_error *err)
{
    uint8_t *buffer = control->channel->ops->send_buffer(control->channel, 0);

    if (buffer == NULL) {
        return false;
    }
    *status = control->channel->ops->send(control->channel, NULL, 0,
                                          message_encode(message, buffer), false, err);
    control->has_sent = true;
    return true;
}

static int unexpected(const struct message *message, struct multifd_error *err)
{
    return error_set(err, MULTIFD_ERROR_PROTOCOL, "unexpected %s", message_name(message->type));
}

static int peer_failed(const struct control *control, const struct message_error *error,
                       struct multifd_error *err)
{
    if (error->code == MULTIFD_ERROR_DISCONNECTED) {
        /* It knows no more than that we have gone: what this side holds back tells at least as
         * much. */
        session_settle(control->session);
    }
    error_set(err, MULTIFD_ERROR_PEER, "the %s failed: %s", control->session->peer, error->text);
    err->channel = error->channel;
    return -1;
}

static int take_message(struct control *control, const struct transport_message *raw,
                        struct multifd_error *err)
{
    uint32_t slot = (control->inbox_first + control->inbox_num) % CONTROL_INBOX;
    struct message *message = &control->inbox[slot];

    if (message_decode(raw->bytes, raw->length, message, err) != 0) {
        return -1;
    }
    switch (message->type) {
    case MESSAGE_PING:
        return 0;
    case MESSAGE_BYE:
        control->bye_heard = true;
        return control->last_sent ? 0 : unexpected(message, err);
    case MESSAGE_ERROR:
        return peer_failed(control, &message->error, err);
    case MESSAGE_PIECES_REQUEST:
    case MESSAGE_PIECES:
        return control->handler == NULL ? unexpected(message, err)
                                        : control->handler(control->handler_opaque, message, err);
    case MESSAGE_FINISH_OK:
        control->last_heard = control->last_due;
        break;
    default:
        break;
    }
    control->inbox_num++;
    return 0;
}

/*
 * While the inbox is full nothing is taken, no credit goes back, and the peer waits. Not to listen
 * is no silence of the peer's.
 */
static int take_messages(struct control *control, struct multifd_error *err)
{
    struct transport_channel *channel = control->channel;
    struct transport_message raw;

    if (control->inbox_num == CONTROL_INBOX) {
        control->has_heard = true;
    }
    while (control->inbox_num < CONTROL_INBOX && channel->ops->receive(channel, &raw)) {
        control->has_heard = true;
        if (take_message(control, &raw, err) != 0 || channel->ops->release(channel, err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* Takes in all there is. The main thread is woken for it before this one sleeps, or when it ends.
 */
static int pump(struct control *control, struct multifd_error *err)
{
    struct transport_channel *channel = control->channel;
    int status = channel->ops->progress(channel, err);

    if (status == 0) {
        status = take_messages(control, err);
    }
    /* Before a failure is looked at: once the last message has arrived, leaving is no failure. */
    if (control->last_sent && (control->bye_heard || channel->ops->delivered(channel))) {
        session_finish(control->session);
    }
    pthread_cond_broadcast(&control->room);
    return status;
}

/*
 * A peer is dead some time before its limit is over: what follows, telling the other side and
 * releasing queue pairs that still try to send, must fit into the limit too.
 */
static uint64_t silence_ns(const struct control *control)
{
    return control->timeout_ms * NS_PER_MS * 5 / 8;
}

static uint64_t ping_ns(const struct control *control)
{
    return control->timeout_ms * NS_PER_MS / 8;
}

static int prove_life(struct control *control, uint64_t now, struct multifd_error *err)
{
    static const struct message ping = {.type = MESSAGE_PING};
    int status = 0;

    if (control->has_sent) {
        control->sent_ns = now;
        control->has_sent = false;
    }
    if (control->has_heard) {
        control->heard_ns = now;
        control->has_heard = false;
    }
    if (now - control->heard_ns >= silence_ns(control)) {
        return error_set(err, MULTIFD_ERROR_TIMEOUT, "the %s has been silent for %.1f s",
                         control->session->peer, (double)(now - control->heard_ns) / 1e9);
    }
    if (now - control->sent_ns >= ping_ns(control)) {
        control_try_send(control, &ping, &status,
                         err); /* without room: what is unread proves as much */
        control->sent_ns = now;
    }
    return status;
}

/* When to give up hoping for a better reason than that the connections have ended. */
static uint64_t settles_at(const struct control *control)
{
    return control->last_heard ? UINT64_MAX : session_settles_at(control->session);
}

static uint64_t next_deadline(const struct control *control, uint64_t settle_ns, uint64_t now)
{
    uint64_t ping = control->sent_ns + ping_ns(control);
    uint64_t silence = control->heard_ns + silence_ns(control);
    uint64_t look = now + TRANSPORT_SLEEP_MS_MAX * NS_PER_MS;

    return clock_earlier(clock_earlier(ping, silence), clock_earlier(settle_ns, look));
}

/*
 * Sleeps until something happens, for `most_ms` at most; gives the lock away meanwhile. Only then
 * the main thread is woken, which would have to wait for the lock otherwise.
 */
static int sleep_for(struct control *control, int most_ms, struct multifd_error *err)
{
    struct transport_channel *channel = control->channel;
    struct pollfd fds[TRANSPORT_POLLFDS + 1];
    uint32_t num = channel->ops->pollfds(channel, fds);
    int woken;

    fds[num] = (struct pollfd){.fd = control->waker.fd, .events = POLLIN};
    pthread_mutex_unlock(&control->lock);
    session_wake(control->session, SESSION_AWAITS_CONTROL);
    woken = poll(fds, num + 1, most_ms);
    if (woken < 0) {
        for (uint32_t i = 0; i <= num; i++) {
            fds[i].revents = 0; /* interrupted: undefined */
        }
    }
    pthread_mutex_lock(&control->lock);
    waker_disarm(&control->waker, fds[num].revents != 0);
    return channel->ops->wake(channel, woken == 0 ? NULL : fds, err);
}

/*
 * Takes in what ended a sleep, and wakes the main thread for it, which may be waiting for nothing
 * else, before this thread sees to itself.
 */
static int hand_on(struct control *control, struct multifd_error *err)
{
    if (pump(control, err) != 0) {
        return -1;
    }
    if (control->inbox_num != 0) {
        pthread_mutex_unlock(&control->lock);
        session_wake(control->session, SESSION_AWAITS_CONTROL);
        pthread_mutex_lock(&control->lock);
    }
    return 0;
}

/* One turn: takes in, proves life, sleeps. 0 to go on, 1 to end, -1 with *err when broken. */
static int turn(struct control *control, struct multifd_error *err)
{
    struct transport_channel *channel = control->channel;
    uint64_t settle_ns;
    uint64_t now;
    bool settled;

    /* Armed first, so that what comes after this look wakes us again. */
    waker_arm(&control->waker);
    now = clock_now_ns();
    settle_ns = settles_at(control);
    settled = settle_ns <= now;
    if (channel->ops->arm(channel, control->last_sent || control->awaits_drain, err) != 0 ||
        pump(control, err) != 0) {
        return -1;
    }
    if (prove_life(control, now, err) != 0) {
        return -1;
    }
    /*
     * By the time of before the look: however long this thread did not run, what the peer said
     * before it left has been taken in now.
     */
    if (settled && !control->last_heard) {
        session_settle(control->session);
    }
    if (control->stop || session_has_failed(control->session)) {
        return 1;
    }
    if (sleep_for(control, clock_ms_between(now, next_deadline(control, settle_ns, now)), err) !=
        0) {
        return -1;
    }
    return hand_on(control, err);
}

/*
 * Says and waits: until this side may leave without taking it back, the peer is gone, or the time
 * is over.
 */
static void linger(struct control *control)
{
    uint64_t deadline = clock_now_ns() + CONTROL_LINGER_NS;
    struct multifd_error err;

    while (!control->channel->ops->drained(control->channel) && clock_now_ns() < deadline) {
        waker_arm(&control->waker);
        if (control->channel->ops->arm(control->channel, true, &err) != 0 ||
            control->channel->ops->progress(control->channel, &err) != 0) {
            return;
        }
        if (!control->channel->ops->drained(control->channel) &&
            sleep_for(control, clock_ms_until(deadline), &err) != 0) {
            return;
        }
    }
}

/* Tells the peer why this side has failed, as far as the connection still carries it. */
static void report_failure(struct control *control)
{
    struct message message = {.type = MESSAGE_ERROR};
    struct multifd_error error;
    bool silent;
    int status = 0;

    session_error(control->session, &error);
    if (error.code == MULTIFD_ERROR_PEER || session_is_committed(control->session)) {
        return; /* it knows, or would take it for a promise */
    }
    silent = error.code == MULTIFD_ERROR_TIMEOUT;
    message.error.code = error.code;
    message.error.channel = error.channel;
    strcpy(message.error.text, error.message);
    /*
     * A peer that has been silent will hardly say that it has heard this: no time is spent on it,
     * since a device may still need some to let go of what is under way (rxe: 3 s, until the kernel
     * has given up asking for the peer's hardware address).
     */
    if (control_try_send(control, &message, &status, &error) && status == 0 && !silent) {
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

    while (!control->stop && (when = settles_at(control)) != UINT64_MAX && when > clock_now_ns()) {
        const struct timespec until = {.tv_sec = (time_t)(when / 1000000000u),
                                       .tv_nsec = (long)(when % 1000000000u)};

        pthread_cond_clockwait(&control->room, &control->lock, CLOCK_MONOTONIC, &until);
    }
    if (control->stop || !control->last_heard) {
        session_settle(control->session);
    }
}

void control_thread_main(void *arg)
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
    session_wake(control->session, SESSION_AWAITS_CONTROL);
    pthread_mutex_unlock(&control->lock);
}
