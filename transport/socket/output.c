/* SPDX-License-Identifier: MIT */
#include "transport/socket/output.h"

#include "core/base/error.h"
#include "transport/socket/iov.h"
#include "transport/socket/prefix.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/socket.h>

int socket_output_init(struct socket_output *output, int fd,
                       const struct transport_profile *profile, struct multifd_error *err)
{
    output->fd = fd;
    output->framing = profile->framing;
    output->buffer = malloc(SOCKET_PREFIX + (size_t)profile->send_size);
    output->iov = calloc(profile->writes + 1, sizeof(*output->iov));
    if (output->buffer == NULL || output->iov == NULL) {
        socket_output_fini(output);
        return error_set_nomem(err);
    }
    return 0;
}

void socket_output_fini(struct socket_output *output)
{
    free(output->buffer);
    free(output->iov);
    output->buffer = NULL;
    output->iov = NULL;
}

uint8_t *socket_output_buffer(struct socket_output *output)
{
    return socket_output_is_idle(output) ? output->buffer + SOCKET_PREFIX : NULL;
}

void socket_output_send(struct socket_output *output, const struct transport_write *writes,
                        uint32_t writes_num, uint32_t length)
{
    uint32_t prefix = socket_prefix_bytes(output->framing);
    struct iovec *iov = output->iov;

    socket_prefix_put(output->buffer, length); /* sent only where messages have one */
    iov[0] = (struct iovec){.iov_base = output->buffer + SOCKET_PREFIX - prefix,
                            .iov_len = prefix + length};
    for (uint32_t i = 0; i < writes_num; i++) {
        iov[i + 1] = (struct iovec){.iov_base = (void *)(uintptr_t)writes[i].local_address,
                                    .iov_len = writes[i].length};
    }
    output->iov_first = 0;
    output->iov_end = writes_num + 1;
    socket_output_flush(output);
}

/*
 * The first cause stays: what is sent later fails because of it. Whatever it is, the connection is
 * of no use any more, and the receiving half has to come upon its end.
 */
static void give_up(struct socket_output *output, int errnum)
{
    if (output->errnum == 0) {
        output->errnum = errnum;
    }
    output->iov_first = output->iov_end;
    (void)shutdown(output->fd, SHUT_RDWR);
}

void socket_output_flush(struct socket_output *output)
{
    while (!socket_output_is_idle(output)) {
        struct iovec *iov = output->iov + output->iov_first;
        uint32_t num = output->iov_end - output->iov_first;
        struct msghdr message = {.msg_iov = iov, .msg_iovlen = num < IOV_MAX ? num : IOV_MAX};
        ssize_t sent = sendmsg(output->fd, &message, MSG_NOSIGNAL);

        if (sent >= 0) {
            socket_iov_advance(&iov, &num, (size_t)sent);
            output->iov_first = output->iov_end - num;
        } else if (errno == EAGAIN) {
            return;
        } else if (errno != EINTR) {
            give_up(output, errno);
        }
    }
}

bool socket_output_is_idle(const struct socket_output *output)
{
    return output->iov_first == output->iov_end;
}
