/* SPDX-License-Identifier: MIT */
/* ready.h - telling that a source can connect, and to which port: a script, and people. */
#ifndef MULTIFD_TOOL_READY_H
#define MULTIFD_TOOL_READY_H

#include <multifd_error.h>

/* Empties or creates the file, so that what an earlier run wrote is not mistaken for this one's. */
int ready_clear(const char *path, struct multifd_error *err);

/* Writes the port and a newline, in one write. */
int ready_write(const char *path, unsigned port, struct multifd_error *err);

/* Says on stderr where the command listens: `port` instead of that in `address`, if not 0. */
void ready_print(const char *command, const char *address, unsigned port);

#endif
