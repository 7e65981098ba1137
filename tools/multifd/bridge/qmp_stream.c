/* SPDX-License-Identifier: MIT */
#include "bridge/qmp_stream.h"

#include "fail.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define READ_LEAST 16384u
/* An object that is longer is none of a monitor's. */
#define OBJECT_MOST (16u << 20)

struct qmp_stream {
    int fd;
    char *buffer;
    size_t used;
    size_t room;
};

uint64_t qmp_stream_deadline(unsigned ms)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000 + ms;
}

static int fail_errno(const char *what, struct multifd_error *err)
{
    bool gone = errno == EPIPE || errno == ECONNRESET;

    return gone ? tool_fail(err, MULTIFD_ERROR_DISCONNECTED, "QEMU has closed its monitor")
                : tool_fail(err, MULTIFD_ERROR_SYSTEM, "QEMU's monitor cannot be %s: %s", what,
                            strerror(errno));
}

/* ---- Connecting ---------------------------------------------------------------------------- */

static int connect_to(int fd, const char *path, struct multifd_error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (path[0] == '\0' || strlen(path) >= sizeof(address.sun_path)) {
        return tool_fail(err, MULTIFD_ERROR_ADDRESS, "--qmp %s: a socket's path has 1 to %zu bytes",
                         path, sizeof(address.sun_path) - 1);
    }
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0) {
        return 0;
    }
    return tool_fail(err, MULTIFD_ERROR_CONNECT, "--qmp %s: cannot be connected to: %s", path,
                     errno == EAGAIN ? "other programs wait for this monitor" : strerror(errno));
}

struct qmp_stream *qmp_stream_connect(const char *path, struct multifd_error *err)
{
    struct qmp_stream *stream = calloc(1, sizeof(*stream));

    if (stream == NULL) {
        (void)tool_fail(err, MULTIFD_ERROR_SYSTEM, "no memory");
        return NULL;
    }
    stream->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (stream->fd < 0) {
        (void)tool_fail(err, MULTIFD_ERROR_SYSTEM, "no socket: %s", strerror(errno));
    } else if (connect_to(stream->fd, path, err) == 0) {
        return stream;
    }
    qmp_stream_delete(&stream);
    return NULL;
}

void qmp_stream_delete(struct qmp_stream **stream)
{
    if (*stream == NULL) {
        return;
    }
    if ((*stream)->fd >= 0) {
        (void)close((*stream)->fd);
    }
    free((*stream)->buffer);
    free(*stream);
    *stream = NULL;
}

pid_t qmp_stream_process(const struct qmp_stream *stream)
{
    struct ucred credentials = {0};
    socklen_t length = sizeof(credentials);

    return getsockopt(stream->fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) == 0
               ? credentials.pid
               : 0;
}

/* ---- Waiting ------------------------------------------------------------------------------- */

static int wait_for(struct qmp_stream *stream, short events, uint64_t deadline,
                    struct multifd_error *err)
{
    struct pollfd wanted = {.fd = stream->fd, .events = events};

    for (;;) {
        uint64_t now = qmp_stream_deadline(0);
        uint64_t left = deadline > now ? deadline - now : 0;
        int rc = poll(&wanted, 1, left > INT_MAX ? INT_MAX : (int)left);
        if (rc > 0) {
            return 0;
        }
        if (rc == 0 && left <= INT_MAX) {
            return tool_fail(err, MULTIFD_ERROR_TIMEOUT, "QEMU's monitor says nothing");
        }
        if (rc < 0 && errno != EINTR) {
            return fail_errno("waited for", err);
        }
    }
}

/* ---- Reading ------------------------------------------------------------------------------- */

static int make_room(struct qmp_stream *stream, struct multifd_error *err)
{
    if (stream->room - stream->used >= READ_LEAST) {
        return 0;
    }
    if (stream->room >= OBJECT_MOST) {
        return tool_fail(err, MULTIFD_ERROR_PROTOCOL, "QEMU's monitor sends an endless object");
    }
    size_t room = stream->room * 2 + READ_LEAST;
    char *buffer = realloc(stream->buffer, room);
    if (buffer == NULL) {
        return tool_fail(err, MULTIFD_ERROR_SYSTEM, "no memory");
    }
    stream->buffer = buffer;
    stream->room = room;
    return 0;
}

