/* SPDX-License-Identifier: MIT */
/*
 * signals.h - SIGINT, SIGTERM and SIGHUP cancel the session, so that both sides end with an error
 * that says why; a second one ends the process at once.
 */
#ifndef MULTIFD_TOOL_SIGNALS_H
#define MULTIFD_TOOL_SIGNALS_H

#include <multifd_error.h>

struct signals;

/* Cancels what is under way; called in a thread of its own. */
typedef void signals_fn(const void *opaque, const char *reason);

/* Blocks the signals, and ignores SIGPIPE. Before any thread is started: threads inherit this. */
void signals_block(void);

/* Starts to wait for them. What `cancel` needs must live until signals_stop. */
struct signals *signals_start(const char *command, signals_fn *cancel, const void *opaque,
                              struct multifd_error *err);

/* Ends the waiting. Accepts NULL, sets to NULL. */
void signals_stop(struct signals **signals);

#endif
