/* SPDX-License-Identifier: MIT */
#include "transport/socket/listener.h"

#include "core/base/clock.h"
#include "core/base/error.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* How often to look at a connection that has sent less than shows what it is. */
#define STARTED_NS (UINT64_C(50) * NS_PER_MS)

#define BARE_START sizeof(((struct transport_settings *)0)->bare_start)

int socket_listener_init(struct socket_listener *listener, const struct transport_address *address,
                         const char *name, uint32_t backlog, uint16_t *port,
                         struct multifd_error *err)
{
    listener->pending_num = 0;
    listener->fd = socket_listen(address, name, backlog, port, err);
    return listener->fd < 0 ? -1 : 0;
}

void socket_request_close(struct transport_request *request)
{
    close(request->fd);
    free(request);
}

void socket_listener_fini(struct socket_listener *listener, const struct transport_address *address)
{
    if (listener->fd < 0) {
        return;
    }
    if (address->kind == TRANSPORT_UNIX) {
        unlink(address->path);
    }
    close(listener->fd);
    listener->fd = -1;
    while (listener->pending_num != 0) {
        socket_request_close(listener->pending[--listener->pending_num]);
    }
}

/* Out of the list, whose order means nothing. */
static struct transport_request *take_out(struct socket_listener *listener, uint32_t at)
{
    struct transport_request *request = listener->pending[at];

    listener->pending[at] = listener->pending[--listener->pending_num];
    return request;
}

enum reading {
    READING_GOES_ON,
    READING_DONE,
    READING_FAILED, /* the connection has ended, or what it says is no greeting */
};

static bool starts_bare(const struct transport_request *request,
                        const struct transport_settings *settings)
{
    static const uint8_t none[BARE_START] = {0};

    return memcmp(settings->bare_start, none, BARE_START) != 0 &&
           memcmp(request->bytes, settings->bare_start, BARE_START) == 0;
}

/* After a call that got nothing. */
static enum reading look_at_errno(ssize_t got)
{
    return got < 0 && (errno == EAGAIN || errno == EINTR) ? READING_GOES_ON : READING_FAILED;
}

/*
 * Reads what has come of a greeting. Its first bytes are only looked at until it is known whether
 * it is one: what is bare belongs to whoever takes the connection.
 */
static enum reading read_greeting(struct transport_request *request,
                                  const struct transport_settings *settings)
{
    bool looks = request->have == 0;
    ssize_t got =
        recv(request->fd, request->bytes + request->have,
             looks ? BARE_START : SOCKET_GREETING_BYTES - request->have, looks ? MSG_PEEK : 0);
    bool refused = false;

    if (got <= 0) {
        return look_at_errno(got);
    }
    if (looks) {
        request->started = got < (ssize_t)BARE_START;
        if (request->started) {
            return READING_GOES_ON;
        }
        if (starts_bare(request, settings)) {
            memcpy(request->greeting.bytes, request->bytes, BARE_START);
            request->greeting.length = BARE_START;
            return READING_DONE;
        }
        got = recv(request->fd, request->bytes, SOCKET_GREETING_BYTES, 0);
        if (got <= 0) {
            return look_at_errno(got);
        }
    }
    request->have += (uint32_t)got;
    if (request->have < SOCKET_GREETING_BYTES) {
        return READING_GOES_ON;
    }
    /* One that is malformed is handed over empty, to be refused like any other stranger. */
    (void)socket_greeting_decode(request->bytes, &request->greeting, &refused);
    return READING_DONE;
}

/* A connection that has gone again while it waited: nobody's failure. */
static bool is_transient(int errnum)
{
    return errnum == EAGAIN || errnum == EINTR || errnum == ECONNABORTED || errnum == EPROTO ||
           errnum == ENETDOWN || errnum == EHOSTUNREACH || errnum == ENETUNREACH;
}

