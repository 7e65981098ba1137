/* SPDX-License-Identifier: MIT */
#include "transport/socket/connection.h"

#include "core/base/clock.h"
#include "core/base/error.h"

#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define SOCKET_FLAGS (SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC)

#define NO_ROOM_SLEEP_MS 10

void socket_name(const struct transport_address *address, char name[SOCKET_NAME_MAX])
{
    if (address->kind == TRANSPORT_UNIX) {
        snprintf(name, SOCKET_NAME_MAX, "%s", address->path);
    } else {
        snprintf(name, SOCKET_NAME_MAX,
                 strchr(address->host, ':') != NULL ? "[%.64s]:%s" : "%.64s:%s", address->host,
                 address->port);
    }
}

static struct sockaddr_un unix_address(const struct transport_address *address)
{
    struct sockaddr_un local = {.sun_family = AF_UNIX};

    static_assert(sizeof(local.sun_path) > TRANSPORT_PATH_MAX, "a path with its final NUL fits");
    strcpy(local.sun_path, address->path);
    return local;
}

static struct addrinfo *look_up(const struct transport_address *address, const char *name,
                                int flags, struct multifd_error *err)
{
    const struct addrinfo hints = {
        .ai_flags = flags | AI_NUMERICSERV, .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    const char *host = address->host[0] == '\0' ? NULL : address->host;
    struct addrinfo *found = NULL;
    int status = getaddrinfo(host, address->port, &hints, &found);

    if (status != 0) {
        error_set(err, MULTIFD_ERROR_ADDRESS, "%s: %s", name, gai_strerror(status));
        return NULL;
    }
    return found;
}

/* ---- Listening ---- */

static int close_with_errno(int fd)
{
    int errnum = errno;

    close(fd);
    errno = errnum;
    return -1;
}

/* A listening socket, or -1 with errno. */
static int listen_at(const struct sockaddr *address, socklen_t length, uint32_t backlog)
{
    int fd = socket(address->sa_family, SOCKET_FLAGS, 0);
    const int yes = 1;
    const int no = 0;

    if (fd < 0) {
        return -1;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    if (address->sa_family == AF_INET6) {
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof(no));
    }
    if (bind(fd, address, length) != 0 || listen(fd, (int)backlog) != 0) {
        return close_with_errno(fd);
    }
    return fd;
}

/*
 * Whether a socket's file is there, but nobody listens behind it. To connect to a file that is no
 * socket is refused too.
 */
static bool is_left_over(const struct sockaddr_un *local)
{
    struct stat status;
    bool left_over;
    int fd;

    if (lstat(local->sun_path, &status) != 0 || !S_ISSOCK(status.st_mode)) {
        return false;
    }
    fd = socket(AF_UNIX, SOCKET_FLAGS, 0);
    if (fd < 0) {
        return false;
    }
    left_over =
        connect(fd, (const struct sockaddr *)local, sizeof(*local)) != 0 && errno == ECONNREFUSED;
    close(fd);
    return left_over;
}

static int listen_unix(const struct transport_address *address, uint32_t backlog)
{
    struct sockaddr_un local = unix_address(address);
    int fd = listen_at((const struct sockaddr *)&local, sizeof(local), backlog);

    if (fd < 0 && errno == EADDRINUSE) {
        if (!is_left_over(&local)) {
            errno = EADDRINUSE;
            return -1;
        }
        unlink(local.sun_path);
        fd = listen_at((const struct sockaddr *)&local, sizeof(local), backlog);
    }
    return fd;
}

/* The port stands at the same place for both families. */
static uint16_t port_of(int fd)
{
    struct sockaddr_in6 local = {.sin6_port = 0};
    socklen_t length = sizeof(local);

    return getsockname(fd, (struct sockaddr *)&local, &length) == 0 ? ntohs(local.sin6_port) : 0;
}

/* Any address of the host: through the IPv6 one, where there is one, IPv4 peers come in too. */
static int listen_anywhere(const struct addrinfo *found, uint32_t backlog)
{
    for (const struct addrinfo *at = found; at != NULL; at = at->ai_next) {
        if (at->ai_family == AF_INET6) {
            int fd = listen_at(at->ai_addr, at->ai_addrlen, backlog);

            if (fd >= 0) {
                return fd;
            }
        }
    }
    return listen_at(found->ai_addr, found->ai_addrlen, backlog);
}

int socket_listen(const struct transport_address *address, const char *name, uint32_t backlog,
                  uint16_t *port, struct multifd_error *err)
{
    struct addrinfo *found;
    int fd;

    *port = 0;
    if (address->kind == TRANSPORT_UNIX) {
        fd = listen_unix(address, backlog);
    } else {
        found = look_up(address, name, AI_PASSIVE, err);
        if (found == NULL) {
            return -1;
        }
        fd = address->host[0] == '\0' ? listen_anywhere(found, backlog)
                                      : listen_at(found->ai_addr, found->ai_addrlen, backlog);
        freeaddrinfo(found);
    }
    if (fd < 0) {
        return error_set_errno(err, MULTIFD_ERROR_ADDRESS, errno, "cannot listen on %s", name);
    }
    *port = address->kind == TRANSPORT_UNIX ? 0 : port_of(fd);
    return fd;
}

int socket_accept(int listener, char name[SOCKET_NAME_MAX])
{
    struct sockaddr_storage peer = {0};
    socklen_t length = sizeof(peer);
    int fd = accept4(listener, (struct sockaddr *)&peer, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd >= 0) {
        transport_address_name((const struct sockaddr *)&peer, name, SOCKET_NAME_MAX);
    }
    return fd;
}

/* ---- Connecting ---- */

/*
 * As connect(2), but a unix socket's listener that has no room for one more, which TCP keeps trying
 * by itself, is tried again until the deadline.
 */
static int connect_when_there_is_room(int fd, const struct sockaddr *address, socklen_t length,
                                      uint64_t deadline_ns, int wake_fd)
{
    struct pollfd wake = {.fd = wake_fd, .events = POLLIN};

    while (connect(fd, address, length) != 0) {
        if (errno != EAGAIN || clock_now_ns() >= deadline_ns ||
            poll(&wake, 1, NO_ROOM_SLEEP_MS) > 0) {
            return -1;
        }
    }
    return 0;
}

static int connect_to(const struct sockaddr *address, socklen_t length, const char *name,
                      uint64_t deadline_ns, int wake_fd, struct multifd_error *err)
{
    int fd = socket(address->sa_family, SOCKET_FLAGS, 0);
    socklen_t size = sizeof(int);
    int errnum = 0;

    if (fd < 0) {
        return error_set_errno(err, MULTIFD_ERROR_SYSTEM, errno, "socket");
    }
    if (connect_when_there_is_room(fd, address, length, deadline_ns, wake_fd) != 0) {
        errnum = errno;
        if (errnum == EINPROGRESS) {
            if (socket_wait(fd, POLLOUT, name, deadline_ns, wake_fd, err) != 0) {
                close(fd);
                return -1;
            }
            if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &errnum, &size) != 0) {
                errnum = errno;
            }
        }
    }
    if (errnum == 0) {
        return fd;
    }
    close(fd);
    return errnum == ECONNREFUSED
               ? error_set(err, MULTIFD_ERROR_CONNECT, "nobody listens at %s", name)
               : error_set_errno(err, MULTIFD_ERROR_CONNECT, errnum, "cannot reach %s", name);
}

