/*
 * SPDX-License-Identifier: MIT
 *
 * Two queue pairs connected through the fabric, driven by hand as the transport drives them.
 */
#ifndef PAIR_H
#define PAIR_H

#include "fabric.h"

enum { PAIR_MEMORY = 1 << 16, PAIR_SLOTS = 16 };

struct end {
    struct rdma_event_channel *events;
    struct rdma_cm_id *id;
    struct ibv_pd *pd;
    struct ibv_comp_channel *channel;
    struct ibv_cq *cq;
    struct ibv_qp *qp;
    struct ibv_mr *mr;
    uint8_t memory[PAIR_MEMORY];
};

struct pair {
    struct rdma_event_channel *listen_events;
    struct rdma_cm_id *listener;
    struct end active;
    struct end passive;
};

struct sockaddr_in pair_address(uint16_t port);

/* Everything of one side but its id; NULL verbs is misuse. */
void end_open(struct end *end);
void end_close(struct end *end);
/* Moves the queue pair to this state with the attributes that the id gives. */
void end_modify(struct end *end, enum ibv_qp_state state);

void pair_listen(struct pair *pair);
/* The active side up to rdma_connect, the passive side up to the connection request. */
void pair_request(struct pair *pair, const void *data, uint8_t length);
struct pair *pair_new(void);
void pair_close(struct pair *pair);
/* Likewise, and expects that nothing is alive afterwards. */
void pair_delete(struct pair *pair);

/* Takes the next event, which has to be this one, and acknowledges it. */
void expect_event(struct rdma_event_channel *events, enum rdma_cm_event_type type, int status);

/* One work request each; the return value of the post. */
int post_write(struct end *from, uint64_t wr_id, uint32_t offset, uint32_t length, uint64_t to,
               uint32_t rkey, unsigned int flags);
int post_send(struct end *from, uint64_t wr_id, uint32_t offset, uint32_t length,
              unsigned int flags);
int post_recv(struct end *at, uint64_t wr_id, uint32_t offset, uint32_t length);

/* Waits for the next completion. */
struct ibv_wc next_wc(struct end *at);
void expect_wc(struct end *at, uint64_t wr_id, enum ibv_wc_status status);
void expect_no_wc(struct end *at);

int run_cm_tests(void);
int run_fault_tests(void);

#endif
