/* SPDX-License-Identifier: MIT */
#include "bridge/qmp.h"

#include "bridge/qmp_stream.h"
#include "fail.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EVENTS_MOST 256u

struct qmp {
    struct qmp_stream *stream;
    unsigned timeout_ms;
    json_int_t last_id;
    json_t *events; /* that nobody has fetched yet */
    char version[64];
};

/* ---- Events -------------------------------------------------------------------------------- */

static void keep_event(struct qmp *qmp, json_t *event)
{
    if (json_array_size(qmp->events) == EVENTS_MOST) {
        (void)json_array_remove(qmp->events, 0);
    }
    (void)json_array_append(qmp->events, event);
}

static int take_event(struct qmp *qmp, json_t **event)
{
    json_t *first = json_array_get(qmp->events, 0);

    if (first == NULL) {
        return 0;
    }
    *event = json_incref(first);
    (void)json_array_remove(qmp->events, 0);
    return 1;
}

int qmp_event(struct qmp *qmp, unsigned wait_ms, json_t **event, struct multifd_error *err)
{
    uint64_t deadline = qmp_stream_deadline(wait_ms);

    while (take_event(qmp, event) == 0) {
        json_t *message = NULL;
        if (qmp_stream_read(qmp->stream, deadline, &message, err) != 0) {
            return err->code == MULTIFD_ERROR_TIMEOUT ? 0 : -1;
        }
        /* Else it is the answer to a command that nobody waits for any more. */
        if (json_object_get(message, "event") != NULL) {
            keep_event(qmp, message);
        }
        json_decref(message);
    }
    return 1;
}

/* ---- Commands ------------------------------------------------------------------------------ */

static json_t *new_request(struct qmp *qmp, const char *command, json_t *arguments)
{
    json_t *request = json_pack("{s:s, s:I}", "execute", command, "id", (json_int_t)++qmp->last_id);

    if (request != NULL && arguments != NULL) {
        (void)json_object_set(request, "arguments", arguments);
    }
    return request;
}

static int fail_command(const char *command, const json_t *error, struct multifd_error *err)
{
    const char *text = json_string_value(json_object_get(error, "desc"));

    return tool_fail(err, MULTIFD_ERROR_REFUSED, "QEMU refuses %s: %s", command,
                     text != NULL ? text : "without a reason");
}

static int take_answer(const json_t *message, const char *command, json_t **result,
                       struct multifd_error *err)
{
    const json_t *error = json_object_get(message, "error");
    json_t *value = json_object_get(message, "return");

    if (error != NULL) {
        return fail_command(command, error, err);
    }
    if (value == NULL) {
        return tool_fail(err, MULTIFD_ERROR_PROTOCOL,
                         "QEMU's answer to %s is neither a result nor an error", command);
    }
    if (result != NULL) {
        *result = json_incref(value);
    }
    return 0;
}

/* An error without an id answers what QEMU could not read: that was this command. */
static bool answers(const struct qmp *qmp, const json_t *message)
{
    const json_t *id = json_object_get(message, "id");

    return id != NULL ? json_is_integer(id) && json_integer_value(id) == qmp->last_id
                      : json_object_get(message, "error") != NULL;
}

static int wait_for_answer(struct qmp *qmp, const char *command, json_t **result,
                           struct multifd_error *err)
{
    uint64_t deadline = qmp_stream_deadline(qmp->timeout_ms);

    for (;;) {
        json_t *message = NULL;
        if (qmp_stream_read(qmp->stream, deadline, &message, err) != 0) {
            return err->code == MULTIFD_ERROR_TIMEOUT
                       ? tool_fail(err, MULTIFD_ERROR_TIMEOUT,
                                   "QEMU has not answered %s within %u ms", command,
                                   qmp->timeout_ms)
                       : -1;
        }
        bool ours = answers(qmp, message);
        if (json_object_get(message, "event") != NULL) {
            keep_event(qmp, message);
            ours = false;
        }
        int rc = ours ? take_answer(message, command, result, err) : 0;
        json_decref(message);
        if (ours) {
            return rc;
        }
    }
}

int qmp_execute(struct qmp *qmp, const char *command, json_t *arguments, json_t **result,
                struct multifd_error *err)
{
    json_t *request = new_request(qmp, command, arguments);
    int rc = request == NULL ? tool_fail(err, MULTIFD_ERROR_SYSTEM, "no memory")
                             : qmp_stream_write(qmp->stream, qmp_stream_deadline(qmp->timeout_ms),
                                                request, err);

    json_decref(request);
    json_decref(arguments);
    return rc != 0 ? -1 : wait_for_answer(qmp, command, result, err);
}

/* ---- The monitor --------------------------------------------------------------------------- */

/* Only one client at a time is served: a second one connects and hears nothing. */
static int take_greeting(struct qmp *qmp, const char *path, struct multifd_error *err)
{
    json_t *greeting = NULL;
    int major = 0;
    int minor = 0;
    int micro = 0;

    if (qmp_stream_read(qmp->stream, qmp_stream_deadline(qmp->timeout_ms), &greeting, err) != 0) {
        return err->code == MULTIFD_ERROR_TIMEOUT
                   ? tool_fail(err, MULTIFD_ERROR_TIMEOUT,
                               "--qmp %s: no greeting within %u ms; another program (libvirt?) may "
                               "be connected to this monitor, which serves one at a time",
                               path, qmp->timeout_ms)
                   : -1;
    }
    int rc = json_unpack(greeting, "{s:{s:{s:{s:i, s:i, s:i}}}}", "QMP", "version", "qemu", "major",
                         &major, "minor", &minor, "micro", &micro);
    json_decref(greeting);
    (void)snprintf(qmp->version, sizeof(qmp->version), "%d.%d.%d", major, minor, micro);
    return rc == 0 ? 0
                   : tool_fail(err, MULTIFD_ERROR_PROTOCOL,
                               "--qmp %s: whoever listens there is not QEMU's QMP monitor", path);
}

struct qmp *qmp_connect(const char *path, unsigned timeout_ms, struct multifd_error *err)
{
    struct qmp *qmp = calloc(1, sizeof(*qmp));

    if (qmp == NULL || (qmp->events = json_array()) == NULL) {
        (void)tool_fail(err, MULTIFD_ERROR_SYSTEM, "no memory");
    } else {
        qmp->timeout_ms = timeout_ms;
        qmp->stream = qmp_stream_connect(path, err);
        if (qmp->stream != NULL && take_greeting(qmp, path, err) == 0 &&
            qmp_execute(qmp, "qmp_capabilities", NULL, NULL, err) == 0) {
            return qmp;
        }
    }
    qmp_delete(&qmp);
    return NULL;
}

void qmp_delete(struct qmp **qmp)
{
    if (*qmp == NULL) {
        return;
    }
    qmp_stream_delete(&(*qmp)->stream);
    json_decref((*qmp)->events);
    free(*qmp);
    *qmp = NULL;
}

const char *qmp_version(const struct qmp *qmp)
{
    return qmp->version;
}

pid_t qmp_process(const struct qmp *qmp)
{
    return qmp_stream_process(qmp->stream);
}

void qmp_set_timeout(struct qmp *qmp, unsigned timeout_ms)
{
    qmp->timeout_ms = timeout_ms;
}
