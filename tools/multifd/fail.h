/* SPDX-License-Identifier: MIT */
/* fail.h - filling the library's error type from the command's own code. */
#ifndef MULTIFD_TOOL_FAIL_H
#define MULTIFD_TOOL_FAIL_H

#include <multifd_error.h>

/* Fills *err, which is never NULL. */
void tool_fill_error(struct multifd_error *err, enum multifd_error_code code, const char *format,
                     ...) __attribute__((format(printf, 3, 4)));

/* Fills *err and is -1, for a caller to return. A macro, so that analysers see the -1. */
#define tool_fail(...) (tool_fill_error(__VA_ARGS__), -1)

#endif
