/* SPDX-License-Identifier: MIT */
#include "transport/socket/channel.h"

#include "core/base/error.h"
#include "transport/socket/connection.h"
#include "transport/socket/input.h"
#include "transport/socket/output.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* How much of what has arrived is read before a connection is closed: in units of 4 KiB. */
#define UNREAD_MAX 64

struct socket_channel {
    struct transport_channel base;
    int fd;
    struct socket_input input;
    struct socket_output output;
    char name[SOCKET_NAME_MAX];
};

static struct socket_channel *of(struct transport_channel *base)
{
    return (struct socket_channel *)base;
}

static const struct socket_channel *of_const(const struct transport_channel *base)
{
    return (const struct socket_channel *)base;
}

/*
 * The kernel tells why a connection has ended only once, and it may have told the sending half: a
 * peer that has been silent then looks here as if it had closed the connection.
 */
static int check(const struct socket_channel *channel, enum socket_input_result result,
                 struct multifd_error *err)
{
    int errnum = channel->input.errnum;

    switch (result) {
    case SOCKET_INPUT_FINE:
        return 0;
    case SOCKET_INPUT_WRONG:
        return error_set(err, MULTIFD_ERROR_PROTOCOL, "%s sent a message of an impossible length",
                         channel->name);
    case SOCKET_INPUT_ENDED:
        break;
    }
    return socket_ended(errnum == 0 ? channel->output.errnum : errnum, channel->name, err);
}

static int channel_progress(struct transport_channel *base, struct multifd_error *err)
{
    struct socket_channel *channel = of(base);

    socket_output_flush(&channel->output);
    return check(channel, socket_input_progress(&channel->input), err);
}

static uint8_t *channel_send_buffer(struct transport_channel *base, uint32_t writes)
{
    (void)writes; /* room for all that the profile allows */
    return socket_output_buffer(&of(base)->output);
}

static bool channel_lacks_credit(const struct transport_channel *base)
{
    (void)base;
    return false; /* what the peer does not take fills the kernel's buffer on this side too */
}

static int channel_send(struct transport_channel *base, const struct transport_write *writes,
                        uint32_t writes_num, uint32_t length, bool more, struct multifd_error *err)
{
    (void)more; /* each message is large, or waited for */
    (void)err;  /* see output.h */
    socket_output_send(&of(base)->output, writes, writes_num, length);
    return 0;
}

static bool channel_receive(struct transport_channel *base, struct transport_message *message)
{
    return socket_input_take(&of(base)->input, message);
}

static int channel_read(struct transport_channel *base, struct iovec **iov, uint32_t *iovs_num,
                        struct multifd_error *err)
{
    struct socket_channel *channel = of(base);

    return check(channel, socket_input_read(&channel->input, iov, iovs_num), err);
}

/* Looks for the next message at once: a full buffer is emptied without coming back for each. */
static int channel_release(struct transport_channel *base, struct multifd_error *err)
{
    struct socket_channel *channel = of(base);

    socket_input_release(&channel->input);
    return check(channel, socket_input_progress(&channel->input), err);
}

static bool channel_drained(const struct transport_channel *base)
{
    return socket_output_is_idle(&of_const(base)->output);
}

/* TCP counts what the peer's kernel has not acknowledged, a unix socket what nobody has read. */
static bool channel_delivered(const struct transport_channel *base)
{
    const struct socket_channel *channel = of_const(base);
    int unsent = 0;

    return socket_output_is_idle(&channel->output) && ioctl(channel->fd, SIOCOUTQ, &unsent) == 0 &&
           unsent == 0;
}

static int channel_keepalive(struct transport_channel *base, struct multifd_error *err)
{
    (void)base; /* the kernel does it: see socket_tune */
    (void)err;
    return 0;
}

static int channel_arm(struct transport_channel *base, bool completions, struct multifd_error *err)
{
    (void)base; /* what has come stays readable until it is read */
    (void)completions;
    (void)err;
    return 0;
}

/*
 * Only what would be read or written may wake: poll(2) reports a closed connection at once, and
 * would do so for as long as a message waits that nobody takes.
 */
static uint32_t channel_pollfds(const struct transport_channel *base, struct pollfd *fds)
{
    const struct socket_channel *channel = of_const(base);
    int events = (socket_input_is_waiting(&channel->input) ? POLLIN : 0) |
                 (socket_output_is_idle(&channel->output) ? 0 : POLLOUT);

    fds[0] = (struct pollfd){.fd = events == 0 ? -1 : channel->fd, .events = (short)events};
    return 1;
}

static int channel_wake(struct transport_channel *base, const struct pollfd *fds,
                        struct multifd_error *err)
{
    (void)base;
    (void)fds;
    (void)err;
    return 0;
}

/*
 * What has been sent still goes out, and the end of the connection behind it. What has arrived and
 * was not read would make the kernel break the connection instead.
 */
static void channel_free(struct transport_channel *base)
{
    struct socket_channel *channel = of(base);
    uint8_t unread[4096];

    if (shutdown(channel->fd, SHUT_WR) == 0) {
        for (int i = 0; i < UNREAD_MAX && recv(channel->fd, unread, sizeof(unread), 0) > 0; i++) {
        }
    }
    close(channel->fd);
    socket_input_fini(&channel->input);
    socket_output_fini(&channel->output);
    free(channel);
}

static const struct transport_channel_ops channel_ops = {
    .progress = channel_progress,
    .send_buffer = channel_send_buffer,
    .lacks_credit = channel_lacks_credit,
    .send = channel_send,
    .receive = channel_receive,
    .read = channel_read,
    .release = channel_release,
    .drained = channel_drained,
    .delivered = channel_delivered,
    .keepalive = channel_keepalive,
    .arm = channel_arm,
    .pollfds = channel_pollfds,
    .wake = channel_wake,
    .free = channel_free,
};

struct transport_channel *socket_channel_new(int fd, const char *name,
                                             const struct transport_profile *profile,
                                             struct multifd_error *err)
{
    struct socket_channel *channel = calloc(1, sizeof(*channel));

    if (channel == NULL) {
        error_set_nomem(err);
        goto close_fd;
    }
    channel->base.ops = &channel_ops;
    channel->fd = fd;
    snprintf(channel->name, sizeof(channel->name), "%s", name);
    if (socket_input_init(&channel->input, fd, profile, err) != 0) {
        goto free_channel;
    }
    if (socket_output_init(&channel->output, fd, profile, err) != 0) {
        goto fini_input;
    }
    return &channel->base;

fini_input:
    socket_input_fini(&channel->input);
free_channel:
    free(channel);
close_fd:
    close(fd);
    return NULL;
}
