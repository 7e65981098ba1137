/* SPDX-License-Identifier: MIT */
/*
 * session - what both sides of a migration share: options, endpoint, RAM blocks, the first error,
 * and waking whoever waits.
 *
 * Failing. Any thread calls session_fail; the first error wins and wakes everyone. An error that
 * says no more than "the connection ended" is held back for a moment, since the peer's own reason
 * may still be on its way on the control connection; whoever watches that connection calls
 * session_settle.
 */
#ifndef MULTIFD_SESSION_H
#define MULTIFD_SESSION_H

#include <multifd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "core/base/log.h"
#include "core/base/waker.h"
#include "core/base/worker.h"
#include "core/greeting.h"
#include "core/options.h"
#include "core/ram_block.h"
#include "core/statistics.h"
#include "transport/transport.h"

struct session {
    struct multifd_options options;
    struct transport_address address;
    struct transport_endpoint *endpoint;
    struct ram_table blocks;
    const char *peer;    /* "source" or "destination", for errors */
    struct waker main;   /* of the thread that calls the public functions */
    atomic_uint awaited; /* what that thread sleeps for: SESSION_AWAITS_... */
    int failed_fd;       /* an eventfd, readable from the session's failure on */
    struct session_times times;
    bool one_processor; /* whoever runs keeps all others from running */
    uint64_t poll_ns;   /* polling before sleeping; 0 where the peer needs this very processor */

    struct worker_group *workers; /* every thread that the session starts */

    atomic_int state; /* enum session_state; sequentially consistent, see waker.h */
    pthread_mutex_t lock;
    struct multifd_error error; /* under lock; the first */
    struct multifd_error ended; /* under lock; held back, code MULTIFD_OK if there is none */
    uint64_t ended_ns;          /* under lock; since when */
    bool committed;             /* under lock; session_commit */

    /*
     * Woken when the session fails: the main thread, the control connection, the channels, and a
     * bridge's main connection. Under lock.
     */
    struct waker *wakers[MULTIFD_CHANNELS_MAX + 3];
    uint32_t wakers_num;
};

/* What the main thread may sleep for, as bits. */
enum session_awaits {
    SESSION_AWAITS_ROOM = 1,     /* room for a batch */
    SESSION_AWAITS_CHANNELS = 2, /* channels that come up, drain, or reach their SYNC */
    SESSION_AWAITS_CONTROL = 4,  /* the control connection */
    SESSION_AWAITS_ALL = 7,
};

enum session_state {
    SESSION_ALIVE,
    SESSION_FAILED,
    SESSION_FINISHED, /* both sides have agreed: what happens to the connections is no failure */
};

/* Prepares a session that was zeroed; `peer` is a literal. 0, or -1 with *err and nothing made. */
int session_init(struct session *session, const char *peer, const char *address,
                 const struct multifd_options *options, struct multifd_error *err);

/* Releases it, after all threads, channels and registered memory. */
void session_fini(struct session *session);

/* Slots of a channel's staging with that method; 0 when payloads are guest memory alone. */
uint32_t session_staging_slots(const struct session *session, uint32_t method);

/* Whether the session's page size suits the method, which unpacks no more than 16 MiB at once. */
int session_check_method(const struct session *session, uint32_t method, struct multifd_error *err);

/* See multifd_device_counters. Any thread. */
void session_device_counters(const struct session *session, struct multifd_device_counters *out);

/* Adds one that is to be woken when the session fails. */
void session_add_waker(struct session *session, struct waker *waker);

/* Takes it out again, before it is released. */
void session_remove_waker(struct session *session, const struct waker *waker);

/* Makes the session fail unless it has failed or finished. Any thread. */
void session_fail(struct session *session, const struct multifd_error *err);

/*
 * When an error that is held back has waited long enough (CLOCK_MONOTONIC, ns); UINT64_MAX when
 * there is none.
 */
uint64_t session_settles_at(struct session *session);

/* Makes an error that is held back the session's. */
void session_settle(struct session *session);

/*
 * A bridge's point of no return: what fails from now on is not told to the other side, for which
 * being told means that this side will not go on. False, and nothing changes, when the session has
 * failed: either the failure came first, and is told, or this did.
 */
bool session_commit(struct session *session);
bool session_is_committed(struct session *session);

/* It did not come to that: from now on a failure is told again. */
void session_take_back(struct session *session);

/* After this no failure is taken any more. False when the session has failed already. */
bool session_finish(struct session *session);

/*
 * For the main thread, whose call cannot go on: makes the session fail with *failure, without
 * waiting for a better reason, and copies the first error to *err (which may be NULL). Returns -1.
 */
int session_abort(struct session *session, const struct multifd_error *failure,
                  struct multifd_error *err);

/* In the header, since it is asked for every page. */
static inline bool session_has_failed(const struct session *session)
{
    return atomic_load(&session->state) == SESSION_FAILED;
}

bool session_has_finished(const struct session *session);

/* Copies the first error to *err (which may be NULL). Returns -1. */
int session_error(struct session *session, struct multifd_error *err);

/*
 * Waits in the main thread until `ready` is true (0) or the session fails (-1 with *err). `ready`
 * looks at nothing but what is stored sequentially consistent before session_wake is called for one
 * of `awaited`.
 */
int session_wait(struct session *session, unsigned awaited, bool (*ready)(void *arg), void *arg,
                 struct multifd_error *err);

/*
 * Wakes the main thread if it sleeps for this; to be called when that has been stored. Any other
 * wake would be a switch of threads for nothing. Any thread.
 */
void session_wake(struct session *session, enum session_awaits what);

#endif