static int fill(struct qmp_stream *stream, uint64_t deadline, struct multifd_error *err)
{
    if (make_room(stream, err) != 0 || wait_for(stream, POLLIN, deadline, err) != 0) {
        return -1;
    }
    ssize_t got = read(stream->fd, stream->buffer + stream->used, stream->room - stream->used);
    if (got == 0) {
        errno = EPIPE;
    }
    if (got <= 0 && errno != EINTR && errno != EAGAIN) {
        return fail_errno("read", err);
    }
    stream->used += got > 0 ? (size_t)got : 0;
    return 0;
}

static void consume(struct qmp_stream *stream, size_t bytes)
{
    if (bytes == 0) { /* there may be no buffer yet */
        return;
    }
    stream->used -= bytes;
    memmove(stream->buffer, stream->buffer + bytes, stream->used);
}

/*
 * What stands in the buffer: 1 for a whole object, 0 for less, -1 for something else. Every object
 * ends a line, and no token is split over two.
 */
static int parse(struct qmp_stream *stream, json_t **object, struct multifd_error *err)
{
    const char *newline = stream->used != 0 ? memrchr(stream->buffer, '\n', stream->used) : NULL;
    size_t lines = newline != NULL ? (size_t)(newline - stream->buffer) + 1 : 0;
    size_t blanks = 0;
    json_error_t error;

    while (blanks < lines && isspace((unsigned char)stream->buffer[blanks]) != 0) {
        blanks++;
    }
    if (blanks == lines) {
        consume(stream, blanks);
        return 0;
    }
    *object = json_loadb(stream->buffer + blanks, lines - blanks, JSON_DISABLE_EOF_CHECK, &error);
    if (*object != NULL) {
        consume(stream, blanks + (size_t)error.position);
        return 1;
    }
    return json_error_code(&error) == json_error_premature_end_of_input
               ? 0
               : tool_fail(err, MULTIFD_ERROR_PROTOCOL, "QEMU's monitor sends no JSON: %s",
                           error.text);
}

int qmp_stream_read(struct qmp_stream *stream, uint64_t deadline, json_t **object,
                    struct multifd_error *err)
{
    int rc = parse(stream, object, err);

    while (rc == 0) {
        rc = fill(stream, deadline, err) != 0 ? -1 : parse(stream, object, err);
    }
    if (rc == 1 && !json_is_object(*object)) {
        json_decref(*object);
        *object = NULL;
        return tool_fail(err, MULTIFD_ERROR_PROTOCOL, "QEMU's monitor sends no JSON object");
    }
    return rc == 1 ? 0 : -1;
}

/* ---- Writing ------------------------------------------------------------------------------- */

static int write_all(struct qmp_stream *stream, uint64_t deadline, const char *bytes, size_t length,
                     struct multifd_error *err)
{
    while (length != 0) {
        if (wait_for(stream, POLLOUT, deadline, err) != 0) {
            return -1;
        }
        ssize_t sent = send(stream->fd, bytes, length, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR && errno != EAGAIN) {
            return fail_errno("written to", err);
        }
        bytes += sent > 0 ? sent : 0;
        length -= sent > 0 ? (size_t)sent : 0;
    }
    return 0;
}

int qmp_stream_write(struct qmp_stream *stream, uint64_t deadline, const json_t *object,
                     struct multifd_error *err)
{
    char *text = json_dumps(object, JSON_COMPACT);

    if (text == NULL) {
        return tool_fail(err, MULTIFD_ERROR_SYSTEM, "no memory, or no UTF-8 for QEMU's monitor");
    }
    size_t length = strlen(text);
    text[length] = '\n'; /* in the place of the NUL */
    int rc = write_all(stream, deadline, text, length + 1, err);
    free(text);
    return rc;
}