int socket_connect(const struct transport_address *address, const char *name, uint64_t deadline_ns,
                   int wake_fd, struct multifd_error *err)
{
    struct addrinfo *found;
    int fd = -1;

    if (address->kind == TRANSPORT_UNIX) {
        struct sockaddr_un peer = unix_address(address);

        return connect_to((const struct sockaddr *)&peer, sizeof(peer), name, deadline_ns, wake_fd,
                          err);
    }
    found = look_up(address, name, 0, err);
    for (const struct addrinfo *at = found; at != NULL && fd < 0; at = at->ai_next) {
        fd = connect_to(at->ai_addr, at->ai_addrlen, name, deadline_ns, wake_fd, err);
    }
    if (found != NULL) {
        freeaddrinfo(found);
    }
    return fd;
}

static void set_tcp(int fd, int option, uint32_t value)
{
    int number = (int)value;

    (void)setsockopt(fd, IPPROTO_TCP, option, &number, sizeof(number));
}

/*
 * Best effort: a unix socket refuses all of it, and needs none. The kernel asks an idle peer for a
 * sign of life four times within the limit, but no more often than once a second.
 */
void socket_tune(int fd, uint32_t timeout_ms)
{
    uint32_t every_s = timeout_ms < 4000 ? 1 : timeout_ms / 4000;
    const int yes = 1;

    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof(yes));
    set_tcp(fd, TCP_NODELAY, 1);
    set_tcp(fd, TCP_USER_TIMEOUT, timeout_ms);
    set_tcp(fd, TCP_KEEPIDLE, every_s);
    set_tcp(fd, TCP_KEEPINTVL, every_s);
    set_tcp(fd, TCP_KEEPCNT, 3);
}

