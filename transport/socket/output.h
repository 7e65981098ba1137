/* SPDX-License-Identifier: MIT */
/*
 * output - the sending half of a channel over a socket: one message at a time with the writes
 * behind it, all of them handed to the kernel in one call from where they are.
 *
 * What the kernel has is copied; its buffer is what keeps several packets in flight. A connection
 * that breaks while something is sent is not reported here: the peer's last words may still lie in
 * the receive buffer, and behind them the receiving half comes upon the end.
 */
#ifndef MULTIFD_SOCKET_OUTPUT_H
#define MULTIFD_SOCKET_OUTPUT_H

#include "transport/transport.h"

struct socket_output {
    int fd;
    enum transport_framing framing;
    uint8_t *buffer;   /* the message's length, if it is framed, and the message */
    struct iovec *iov; /* what is being sent */
    uint32_t iov_first;
    uint32_t iov_end; /* equal to iov_first: nothing */
    int errnum;       /* why nothing can be sent any more, 0 while it can */
};

/* Prepares an output that was zeroed. 0, or -1 with *err and nothing made. */
int socket_output_init(struct socket_output *output, int fd,
                       const struct transport_profile *profile, struct multifd_error *err);

void socket_output_fini(struct socket_output *output);

/* Where the next message is to be composed; NULL while one is being sent. */
uint8_t *socket_output_buffer(struct socket_output *output);

/* Sends the message in the buffer, and the writes behind it. */
void socket_output_send(struct socket_output *output, const struct transport_write *writes,
                        uint32_t writes_num, uint32_t length);

/* Goes on with what the kernel had no room for. */
void socket_output_flush(struct socket_output *output);

/* Whether the kernel has all of it. */
bool socket_output_is_idle(const struct socket_output *output);

#endif
