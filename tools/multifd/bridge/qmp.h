/* SPDX-License-Identifier: MIT */
/*
 * qmp.h - a client of QEMU's monitor protocol (QMP) over a unix socket.
 *
 * Errors: MULTIFD_ERROR_CONNECT when there is no monitor, TIMEOUT when it says nothing,
 * DISCONNECTED when it closes (QEMU has ended), REFUSED when QEMU answers with an error, PROTOCOL
 * for what is no QMP. One thread at a time.
 */
#ifndef MULTIFD_BRIDGE_QMP_H
#define MULTIFD_BRIDGE_QMP_H

#include <jansson.h>
#include <multifd_error.h>
#include <stdint.h>
#include <sys/types.h>

#define QMP_TIMEOUT_MS 10000u

struct qmp;

/*
 * Connects to the monitor at `path`, takes its greeting and leaves the negotiation of capabilities.
 * `timeout_ms` is how long any answer may take. NULL on error.
 */
struct qmp *qmp_connect(const char *path, unsigned timeout_ms, struct multifd_error *err);

/* Accepts NULL, sets to NULL. */
void qmp_delete(struct qmp **qmp);

/* "7.2.22", as the greeting told it. */
const char *qmp_version(const struct qmp *qmp);

/* The process that opened the monitor's socket: QEMU, or whoever gave QEMU its socket. 0 if
 * unknown. */
pid_t qmp_process(const struct qmp *qmp);

/*
 * Executes a command, with `arguments` that it takes (NULL for none), and waits for the answer to
 * this command and no other. The caller owns *result; `result` may be NULL. Events that come
 * meanwhile are kept.
 */
int qmp_execute(struct qmp *qmp, const char *command, json_t *arguments, json_t **result,
                struct multifd_error *err);

/* How long answers may take from now on. */
void qmp_set_timeout(struct qmp *qmp, unsigned timeout_ms);

/*
 * The next event, waited for at most `wait_ms`: 1 with *event, which the caller owns, 0 when none
 * came, -1 on error. Of events that nobody fetches the oldest are dropped.
 */
int qmp_event(struct qmp *qmp, unsigned wait_ms, json_t **event, struct multifd_error *err);

#endif
