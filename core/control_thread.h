/* SPDX-License-Identifier: MIT */
/* control_thread - the inside of a control connection, and the thread that watches it. */
#ifndef MULTIFD_CONTROL_THREAD_H
#define MULTIFD_CONTROL_THREAD_H

#include "core/base/clock.h"
#include "core/control.h"

#define CONTROL_SLOTS 16u /* messages in flight, each way */
#define CONTROL_INBOX 16u /* messages that may wait for the main thread */

/* How long the last words of a session may take to reach the peer. */
#define CONTROL_LINGER_NS (UINT64_C(1000) * NS_PER_MS)

struct control {
    struct session *session;
    struct worker worker;
    bool stopped; /* the main thread's own: it has been joined */
    struct waker waker;

    pthread_mutex_t lock; /* guards all that follows, the channel's functions included */
    pthread_cond_t room;  /* a message may be sent now, or never again */
    struct transport_channel *channel;
    control_handler *handler;
    void *handler_opaque;
    uint32_t timeout_ms;
    uint64_t heard_ns;
    uint64_t sent_ns;
    bool has_heard; /* since the thread's last look at the clock: heard_ns is to be set */
    bool has_sent;  /* the same of sent_ns */
    bool stop;
    bool broken;
    bool last_sent;  /* control_send_last */
    bool last_due;   /* control_await_last */
    bool last_heard; /* the peer's last message is in the inbox, or has been */
    bool bye_heard;
    bool awaits_drain;                   /* control_say_bye waits until all has reached the peer */
    struct message inbox[CONTROL_INBOX]; /* ring */
    uint32_t inbox_first;
    uint32_t inbox_num;
};

/*
 * Sends a message if there is room; with the lock held. False when there is none; *status is -1,
 * with *err, when sending has failed.
 */
bool control_try_send(struct control *control, const struct message *message, int *status,
                      struct multifd_error *err);

/* What the thread runs; its argument is the control. */
void control_thread_main(void *arg);

#endif
