/*
 * SPDX-License-Identifier: MIT
 *
 * What the parts of the fake fabric share.
 *
 * Locks, in the order in which they may nest: the connection manager's lock, the tables' lock (read
 * by wire threads, written when a queue pair or memory region comes or goes), a queue pair's, a
 * completion queue's, an event queue's, the registry's. On the data path two queue pairs share no
 * lock other than the tables' as readers: a thread sanitizer must not see an order between threads
 * that have exchanged nothing.
 */
#ifndef FABRIC_INTERNAL_H
#define FABRIC_INTERNAL_H

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "fabric.h"

#define container_of(pointer, type, member)                                                        \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

/* ---- objects.c: options, registry of live objects ---- */

struct fabric_object {
    enum fabric_kind kind;
    unsigned int epoch; /* of fabric_reset() */
    unsigned int users; /* objects made on this one */
};

const struct fabric_options *fabric_opts(void);

_Noreturn void fabric_misuse(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* malloc that aborts: an allocation failure here is not what a test wants to see. */
void *fabric_calloc(size_t count, size_t size);

void fabric_object_add(struct fabric_object *object, enum fabric_kind kind);
/* EBUSY when the object still has users, and then nothing is changed. */
int fabric_object_remove(struct fabric_object *object);
void fabric_object_use(struct fabric_object *object);
void fabric_object_unuse(struct fabric_object *object);

void fabric_cond_init(pthread_cond_t *cond);
/* Waits on a condition made by fabric_cond_init() until then, at most. */
void fabric_cond_wait_us(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t us);
uint64_t fabric_now_us(void);

/* ---- device.c ---- */

struct fabric_device;

/* Called by fabric_reset(): the devices of a new epoch. */
void fabric_devices_make(int count);
/* The context that connection manager ids of this address use. */
struct ibv_context *fabric_context_of(const struct sockaddr *address);
struct fabric_object *fabric_context_object(struct ibv_context *context);
struct fabric_object *fabric_pd_object(struct ibv_pd *pd);

/* ---- faults.c ---- */

enum fabric_call_class { FABRIC_CALL, FABRIC_CLEANUP };

/* Counts this call; the errno with which it has to fail, or 0. */
int fabric_fault(enum fabric_call_class call_class, const char *name);
/* Counts this work request; whether it has to fail, and how. */
bool fabric_completion_fault(enum ibv_wc_status *status);
/* Whether this event is to be replaced (*type and *status) or lost (*type is FABRIC_EVENT_LOST). */
bool fabric_event_fault(int *type, int *status);
void fabric_faults_reset(void);

/* ---- queue.c: events behind a file descriptor that users poll ---- */

struct fabric_event {
    struct fabric_event *next;
    void *owner;
};

struct fabric_queue {
    pthread_mutex_t lock;
    int fd; /* readable exactly while there are events */
    struct fabric_event *head;
};

int fabric_queue_init(struct fabric_queue *queue);
void fabric_queue_fini(struct fabric_queue *queue);
void fabric_queue_push(struct fabric_queue *queue, struct fabric_event *event);
/* 0 when there is an event; -1 and EAGAIN when there is none and the descriptor is non-blocking. */
int fabric_queue_wait(struct fabric_queue *queue);
/* NULL when another thread was faster. */
struct fabric_event *fabric_queue_pop(struct fabric_queue *queue);
/* All events of this owner, as a list in order. */
struct fabric_event *fabric_queue_take(struct fabric_queue *queue, const void *owner);

/* ---- mr.c ---- */

extern pthread_rwlock_t fabric_tables;

void fabric_mr_reset(void);

/* The memory behind a local key; NULL if key, domain, bounds or permission do not fit. Tables are
 * read-locked. */
void *fabric_local_memory(struct ibv_pd *pd, const struct ibv_sge *sge, int access);
void *fabric_remote_memory(struct ibv_pd *pd, uint64_t address, uint64_t length, uint32_t rkey,
                           int access);
/* As a NIC copies: not seen by the thread sanitizer, since a guest may write its pages meanwhile.
 */
void fabric_copy(void *to, const void *from, size_t length);

/* ---- cq.c ---- */

struct fabric_qp;

struct fabric_cqe {
    struct ibv_wc wc;
    struct fabric_qp *qp;
    uint64_t released; /* the queue's slots up to this one are free once this is polled */
    bool receive;
    bool solicited;
};

struct fabric_object *fabric_cq_object(struct ibv_cq *cq);
void fabric_cq_push(struct ibv_cq *cq, const struct fabric_cqe *cqe);
/* A queue pair that is reset or destroyed takes its completions with it. */
void fabric_cq_purge(struct ibv_cq *cq, const struct fabric_qp *qp);
int fabric_poll_cq(struct ibv_cq *cq, int count, struct ibv_wc *wc);
int fabric_req_notify_cq(struct ibv_cq *cq, int solicited_only);
unsigned long fabric_unacked_cq_events(void);
void fabric_cq_events_reset(void);

/* ---- qp.c, post.c ---- */

struct fabric_work {
    uint64_t wr_id;
    enum ibv_wr_opcode opcode;
    unsigned int flags;
    uint64_t remote_addr;
    uint32_t rkey;
    int num_sge;
    uint64_t length;
    struct ibv_sge *sges; /* the slot's own */
    uint8_t *inlined;     /* the slot's own; used when IBV_SEND_INLINE is set */
};

/* A ring whose slots are used from post to the poll that releases them, as a driver counts them. */
struct fabric_ring {
    uint32_t depth;
    struct fabric_work *slots;
    uint64_t posted;
    uint64_t done;
    _Atomic uint64_t released;
};

struct fabric_qp {
    struct ibv_qp qp;
    struct fabric_object object;
    struct fabric_qp *next; /* in the table */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t thread;
    /* What other wire threads look at without the lock. */
    _Atomic int state;
    _Atomic unsigned int access;
    _Atomic uint32_t dest_qp_num;
    _Atomic bool cut;
    bool stopping;
    bool executing;
    bool sig_all;
    struct ibv_qp_cap cap;
    struct ibv_qp_attr attr;
    struct fabric_ring sq;
    struct fabric_ring rq;
    uint64_t random;
    /* The work request at the head of the send queue; the wire thread's own. */
    bool head_started;
    bool message_ready;
    struct fabric_message message;
    uint64_t stalled_since_us; /* 0: not stalled */
    unsigned int rnr_tries;
};

int fabric_post_send(struct ibv_qp *qp, struct ibv_send_wr *wr, struct ibv_send_wr **bad_wr);
int fabric_post_recv(struct ibv_qp *qp, struct ibv_recv_wr *wr, struct ibv_recv_wr **bad_wr);

/* With the tables read-locked. */
struct fabric_qp *fabric_qp_find(uint32_t qp_num);
/* Takes the queue pair's lock; requests flush from its wire thread. */
void fabric_qp_error(struct fabric_qp *qp);
/* Likewise by number, and takes the tables' lock; a number that is gone is ignored. */
void fabric_qp_error_by_number(uint32_t qp_num);

/* ---- deliver.c ---- */

struct fabric_outcome {
    enum { FABRIC_DONE, FABRIC_NO_ANSWER, FABRIC_RNR } result;
    enum ibv_wc_status status; /* when done */
    uint64_t rnr_us;           /* when the receiver was not ready: come back after this time */
};

/* Executes the head of the send queue; from its wire thread, no lock held. Called again when it was
 * not done. */
struct fabric_outcome fabric_execute(struct fabric_qp *qp, struct fabric_work *work);
void fabric_deliver_reset(void);

/* ---- wire.c ---- */

void *fabric_wire_main(void *qp);
/* Completes a receive; with the queue pair's lock held. */
void fabric_complete_receive(struct fabric_qp *qp, enum ibv_wc_status status, uint32_t byte_len,
                             bool solicited);
void fabric_wire_reset(void);
bool fabric_wire_is_cut(void);

/* ---- cm.c: event channels, ids, events ---- */

/* Protects everything about ids; all functions below are called with it held, except
 * fabric_cm_qp_gone(). */
extern pthread_mutex_t fabric_cm_lock;

enum fabric_cm_state {
    FABRIC_IDLE,
    FABRIC_BOUND,
    FABRIC_LISTENING,
    FABRIC_ADDR_RESOLVED,
    FABRIC_ROUTE_RESOLVED,
    FABRIC_CONNECTING, /* active: request sent */
    FABRIC_REQUESTED,  /* passive: request received */
    FABRIC_ACCEPTED,   /* passive: response sent */
    FABRIC_RESPONDED,  /* active: response received */
    FABRIC_CONNECTED,
    FABRIC_ENDED
};

struct fabric_id {
    struct rdma_cm_id id;
    struct fabric_object object;
    struct fabric_id *next; /* in the list of all */
    enum fabric_cm_state state;
    struct fabric_id *peer;
    struct fabric_id *listener; /* while the user has not taken the connection request */
    bool active;
    bool reuse_address;
    bool v6_only;
    uint8_t ack_timeout;
    int backlog;
    int waiting; /* listener: requests not yet taken */
    unsigned int unacked;
    struct rdma_conn_param own; /* what this side gave to rdma_connect or rdma_accept */
    struct rdma_conn_param remote;
};

/* Lengths that private data arrives with, padded with zeros, by message. */
enum { FABRIC_REQUEST_DATA = 56, FABRIC_RESPONSE_DATA = 196, FABRIC_REJECT_DATA = 148 };

struct fabric_id *fabric_id_of(struct rdma_cm_id *id);
struct fabric_id *fabric_ids_first(void);
struct fabric_id *fabric_id_new(struct rdma_event_channel *channel, void *context,
                                enum rdma_port_space ps);
/* An event without parameters when param is NULL; private data arrives as `padded` bytes. */
void fabric_cm_notify(struct fabric_id *id, enum rdma_cm_event_type type, int status,
                      const struct rdma_conn_param *param, uint8_t padded);
/* The connection request of `child`, which becomes visible to the user with the event. */
void fabric_cm_notify_request(struct fabric_id *listener, struct fabric_id *child,
                              const struct rdma_conn_param *param);
/* An id that the user never saw, or has destroyed. */
void fabric_id_free(struct fabric_id *id);

/* ---- cm_address.c: addresses, listeners ---- */

struct fabric_id *fabric_listener_for(struct sockaddr *address);

/* ---- cm_connect.c: connections ---- */

/* The id goes away: whoever is at the other end is told. */
void fabric_cm_abandon(struct fabric_id *id);
/* A queue pair was destroyed; takes the lock itself. */
void fabric_cm_qp_gone(uint32_t qp_num);

/* ---- cm_timer.c: connection messages that are never answered ---- */

/* The id ends with UNREACHABLE after the retry time. */
void fabric_cm_timer_start(struct fabric_id *id);
void fabric_cm_timer_cancel(const struct fabric_id *id);

#endif
