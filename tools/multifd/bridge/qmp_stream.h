/* SPDX-License-Identifier: MIT */
/* qmp_stream.h - JSON objects over a unix socket, one behind the other, with deadlines. */
#ifndef MULTIFD_BRIDGE_QMP_STREAM_H
#define MULTIFD_BRIDGE_QMP_STREAM_H

#include <jansson.h>
#include <multifd_error.h>
#include <stdint.h>
#include <sys/types.h>

struct qmp_stream;

/* NULL on error. */
struct qmp_stream *qmp_stream_connect(const char *path, struct multifd_error *err);

/* Closes. Accepts NULL, sets to NULL. */
void qmp_stream_delete(struct qmp_stream **stream);

/* The process that listens there, 0 if unknown. */
pid_t qmp_stream_process(const struct qmp_stream *stream);

/* That many milliseconds from now, for the functions below. */
uint64_t qmp_stream_deadline(unsigned ms);

/* The next object; the caller owns it. What has come is taken even if the deadline has passed. */
int qmp_stream_read(struct qmp_stream *stream, uint64_t deadline, json_t **object,
                    struct multifd_error *err);

int qmp_stream_write(struct qmp_stream *stream, uint64_t deadline, const json_t *object,
                     struct multifd_error *err);

#endif
