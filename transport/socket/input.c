/* SPDX-License-Identifier: MIT */
#include "transport/socket/input.h"

#include "core/base/error.h"
#include "transport/socket/iov.h"
#include "transport/socket/prefix.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/socket.h>

int socket_input_init(struct socket_input *input, int fd, const struct transport_profile *profile,
                      struct multifd_error *err)
{
    input->fd = fd;
    input->framing = profile->framing;
    input->size = profile->receive_size;
    input->buffer = malloc(SOCKET_PREFIX + (size_t)profile->receive_size);
    return input->buffer == NULL ? error_set_nomem(err) : 0;
}

void socket_input_fini(struct socket_input *input)
{
    free(input->buffer);
    input->buffer = NULL;
}

/* How many bytes the buffer must hold before anything more is known; 0: the length is wrong. */
static uint32_t wanted(const struct socket_input *input)
{
    uint32_t length;

    if (input->framing != TRANSPORT_FRAMED) {
        return input->size;
    }
    if (input->have < SOCKET_PREFIX) {
        return SOCKET_PREFIX;
    }
    length = socket_prefix_get(input->buffer, input->size);
    return length == 0 ? 0 : SOCKET_PREFIX + length;
}

static bool is_complete(const struct socket_input *input, uint32_t want)
{
    if (input->framing == TRANSPORT_BARE) {
        return input->have != 0;
    }
    return input->have == want && want > socket_prefix_bytes(input->framing);
}

/* After a call that got nothing: whether to go on trying (1), to wait (0), or the end (-1). */
static int look_at_errno(struct socket_input *input, ssize_t got)
{
    if (got < 0 && errno == EINTR) {
        return 1;
    }
    if (got < 0 && errno == EAGAIN) {
        return 0;
    }
    input->errnum = got < 0 ? errno : 0;
    return -1;
}

enum socket_input_result socket_input_progress(struct socket_input *input)
{
    while (input->state == SOCKET_INPUT_WANTS) {
        uint32_t want = wanted(input);
        ssize_t got;
        int next;

        if (want == 0) {
            return SOCKET_INPUT_WRONG;
        }
        got = recv(input->fd, input->buffer + input->have, want - input->have, 0);
        if (got <= 0) {
            next = look_at_errno(input, got);
            if (next > 0) {
                continue;
            }
            return next == 0 ? SOCKET_INPUT_FINE : SOCKET_INPUT_ENDED;
        }
        input->have += (uint32_t)got;
        if (is_complete(input, want)) {
            input->state = SOCKET_INPUT_READY;
        }
    }
    return SOCKET_INPUT_FINE;
}

bool socket_input_take(struct socket_input *input, struct transport_message *message)
{
    uint32_t prefix = socket_prefix_bytes(input->framing);

    if (input->state != SOCKET_INPUT_READY) {
        return false;
    }
    message->bytes = input->buffer + prefix;
    message->length = input->have - prefix;
    input->state = SOCKET_INPUT_TAKEN;
    return true;
}

enum socket_input_result socket_input_read(struct socket_input *input, struct iovec **iov,
                                           uint32_t *iovs_num)
{
    while (*iovs_num != 0) {
        ssize_t got = readv(input->fd, *iov, *iovs_num < IOV_MAX ? (int)*iovs_num : IOV_MAX);
        int next;

        if (got > 0) {
            socket_iov_advance(iov, iovs_num, (size_t)got);
            continue;
        }
        next = look_at_errno(input, got);
        if (next <= 0) {
            input->state = SOCKET_INPUT_READS;
            return next == 0 ? SOCKET_INPUT_FINE : SOCKET_INPUT_ENDED;
        }
    }
    input->state = SOCKET_INPUT_TAKEN;
    return SOCKET_INPUT_FINE;
}

void socket_input_release(struct socket_input *input)
{
    input->have = 0;
    input->state = SOCKET_INPUT_WANTS;
}

bool socket_input_is_waiting(const struct socket_input *input)
{
    return input->state == SOCKET_INPUT_WANTS || input->state == SOCKET_INPUT_READS;
}
