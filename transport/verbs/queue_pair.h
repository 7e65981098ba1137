/* SPDX-License-Identifier: MIT */
/*
 * queue_pair - one RC queue pair, driven through its states by hand with the attributes that
 * rdma_cm negotiates, so that the session's own settings can be put over them.
 */
#ifndef MULTIFD_VERBS_QUEUE_PAIR_H
#define MULTIFD_VERBS_QUEUE_PAIR_H

#include <infiniband/verbs.h>
#include <multifd_error.h>
#include <rdma/rdma_cma.h>
#include <stdint.h>

#include "transport/transport.h"

struct verbs_queue_pair_size {
    uint32_t send_wr;
    uint32_t receive_wr;
    uint32_t inline_data; /* wanted; becomes what the device gives */
};

/*
 * Makes a queue pair on `cq` and brings it to INIT, where receives may be posted. NULL on error.
 * size->inline_data becomes 0 when the device does not take what was wanted.
 */
struct ibv_qp *verbs_queue_pair_new(struct rdma_cm_id *id, struct ibv_pd *pd, struct ibv_cq *cq,
                                    struct verbs_queue_pair_size *size, struct multifd_error *err);

/* Brings it to RTR and RTS once rdma_cm knows the peer. */
int verbs_queue_pair_connect(struct ibv_qp *qp, struct rdma_cm_id *id,
                             const struct transport_settings *settings, struct multifd_error *err);

/*
 * The local ack timeout code for a peer that must be noticed as dead within timeout_ms. The
 * hardware waits 4.096 us * 2^code before each of `retries` + 1 tries, and may wait up to four
 * times that (InfiniBand specification vol. 1, 9.7.6.1.3).
 */
uint8_t verbs_ack_timeout(uint32_t timeout_ms, uint32_t retries);

#endif
