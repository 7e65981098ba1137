/* SPDX-License-Identifier: MIT */
/*
 * mock_verbs - libibverbs and librdmacm as mocks. Objects are real allocations, so that a sanitizer
 * sees what is used after it was destroyed; destroying something that others still use fails the
 * test. A destroy that is told to fail logs its call and gives up the object nevertheless.
 */
#ifndef MULTIFD_UNIT_MOCK_VERBS_H
#define MULTIFD_UNIT_MOCK_VERBS_H

#include "mock.h"

#include <infiniband/verbs.h>
#include <rdma/rdma_cma.h>

#define MOCK_DEVICES 2
#define MOCK_PORTS   2
#define MOCK_GIDS    64
#define MOCK_CHAIN   40
#define MOCK_POSTS   64

struct mock_device {
    struct ibv_device device;
    struct ibv_device_attr attr;
    struct ibv_device_attr_ex attr_ex;
    struct ibv_port_attr ports[MOCK_PORTS];
    union ibv_gid gids[MOCK_PORTS][MOCK_GIDS];
};

struct mock_mr {
    struct ibv_mr mr;
    unsigned access;
};

struct mock_modify {
    struct ibv_qp_attr attr;
    int mask;
};

/* One call of ibv_post_send or ibv_post_recv, with copies of its chain. */
struct mock_post {
    unsigned num;
    struct ibv_send_wr sends[MOCK_CHAIN];
    struct ibv_recv_wr receives[MOCK_CHAIN];
    struct ibv_sge sges[MOCK_CHAIN];
};

/* What the verbs answer, and what they were given. */
struct mock_verbs {
    int devices_num;
    struct mock_device devices[MOCK_DEVICES];
    bool bad_fd; /* file descriptors of new channels are none */

    struct mock_mr *last_mr;
    struct ibv_qp_init_attr qp_attr;
    int cqe;
    struct mock_modify modify[4];
    unsigned modify_num;
    struct mock_post sends[MOCK_POSTS];
    unsigned sends_num;
    struct mock_post receives[MOCK_POSTS];
    unsigned receives_num;

    struct ibv_wc completions[64]; /* for ibv_poll_cq, in order */
    unsigned completions_num;
    unsigned completions_taken;
    int solicited_only; /* of the last ibv_req_notify_cq */
    unsigned cq_events; /* for ibv_get_cq_event */
    unsigned cq_events_acked;
};

extern struct mock_verbs mock_verbs;

void mock_verbs_reset(void);

/* An open device that outlives the test: port 1 of mock_verbs.devices[0]. */
struct ibv_context *mock_context(void);

/* A protection domain, completion queue and queue pair for tests of what builds on them. */
struct ibv_pd *mock_pd(void);
struct ibv_qp *mock_qp(void);

/* Lets ibv_poll_cq report a completion. */
void mock_complete(uint64_t wr_id, enum ibv_wc_status status, uint32_t byte_len);

/* ---- librdmacm ---- */

struct mock_rdmacm {
    int init_attr_mask; /* what rdma_init_qp_attr answers */
    struct ibv_qp_attr init_attr;
    struct ibv_context *resolved; /* device of new identifiers */
    uint16_t port;                /* for rdma_get_src_port, in host order */

    int backlog;
    uint8_t tos;
    int timeout_ms;
    bool has_source;
    struct sockaddr_storage source;
    struct sockaddr_storage destination;
    struct sockaddr_storage bound;
    struct rdma_conn_param param; /* of the last rdma_connect, rdma_accept or rdma_reject */
    uint8_t private_data[256];
    unsigned late; /* so many looks find no event, though the descriptor says that there is one */
};

extern struct mock_rdmacm mock_rdmacm;

void mock_rdmacm_reset(void);
void mock_rdmacm_check(void);

/* Lets rdma_get_cm_event report an event, on whichever event channel asks first. */
void mock_event(enum rdma_cm_event_type type, int status, const void *private_data,
                uint8_t private_data_len, struct rdma_cm_id *id);

/* The identifier of an incoming connection from `peer`. */
struct rdma_cm_id *mock_request_id(const struct sockaddr *peer, size_t length);

#endif
