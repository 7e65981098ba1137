/* SPDX-License-Identifier: MIT */
#include "core/bridge/sink.h"

#include "core/base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* A packet of QEMU's with all of its pages. What the system's limit denies costs more calls. */
#define PIPE_BYTES (512 << 10)

int bridge_sink_init(struct bridge_sink *sink, struct multifd_error *err)
{
    int ends[2];

    *sink = BRIDGE_NO_SINK;
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
        return error_set_errno(err, MULTIFD_ERROR_SYSTEM, errno, "pipe");
    }
    sink->in = ends[1];
    sink->out = ends[0];
    (void)fcntl(sink->in, F_SETPIPE_SZ, PIPE_BYTES);
    sink->null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (sink->null < 0) {
        error_set_errno(err, MULTIFD_ERROR_SYSTEM, errno, "open(/dev/null)");
        bridge_sink_fini(sink);
        return -1;
    }
    return 0;
}

static void close_one(int fd)
{
    if (fd >= 0) {
        close(fd);
    }
}

void bridge_sink_fini(struct bridge_sink *sink)
{
    close_one(sink->null);
    close_one(sink->out);
    close_one(sink->in);
    *sink = BRIDGE_NO_SINK;
}

static int failed(int error, struct multifd_error *err)
{
    if (error == ECONNRESET) {
        return error_set(err, MULTIFD_ERROR_DISCONNECTED, "QEMU closed the connection");
    }
    return error_set_errno(err, MULTIFD_ERROR_SYSTEM, error, "splice(QEMU)");
}

/* Empties the pipe, which holds that many bytes. */
static int empty(const struct bridge_sink *sink, size_t left, struct multifd_error *err)
{
    while (left != 0) {
        ssize_t gone = splice(sink->out, NULL, sink->null, NULL, left, SPLICE_F_MOVE);

        if (gone > 0) {
            left -= (size_t)gone;
        } else if (gone == 0 || errno != EINTR) {
            return failed(gone == 0 ? EPIPE : errno, err);
        }
    }
    return 0;
}

int bridge_sink_take(const struct bridge_sink *sink, int socket, uint32_t most,
                     struct multifd_error *err)
{
    for (;;) {
        ssize_t got = splice(socket, NULL, sink->in, NULL, most, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

        if (got > 0) {
            return empty(sink, (size_t)got, err) != 0 ? -1 : (int)got;
        }
        if (got == 0) {
            return failed(ECONNRESET, err);
        }
        if (errno == EAGAIN) {
            return 0;
        }
        if (errno != EINTR) {
            return failed(errno, err);
        }
    }
}
