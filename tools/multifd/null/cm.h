/* SPDX-License-Identifier: MIT */
/*
 * cm - connection manager identifiers and their events, behind rdma_cma.h. One lock guards it all.
 */
#ifndef MULTIFD_NULL_CM_H
#define MULTIFD_NULL_CM_H

#include <netinet/in.h>
#include <pthread.h>
#include <rdma/rdma_cma.h>
#include <stdint.h>

/* Reasons of a REJECTED event, as the InfiniBand specification numbers them. */
#define NULL_REJECT_NO_SERVICE  8
#define NULL_REJECT_BY_CONSUMER 28

enum null_id_state {
    NULL_ID_IDLE,
    NULL_ID_LISTENING,
    NULL_ID_ASKED,  /* of both sides: a request was sent and is not answered */
    NULL_ID_LINKED, /* accepted */
    NULL_ID_ENDED,
};

struct null_id {
    struct rdma_cm_id id;
    struct null_id *next; /* of all */
    enum null_id_state state;
    struct null_id *peer;     /* when asked or linked */
    struct null_id *listener; /* while nobody has taken the request that this one stands for */
    uint32_t qp_num;          /* what this side has told */
};

/* All calls below are made with it held. */
extern pthread_mutex_t null_cm_lock;

static inline struct null_id *null_id_of(struct rdma_cm_id *id)
{
    return (struct null_id *)(void *)id;
}

/* Releases it: 0, or -1 with this errno. */
int null_cm_leave(int error);

/* All identifiers. */
struct null_id *null_ids(void);

/* One that shares the channel; NULL without memory. */
struct null_id *null_id_new(struct rdma_event_channel *channel, void *context);

/* Every address leads to the one device. */
void null_id_use_device(struct rdma_cm_id *id);

/* Frees it and its events. */
void null_id_free(struct null_id *id);

/*
 * Adds an event to the channel of `id`, the listener's for a connect request. `param` is NULL or
 * what it carries; the private data is copied. Without memory the event is lost.
 */
void null_cm_notify(struct null_id *id, enum rdma_cm_event_type type, int status,
                    const struct rdma_conn_param *param);

/* Who listens at the port; NULL when nobody does. */
struct null_id *null_listener_at(in_port_t port);

/* Ends whatever connection or request there is and tells the peer. */
void null_id_end(struct null_id *id);

#endif
