/* SPDX-License-Identifier: MIT */
#include "core/control.h"

#include "core/base/error.h"
#include "core/control_thread.h"

#include <stdlib.h>

const struct transport_profile *control_profile(void)
{
    static const struct transport_profile profile = {
        .send_slots = CONTROL_SLOTS,
        .send_size = MESSAGE_MAX,
        .receive_slots = CONTROL_SLOTS,
        .receive_size = MESSAGE_MAX,
    };

    return &profile;
}

/* With the lock held. */
static int send_waiting(struct control *control, const struct message *message,
                        struct multifd_error *err)
{
    struct multifd_error failure;
    bool asked = false;
    int status;

    for (;;) {
        /* Behind the last message nothing may be sent: it would be under way when the peer leaves.
         */
        if (session_has_failed(control->session) || control->broken || control->last_sent) {
            if (control->broken) {
                session_settle(control->session);
            }
            return session_error(control->session, err);
        }
        if (control_try_send(control, message, &status, &failure)) {
            break;
        }
        if (!asked) {
            asked = true;
            waker_wake(&control->waker); /* to ask for completions: it sleeps through them else */
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

struct control *control_new(struct session *session, struct transport_channel *channel,
                            struct multifd_error *err)
{
    struct control *control = calloc(1, sizeof(*control));

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
    if (worker_start(&control->worker, session->workers, control_thread_main, control, err) != 0) {
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

void control_stop(struct control *control)
{
    if (control == NULL || control->stopped) {
        return;
    }
    pthread_mutex_lock(&control->lock);
    control->stop = true;
    pthread_cond_broadcast(
        &control->room); /* it may wait there for a broken connection to settle */
    pthread_mutex_unlock(&control->lock);
    waker_wake(&control->waker);
    worker_join(&control->worker);
    control->stopped = true;
}

void control_delete(struct control **control)
{
    struct control *gone = *control;

    if (gone == NULL) {
        return;
    }
    control_stop(gone);
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

void control_set_handler(struct control *control, control_handler *handler, void *opaque)
{
    pthread_mutex_lock(&control->lock);
    control->handler = handler;
    control->handler_opaque = opaque;
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
    bool was_full;

    pthread_mutex_lock(&control->lock);
    was_full = control->inbox_num == CONTROL_INBOX;
    *message = control->inbox[control->inbox_first];
    control->inbox_first = (control->inbox_first + 1) % CONTROL_INBOX;
    control->inbox_num--;
    pthread_mutex_unlock(&control->lock);
    if (was_full) {
        waker_wake(&control->waker); /* it waits for room */
    }
}

bool control_take(struct control *control, struct message *message)
{
    if (!control_has_message(control)) {
        return false;
    }
    take_from_inbox(control, message);
    return true;
}

int control_expect(struct control *control, enum message_type type, struct message *message,
                   struct multifd_error *err)
{
    struct multifd_error wrong;

    if (session_wait(control->session, SESSION_AWAITS_CONTROL, has_message, control, err) != 0) {
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

void control_await_last(struct control *control)
{
    pthread_mutex_lock(&control->lock);
    control->last_due = true;
    pthread_mutex_unlock(&control->lock);
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
    return session_wait(control->session, SESSION_AWAITS_CONTROL, has_finished, control->session,
                        err);
}

void control_say_bye(struct control *control)
{
    static const struct message bye = {.type = MESSAGE_BYE};
    uint64_t deadline = clock_now_ns() + CONTROL_LINGER_NS;
    struct multifd_error err;
    bool done = control_send(control, &bye, &err) != 0;

    pthread_mutex_lock(&control->lock);
    control->awaits_drain = true;
    pthread_mutex_unlock(&control->lock);
    waker_wake(&control->waker);
    while (!done && clock_now_ns() < deadline) {
        atomic_store(&control->session->awaited, SESSION_AWAITS_CONTROL);
        waker_arm(&control->session->main);
        pthread_mutex_lock(&control->lock);
        done = control->broken || control->channel->ops->drained(control->channel);
        pthread_mutex_unlock(&control->lock);
        waker_sleep(&control->session->main, done ? 0 : clock_ms_until(deadline));
    }
}
