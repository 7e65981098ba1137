/* SPDX-License-Identifier: MIT */
/* null_pair - two connected queue pairs on the null device; what goes wrong fails the test. */
#ifndef MULTIFD_TESTS_NULL_PAIR_H
#define MULTIFD_TESTS_NULL_PAIR_H

#include <infiniband/verbs.h>
#include <netinet/in.h>
#include <rdma/rdma_cma.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { DEPTH = 16, MESSAGE = 64 };

struct end {
    struct rdma_event_channel *events;
    struct rdma_cm_id *id;
    struct ibv_comp_channel *channel;
    struct ibv_cq *cq;
    struct ibv_qp *qp;
    uint8_t bytes[DEPTH][MESSAGE]; /* receives */
};

struct pair {
    struct ibv_pd *pd;
    struct end active;
    struct end passive;
};

/* Takes the next event, which has to be of this type; the caller acknowledges it. */
struct rdma_cm_event *next_event(struct end *end, enum rdma_cm_event_type type);

void expect_event(struct end *end, enum rdma_cm_event_type type);

/* Its event channel and identifier. */
void open_end(struct end *end);

/* Into `bytes[slot]`, with the slot as wr_id. */
int post_receive(struct end *end, uint64_t slot);

/* Finds the way to a port of this process. */
void resolve(struct end *end, in_port_t port);

/* Two ends with queue pairs of their own and every receive posted. */
void connect_pair(struct pair *pair);

/* Its queue pair may be gone already, and is then NULL. */
void close_end(struct end *end);

/* Disconnects and closes both. */
void disconnect_pair(struct pair *pair);

/* A SEND of the text with its final NUL. */
int post_send(struct end *end, uint64_t wr_id, const char *text, unsigned flags);

void expect_completion(struct end *end, uint64_t wr_id, enum ibv_wc_status status);
void expect_nothing(struct end *end);

#endif
