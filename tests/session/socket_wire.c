/* SPDX-License-Identifier: MIT */
#include "socket_wire.h"

#include "core/base/bytes.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>

#define PACKET_MAGIC 0x11223344u

enum { PREFIX = 4, CAPACITY = 16384 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static fabric_send_hook *on_send;
static void *on_send_opaque;

ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);

void socket_wire_on_send(fabric_send_hook *hook, void *opaque)
{
    pthread_mutex_lock(&lock);
    on_send = hook;
    on_send_opaque = opaque;
    pthread_mutex_unlock(&lock);
}

/* Until all of it is sent: what comes next is another message then. */
static int send_all(int fd, const void *bytes, size_t length)
{
    const uint8_t *at = bytes;

    while (length != 0) {
        ssize_t sent = send(fd, at, length, MSG_NOSIGNAL);

        if (sent > 0) {
            at += sent;
            length -= (size_t)sent;
        } else if (errno == EAGAIN) {
            struct pollfd room = {.fd = fd, .events = POLLOUT};

            poll(&room, 1, 100);
        } else {
            return -1;
        }
    }
    return 0;
}

/* The first buffer holds a control message behind its length, or a header as it is. */
static int send_first(int fd, const struct iovec *first, fabric_send_hook *hook, void *opaque,
                      bool *drop)
{
    uint8_t bytes[CAPACITY];
    size_t prefix = get_be32(first->iov_base) == PACKET_MAGIC ? 0 : PREFIX;
    struct fabric_message message = {.qp_num = (uint32_t)fd,
                                     .bytes = bytes + prefix,
                                     .length = first->iov_len - prefix,
                                     .capacity = sizeof(bytes) - PREFIX};

    memcpy(bytes, first->iov_base, first->iov_len);
    hook(opaque, &message);
    *drop = message.drop;
    if (prefix != 0) {
        put_be32(bytes, (uint32_t)message.length);
    }
    return message.drop ? 0 : send_all(fd, bytes, prefix + message.length);
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
    fabric_send_hook *hook;
    size_t length = 0;
    bool drop = false;
    void *opaque;

    pthread_mutex_lock(&lock);
    hook = on_send;
    opaque = on_send_opaque;
    pthread_mutex_unlock(&lock);
    if (hook == NULL) {
        return __real_sendmsg(fd, message, flags);
    }
    if (send_first(fd, message->msg_iov, hook, opaque, &drop) != 0) {
        return -1;
    }
    for (size_t i = 0; i < message->msg_iovlen; i++) {
        const struct iovec *part = &message->msg_iov[i];

        length += part->iov_len;
        if (i != 0 && !drop && send_all(fd, part->iov_base, part->iov_len) != 0) {
            return -1;
        }
    }
    return (ssize_t)length;
}
