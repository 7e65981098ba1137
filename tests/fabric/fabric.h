/*
 * SPDX-License-Identifier: MIT
 *
 * Control of the fake RC fabric: libibverbs and librdmacm in one process, without a device.
 *
 * A test links the library `fabric` instead of -libverbs -lrdmacm. Everything the code under test
 * does through verbs.h and rdma_cma.h then happens here: bytes really move between queue pairs, on
 * one wire thread per queue pair. The functions below may be called from any thread, except
 * fabric_reset(), the fabric_on_ functions and the fault setters, which belong before the session
 * starts.
 *
 * Misuse that a real device would answer with a hang or with silent damage (a completion queue
 * overflow, destroying something whose events were never acknowledged) prints what happened and
 * aborts.
 */
#ifndef FABRIC_H
#define FABRIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <infiniband/verbs.h>
#include <rdma/rdma_cma.h>

struct fabric_options {
    uint64_t seed; /* of the random delays */
    int devices;   /* 0: a host without RDMA devices */
    int max_qp_wr;
    int max_sge;
    int max_cqe;
    uint32_t max_inline;  /* bytes */
    uint32_t max_msg_sz;  /* bytes */
    uint64_t max_mr_size; /* bytes */
    uint64_t memlock;     /* bytes of all regions together, 0: no limit; more is ENOMEM */
    enum ibv_mtu active_mtu;
    unsigned int max_delay_us;     /* of a work request on the wire, 0: none */
    unsigned int retry_timeout_ms; /* how long an unanswered request is repeated, and a lost
                                      connection message too */
    bool odp;                      /* extended context that reports on-demand paging */
    /*
     * As on an IB or RoCE device when the queue pair is driven by hand (id->qp is NULL):
     * rdma_disconnect and the end of an id leave the queue pairs alone, and ibv_destroy_qp says
     * nothing to the peer. Off, the default: both queue pairs go to the error state with the
     * connection, and destroying one disconnects.
     */
    bool strict_cm;
};

/* The defaults: one generous device, no delays. */
void fabric_options_init(struct fabric_options *options);

/*
 * A new start: options (NULL: defaults), no faults, no cut, no hook, counters at 0. Objects that
 * are still alive stay usable but are no longer counted, so that one failed test does not spoil the
 * next.
 */
void fabric_reset(const struct fabric_options *options);

/* ---- failing calls ---- */

/*
 * The n-th call (1: the next) from now fails in its own convention with errno_, without having had
 * any effect. Counted are all calls that can fail except clean-up. Polls and event reads count only
 * when they would return something, so that the count does not depend on how often a loop turns.
 */
void fabric_fail_call(unsigned long n, int errno_);
/* Likewise among the clean-up calls: ibv_de*, ibv_destroy_*, rdma_destroy_id, rdma_disconnect. An
 * injected failure of a clean-up call is reported although the object is gone, so that live objects
 * can still be expected to be 0. */
void fabric_fail_cleanup_call(unsigned long n, int errno_);
/* Only calls of this function count, of either kind. Several may be set at once (8 at most). */
void fabric_fail_call_named(const char *name, unsigned long n, int errno_);

unsigned long fabric_calls(void); /* since the reset */
unsigned long fabric_cleanup_calls(void);
unsigned long fabric_calls_named(const char *name);
unsigned long fabric_failed_calls(void); /* how many faults of calls have struck */
/* The first call that was failed, a clean-up call only if no other was; NULL when none was. */
const char *fabric_failed_call_name(void);

/* ---- failing completions and connection events ---- */

/*
 * The n-th send work request executed from now, on any queue pair, completes with this status even
 * if unsignalled, moves nothing, and its queue pair goes to the error state (the peer's too for the
 * remote errors).
 */
void fabric_fail_completion(unsigned long n, enum ibv_wc_status status);
unsigned long fabric_completions(void); /* executed send work requests since the reset */
bool fabric_completion_failed(void);    /* whether the fault has struck */

#define FABRIC_EVENT_LOST (-1)
/* The n-th event of type `from` becomes `to` with this status (private data gone), or is lost. */
void fabric_fail_event(enum rdma_cm_event_type from, unsigned long n, int to, int status);

/* ---- the wire ---- */

/*
 * Cut: nothing passes. Requests wait and, when the wire is not mended within retry_timeout_ms,
 * complete with IBV_WC_RETRY_EXC_ERR. Connection messages are lost: rdma_connect and rdma_accept
 * end as UNREACHABLE at the active side after the same time, a disconnect is seen by its caller
 * only.
 */
void fabric_cut(bool cut);
/* Likewise for what this one queue pair sends; connection messages are not touched. */
void fabric_cut_qp(uint32_t qp_num, bool cut);

/* Times a receiver had no receive posted: with correct flow control it stays 0. */
unsigned long fabric_rnr_naks(void);
/* Payload bytes that arrived, by RDMA WRITE and by SEND. */
uint64_t fabric_bytes_written(void);
uint64_t fabric_bytes_sent(void);

struct fabric_message {
    uint32_t qp_num; /* of the sender */
    uint32_t dest_qp_num;
    uint8_t *bytes; /* may be changed */
    size_t length;  /* may be changed, up to capacity */
    size_t capacity;
    bool drop; /* set: the sender sees success, the receiver nothing */
};

/* Called on wire threads for each SEND before it is delivered, once per work request. NULL: none.
 */
typedef void fabric_send_hook(void *opaque, struct fabric_message *message);
void fabric_on_send(fabric_send_hook *hook, void *opaque);

struct fabric_write {
    uint32_t qp_num; /* of the writer */
    uint64_t address;
    const uint8_t *bytes; /* as they were read from the writer's memory */
    size_t length;
    bool delivered; /* called again, when they are in place */
};

/*
 * Called on wire threads for each RDMA WRITE with bytes, between the reading of its source and its
 * delivery, and once more after that. A hook that waits makes the WRITE late. NULL: none.
 */
typedef void fabric_write_hook(void *opaque, const struct fabric_write *write);
void fabric_on_write(fabric_write_hook *hook, void *opaque);

/* ---- live objects ---- */

enum fabric_kind {
    FABRIC_EVENT_CHANNEL,
    FABRIC_ID,
    FABRIC_CM_EVENT, /* taken, not yet acknowledged */
    FABRIC_DEVICE_LIST,
    FABRIC_CONTEXT, /* of ibv_open_device */
    FABRIC_PD,
    FABRIC_MR,
    FABRIC_COMP_CHANNEL,
    FABRIC_CQ,
    FABRIC_CQ_EVENT, /* taken, not yet acknowledged */
    FABRIC_QP,
    FABRIC_KINDS
};

unsigned long fabric_live(enum fabric_kind kind);
unsigned long fabric_live_objects(void);
void fabric_print_live_objects(void); /* to stderr, one line per kind that is not 0 */

#endif
