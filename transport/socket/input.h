/* SPDX-License-Identifier: MIT */
/*
 * input - the receiving half of a channel over a socket: one message at a time, and the bytes
 * behind it straight to where they belong.
 */
#ifndef MULTIFD_SOCKET_INPUT_H
#define MULTIFD_SOCKET_INPUT_H

#include "transport/transport.h"

enum socket_input_state {
    SOCKET_INPUT_WANTS, /* a message's bytes */
    SOCKET_INPUT_READY, /* a message waits to be taken */
    SOCKET_INPUT_TAKEN, /* until it is given back */
    SOCKET_INPUT_READS, /* taken, and waiting for the bytes behind it */
};

struct socket_input {
    int fd;
    enum transport_framing framing;
    enum socket_input_state state;
    uint8_t *buffer; /* the message's length, if it is framed, and the message */
    uint32_t size;   /* bytes of the longest message */
    uint32_t have;   /* bytes in the buffer */
    int errnum;      /* why the connection has ended, 0: the peer closed it */
};

/* Prepares an input that was zeroed. 0, or -1 with *err and nothing made. */
int socket_input_init(struct socket_input *input, int fd, const struct transport_profile *profile,
                      struct multifd_error *err);

void socket_input_fini(struct socket_input *input);

enum socket_input_result {
    SOCKET_INPUT_FINE,
    SOCKET_INPUT_ENDED, /* the connection has; input->errnum says how */
    SOCKET_INPUT_WRONG, /* a length that no message has */
};

/* Takes in what has arrived of a message. */
enum socket_input_result socket_input_progress(struct socket_input *input);

/* Takes the message if there is one. */
bool socket_input_take(struct socket_input *input, struct transport_message *message);

/* As the channel's read. */
enum socket_input_result socket_input_read(struct socket_input *input, struct iovec **iov,
                                           uint32_t *iovs_num);

/* Gives the message back. */
void socket_input_release(struct socket_input *input);

/* Whether bytes that arrive now would be read. */
bool socket_input_is_waiting(const struct socket_input *input);

#endif
