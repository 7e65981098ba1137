/* SPDX-License-Identifier: MIT */
/*
 * console.h - the lines on stderr. A progress line that is rewritten in place and whole lines from
 * several threads share one terminal, so all of them go through here.
 */
#ifndef MULTIFD_TOOL_CONSOLE_H
#define MULTIFD_TOOL_CONSOLE_H

#include <stdbool.h>

/* Whether stderr is a terminal. */
bool console_is_terminal(void);

/* Prints "multifd COMMAND: TEXT\n" above a progress line that may stand there. Any thread. */
void console_line(const char *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Replaces the progress line; the empty text takes it away. Only for terminals. Any thread. */
void console_progress(const char *text);

#endif
