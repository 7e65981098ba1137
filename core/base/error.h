/* SPDX-License-Identifier: MIT */
/* Filling struct multifd_error. Inside the library err is never NULL. */
#ifndef MULTIFD_BASE_ERROR_H
#define MULTIFD_BASE_ERROR_H

#include <multifd_error.h>
#include <stdarg.h>

/* Sets all of *err for no channel in particular; a text that is too long is cut. Returns -1. */
int error_set(struct multifd_error *err, enum multifd_error_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same, with ": " and strerror(errnum) behind the text. */
int error_set_errno(struct multifd_error *err, enum multifd_error_code code, int errnum,
                    const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Names the channel (or control connection) that an error happened on, if none is named. */
void error_set_channel(struct multifd_error *err, int channel);

/* No memory: MULTIFD_ERROR_SYSTEM. Returns -1. */
int error_set_nomem(struct multifd_error *err);

/* Makes *err mean "no error". */
void error_clear(struct multifd_error *err);

#endif
