/* SPDX-License-Identifier: MIT */
#include "core/bridge/link.h"

#include "core/base/error.h"
#include "core/bridge/bridge.h"

#include <errno.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static bool wants_completions(void *link)
{
    (void)link;
    return false; /* without room the channel asks for them by itself */
}

static void link_main(void *arg)
{
    struct bridge_link *link = arg;
    const struct channel_loop loop = {
        .session = &link->bridge->session,
        .channel = link->channel,
        .waker = &link->waker,
        .stop = &link->stop,
        .step = link->ops->step,
        .wants_completions = wants_completions,
        .not_before = link->ops->not_before,
        .also_poll = link->ops->also_poll,
        .owner = link,
    };
    struct multifd_error err;

    if (channel_loop_run(&loop, &err) != 0) {
        if (link->id != BRIDGE_MAIN) {
            error_set_channel(&err, link->id);
        }
        session_fail(&link->bridge->session, &err);
    }
}

int bridge_link_init(struct bridge_link *link, struct multifd_bridge *bridge,
                     const struct bridge_link_ops *ops, int id, int fd,
                     struct transport_channel *channel, struct multifd_error *err)
{
    if (waker_init(&link->waker, err) != 0) {
        return -1;
    }
    link->bridge = bridge;
    link->ops = ops;
    link->id = id;
    link->fd = fd;
    link->channel = channel;
    return 0;
}

int bridge_link_start(struct bridge_link *link, struct multifd_error *err)
{
    session_add_waker(&link->bridge->session, &link->waker);
    if (worker_start(&link->worker, link->bridge->session.workers, link_main, link, err) != 0) {
        session_remove_waker(&link->bridge->session, &link->waker);
        return -1;
    }
    link->running = true;
    return 0;
}

void bridge_link_stop(struct bridge_link *link)
{
    if (!link->running) {
        return;
    }
    atomic_store(&link->stop, true);
    waker_wake(&link->waker);
    worker_join(&link->worker);
    session_remove_waker(&link->bridge->session, &link->waker);
    link->running = false;
}

void bridge_link_close_socket(struct bridge_link *link)
{
    if (link->fd >= 0) {
        close(link->fd);
        link->fd = -1;
    }
}

void bridge_link_disconnect(struct bridge_link *link)
{
    link->channel->ops->free(link->channel);
    link->channel = NULL;
    link->ops->release(link);
    waker_fini(&link->waker);
}

static int closed(struct multifd_error *err)
{
    return error_set(err, MULTIFD_ERROR_DISCONNECTED, "QEMU closed the connection");
}

int bridge_link_write(struct bridge_link *link, const uint8_t **bytes, uint32_t *left, bool *busy,
                      struct multifd_error *err)
{
    while (*left != 0) {
        ssize_t sent = send(link->fd, *bytes, *left, MSG_NOSIGNAL);

        if (sent > 0) {
            *bytes += sent;
            *left -= (uint32_t)sent;
            *busy = true;
        } else if (errno == EAGAIN) {
            return 0;
        } else if (errno == EPIPE || errno == ECONNRESET) {
            return closed(err);
        } else if (errno != EINTR) {
            return error_set_errno(err, MULTIFD_ERROR_SYSTEM, errno, "send(QEMU)");
        }
    }
    return 0;
}

int bridge_link_read(struct bridge_link *link, void *to, uint32_t room, struct multifd_error *err)
{
    for (;;) {
        ssize_t got = recv(link->fd, to, room, 0);

        if (got > 0) {
            return (int)got;
        }
        if (got == 0 || errno == ECONNRESET) {
            return closed(err);
        }
        if (errno == EAGAIN) {
            return 0;
        }
        if (errno != EINTR) {
            return error_set_errno(err, MULTIFD_ERROR_SYSTEM, errno, "recv(QEMU)");
        }
    }
}

int bridge_link_unread(const struct bridge_link *link, struct multifd_error *err)
{
    int unread = 0;

    if (ioctl(link->fd, SIOCOUTQ, &unread) != 0) {
        return error_set_errno(err, MULTIFD_ERROR_SYSTEM, errno, "ioctl(SIOCOUTQ)");
    }
    return unread;
}
