/* SPDX-License-Identifier: MIT */
/*
 * cm - one rdma_cm identifier with an event channel of its own, so that whoever owns a connection
 * also gets its events, and nobody else's.
 */
#ifndef MULTIFD_VERBS_CM_H
#define MULTIFD_VERBS_CM_H

#include <multifd_error.h>
#include <rdma/rdma_cma.h>
#include <stdbool.h>
#include <stdint.h>

/* Most private data that rdma_cm carries on every transport. */
#define VERBS_PRIVATE_DATA_MAX 56u

struct verbs_cm {
    struct rdma_event_channel *channel;
    struct rdma_cm_id *id;
    char peer[80]; /* the address as it was written, for errors */
};

/* An event, copied so that it could be acknowledged at once. */
struct verbs_cm_event {
    enum rdma_cm_event_type type;
    int status;
    struct rdma_cm_id *id; /* of a connect request: the new one, which the receiver now owns */
    uint8_t private_data[VERBS_PRIVATE_DATA_MAX];
    uint8_t private_data_len;
};

/* A new identifier. 0, or -1 with *err and nothing made. */
int verbs_cm_init(struct verbs_cm *cm, const char *peer, struct multifd_error *err);

/* The same around the identifier of a connect request, which it owns from now on, also on error. */
int verbs_cm_init_request(struct verbs_cm *cm, struct rdma_cm_id *id, struct multifd_error *err);

/* Destroys both; the queue pair is gone by then. Accepts one that was zeroed. */
void verbs_cm_fini(struct verbs_cm *cm);

/* What to sleep on for events. */
int verbs_cm_fd(const struct verbs_cm *cm);

/* Takes one event if there is one: 1, 0 when there is none, -1 with *err. */
int verbs_cm_take_event(struct verbs_cm *cm, struct verbs_cm_event *event,
                        struct multifd_error *err);

/*
 * Waits for an event until deadline_ns (UINT64_MAX: without limit) or until wake_fd is readable. 1,
 * 0 when none came, -1 with *err.
 */
int verbs_cm_wait_event(struct verbs_cm *cm, uint64_t deadline_ns, int wake_fd,
                        struct verbs_cm_event *event, struct multifd_error *err);

/*
 * Waits for the event that the last call leads to. 0 when it is `wanted` or `alternative`; else -1
 * with *err saying what came instead, or that nothing did.
 */
int verbs_cm_expect(struct verbs_cm *cm, enum rdma_cm_event_type wanted,
                    enum rdma_cm_event_type alternative, uint64_t deadline_ns, int wake_fd,
                    struct verbs_cm_event *event, struct multifd_error *err);

/*
 * After a call that failed on a connection to which both sides had agreed: if the peer has ended it
 * meanwhile, which is why, *err says that instead. Returns -1.
 */
int verbs_cm_explain(struct verbs_cm *cm, struct multifd_error *err);

#endif