/* ---- Waiting ---- */

int socket_wait(int fd, short events, const char *name, uint64_t deadline_ns, int wake_fd,
                struct multifd_error *err)
{
    struct pollfd fds[] = {{.fd = fd, .events = events}, {.fd = wake_fd, .events = POLLIN}};
    int got;

    do {
        got = poll(fds, 2, clock_ms_until(deadline_ns));
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        return error_set_errno(err, MULTIFD_ERROR_SYSTEM, errno, "poll");
    }
    if (got == 0 || fds[1].revents != 0) {
        return error_set(err, MULTIFD_ERROR_TIMEOUT, "%s did not answer in time", name);
    }
    return 0;
}

int socket_ended(int errnum, const char *name, struct multifd_error *err)
{
    switch (errnum) {
    case 0:
    case EPIPE:
    case ECONNRESET:
        return error_set(err, MULTIFD_ERROR_DISCONNECTED, "%s closed the connection", name);
    case ETIMEDOUT:
        return error_set(err, MULTIFD_ERROR_TIMEOUT, "%s did not answer in time", name);
    default:
        return error_set_errno(err, MULTIFD_ERROR_DISCONNECTED, errnum,
                               "the connection to %s broke", name);
    }
}

int socket_send_all(int fd, const void *bytes, size_t length, const char *name,
                    uint64_t deadline_ns, int wake_fd, struct multifd_error *err)
{
    const uint8_t *from = bytes;

    while (length != 0) {
        ssize_t sent = send(fd, from, length, MSG_NOSIGNAL);

        if (sent > 0) {
            from += sent;
            length -= (size_t)sent;
        } else if (errno == EAGAIN) {
            if (socket_wait(fd, POLLOUT, name, deadline_ns, wake_fd, err) != 0) {
                return -1;
            }
        } else if (errno != EINTR) {
            return socket_ended(errno, name, err);
        }
    }
    return 0;
}

int socket_receive_all(int fd, void *bytes, size_t length, const char *name, uint64_t deadline_ns,
                       int wake_fd, struct multifd_error *err)
{
    uint8_t *to = bytes;

    while (length != 0) {
        ssize_t got = recv(fd, to, length, 0);

        if (got > 0) {
            to += got;
            length -= (size_t)got;
        } else if (got == 0) {
            return socket_ended(0, name, err);
        } else if (errno == EAGAIN) {
            if (socket_wait(fd, POLLIN, name, deadline_ns, wake_fd, err) != 0) {
                return -1;
            }
        } else if (errno != EINTR) {
            return socket_ended(errno, name, err);
        }
    }
    return 0;
}
