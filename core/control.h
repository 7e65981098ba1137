/* SPDX-License-Identifier: MIT */
/*
 * control - the control connection: messages both ways, proof of life, and a thread that watches
 * it.
 *
 * The thread takes messages in (the session's main thread collects them with control_receive),
 * gives those about pieces of memory to a handler, sends a PING when nothing else was sent, fails
 * the session when the peer has been silent for too long or reports an error, and tells the peer
 * when this side has failed.
 */
#ifndef MULTIFD_CONTROL_H
#define MULTIFD_CONTROL_H

#include <stdbool.h>

#include "core/message.h"
#include "core/session.h"

struct control;

/*
 * Takes a MESSAGE_PIECES_REQUEST or MESSAGE_PIECES in. 0, or -1 with *err when it is wrong. Runs on
 * the control connection's thread: it waits for nothing and sends nothing.
 */
typedef int control_handler(void *opaque, const struct message *message, struct multifd_error *err);

/* The channel profile of a control connection. */
const struct transport_profile *control_profile(void);

/*
 * Takes a connected channel over and starts the thread. NULL on error; the channel is then freed.
 */
struct control *control_new(struct session *session, struct transport_channel *channel,
                            struct multifd_error *err);

/*
 * Stops the thread; whoever waits for it in control_send gets the session's error. A session that
 * has failed is reported to the peer before, if the connection still carries that. Accepts NULL.
 */
void control_stop(struct control *control);

/* Stops it if need be, and frees it. Sets *control to NULL; accepts NULL. */
void control_delete(struct control **control);

/*
 * The two sides' limits may differ: both watch and ping by the shorter one, which also becomes the
 * session's own for the channels to come.
 */
void control_set_timeout(struct control *control, uint32_t timeout_ms);

/* From now on those messages are taken in; without a handler they are against the protocol. */
void control_set_handler(struct control *control, control_handler *handler, void *opaque);

/*
 * Sends a message; waits for room. Any thread. 0, or -1 with the session's error, which is none
 * when the session is about to finish: control_send_last has been called.
 */
int control_send(struct control *control, const struct message *message, struct multifd_error *err);

/* Whether a message waits for control_expect or control_take. */
bool control_has_message(struct control *control);

/* Takes the message that has waited longest; false when there is none. Main thread only. */
bool control_take(struct control *control, struct message *message);

/*
 * Waits for the next message, which must be of the given type. 0, or -1 with the session's error (a
 * message of another type fails the session). Main thread only.
 */
int control_expect(struct control *control, enum message_type type, struct message *message,
                   struct multifd_error *err);

/*
 * From now on the peer's last message, FINISH_OK, may come; once it is here, the end of the
 * connections is no failure by itself. The main thread is to take it with control_expect.
 */
void control_await_last(struct control *control);

/*
 * Sends the last message of a session and waits until it has reached the peer, which finishes the
 * session: from then on it does not matter how the connection ends. As control_expect.
 */
int control_send_last(struct control *control, const struct message *message,
                      struct multifd_error *err);

/* In a finished session: sends BYE and waits, for a short time at most, until the peer has it. */
void control_say_bye(struct control *control);

#endif
