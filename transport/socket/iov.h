/* SPDX-License-Identifier: MIT */
/* iov - moving along a vector of buffers that a system call has used in part. */
#ifndef MULTIFD_SOCKET_IOV_H
#define MULTIFD_SOCKET_IOV_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* Moves *iov and *num past `bytes` bytes, which is no more than there are. */
static inline void socket_iov_advance(struct iovec **iov, uint32_t *num, size_t bytes)
{
    while (*num != 0 && bytes >= (*iov)->iov_len) {
        bytes -= (*iov)->iov_len;
        ++*iov;
        --*num;
    }
    if (bytes != 0) {
        (*iov)->iov_base = (uint8_t *)(*iov)->iov_base + bytes;
        (*iov)->iov_len -= bytes;
    }
}

#endif
