/* SPDX-License-Identifier: MIT */
/*
 * work_request - what a wr_id says: the kind of work request and the slot or buffer it belongs to.
 */
#ifndef MULTIFD_VERBS_WORK_REQUEST_H
#define MULTIFD_VERBS_WORK_REQUEST_H

#include <stdint.h>

enum work_request_kind {
    WORK_WRITE,     /* an RDMA WRITE that belongs to the message in a slot; unsignalled */
    WORK_SEND,      /* the message in a slot */
    WORK_CREDIT,    /* a SEND that returns credits */
    WORK_KEEPALIVE, /* a zero-length RDMA WRITE */
    WORK_RECEIVE,   /* a receive into a buffer */
};

static inline uint64_t work_request_id(enum work_request_kind kind, uint32_t index)
{
    return (uint64_t)kind << 32 | index;
}

static inline enum work_request_kind work_request_kind(uint64_t wr_id)
{
    return (enum work_request_kind)(wr_id >> 32);
}

static inline uint32_t work_request_index(uint64_t wr_id)
{
    return (uint32_t)wr_id;
}

#endif
