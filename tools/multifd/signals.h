/* SPDX-License-Identifier: MIT */
/*
 * signals.h - SIGINT, SIGTERM and SIGHUP cancel the session, so that both sides end with an error
 * that says why; a second one ends the process at once.
 */
#ifndef MULTIFD_TOOL_SIGNALS_H
#define MULTIFD_TOOL_SIGNALS_H

#include "session_view.h"

struct signals;

/* Blocks the signals, and ignores SIGPIPE. Before any thread is started: threads inherit this. */
void signals_block(void);

/* Starts to wait for them. `view` and its session must live until signals_stop. */
struct signals *signals_start(const char *command, const struct session_view *view,
                              struct multifd_error *err);

/* Ends the waiting. Accepts NULL, sets to NULL. */
void signals_stop(struct signals **signals);

#endif