static int add_pending(struct socket_listener *listener, const struct transport_settings *settings,
                       const char *name, struct multifd_error *err)
{
    struct transport_request *request = calloc(1, sizeof(*request));

    if (request == NULL) {
        return error_set_nomem(err);
    }
    snprintf(request->name, sizeof(request->name), "%s", name);
    request->fd = socket_accept(listener->fd, request->name);
    if (request->fd < 0) {
        int errnum = errno;

        free(request);
        return is_transient(errnum)
                   ? 0
                   : error_set_errno(err, MULTIFD_ERROR_SYSTEM, errnum, "accept on %s", name);
    }
    socket_tune(request->fd, settings->timeout_ms);
    request->deadline_ns = clock_now_ns() + settings->timeout_ms * NS_PER_MS;
    listener->pending[listener->pending_num++] = request;
    return 0;
}

/* The first connection whose greeting is complete; drops those that have failed or are too late. */
static struct transport_request *look_at_pending(struct socket_listener *listener,
                                                 const struct transport_settings *settings)
{
    uint64_t now = clock_now_ns();

    for (uint32_t i = listener->pending_num; i-- > 0;) {
        switch (read_greeting(listener->pending[i], settings)) {
        case READING_DONE:
            return take_out(listener, i);
        case READING_FAILED:
            socket_request_close(take_out(listener, i));
            break;
        case READING_GOES_ON:
            if (now >= listener->pending[i]->deadline_ns) {
                socket_request_close(take_out(listener, i));
            }
            break;
        }
    }
    return NULL;
}

/*
 * What poll(2) is to look at. The first bytes of a greeting stay readable until all of them are
 * there, since they are only looked at: such a connection is looked at again in a while instead.
 */
static uint64_t fill_pollfds(const struct socket_listener *listener, uint64_t deadline_ns,
                             struct pollfd *fds)
{
    for (uint32_t i = 0; i < listener->pending_num; i++) {
        const struct transport_request *request = listener->pending[i];

        fds[i] = (struct pollfd){.fd = request->started ? -1 : request->fd, .events = POLLIN};
        deadline_ns = clock_earlier(deadline_ns, request->deadline_ns);
        if (request->started) {
            deadline_ns = clock_earlier(deadline_ns, clock_now_ns() + STARTED_NS);
        }
    }
    return deadline_ns;
}

/* Sleeps until something comes or it is time to look again. 1 when wake_fd is readable, else 0. */
static int sleep_until(const struct socket_listener *listener, uint64_t deadline_ns, int wake_fd,
                       bool *connection)
{
    struct pollfd fds[SOCKET_PENDING_MAX + 2];
    uint32_t num = listener->pending_num;
    uint64_t until = fill_pollfds(listener, deadline_ns, fds);

    fds[num] = (struct pollfd){.fd = wake_fd, .events = POLLIN};
    fds[num + 1] =
        (struct pollfd){.fd = num < SOCKET_PENDING_MAX ? listener->fd : -1, .events = POLLIN};
    *connection = false;
    if (poll(fds, num + 2, until == UINT64_MAX ? -1 : clock_ms_until(until)) <= 0) {
        return 0;
    }
    *connection = fds[num + 1].revents != 0;
    return fds[num].revents != 0;
}

int socket_listener_wait(struct socket_listener *listener,
                         const struct transport_settings *settings, const char *name, int wake_fd,
                         int timeout_ms, struct transport_request **request,
                         struct multifd_error *err)
{
    uint64_t deadline =
        timeout_ms < 0 ? UINT64_MAX : clock_now_ns() + (uint64_t)timeout_ms * NS_PER_MS;
    bool connection = false;

    for (;;) {
        *request = look_at_pending(listener, settings);
        if (*request != NULL || sleep_until(listener, deadline, wake_fd, &connection) != 0) {
            return 0;
        }
        if (connection && add_pending(listener, settings, name, err) != 0) {
            return -1;
        }
        if (clock_now_ns() >= deadline) {
            return 0;
        }
    }
}
