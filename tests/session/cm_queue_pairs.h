/* SPDX-License-Identifier: MIT */
/*
 * cm_queue_pairs - what librdmacm does for a program that leaves its queue pairs to it, on the fake
 * fabric: rdma_create_qp, the protection domain that all ids of the device share, the states of
 * queue pairs, and names. It needs the linker's --wrap for the calls below, and changes nothing
 * for ids whose queue pair is driven by hand.
 */
#ifndef CM_QUEUE_PAIRS_H
#define CM_QUEUE_PAIRS_H

#include <rdma/rdma_cma.h>

int __real_rdma_get_cm_event(struct rdma_event_channel *channel, struct rdma_cm_event **event);
int __wrap_rdma_get_cm_event(struct rdma_event_channel *channel, struct rdma_cm_event **event);
int __real_rdma_connect(struct rdma_cm_id *id, struct rdma_conn_param *parameters);
int __wrap_rdma_connect(struct rdma_cm_id *id, struct rdma_conn_param *parameters);
int __real_rdma_accept(struct rdma_cm_id *id, struct rdma_conn_param *parameters);
int __wrap_rdma_accept(struct rdma_cm_id *id, struct rdma_conn_param *parameters);
int __real_rdma_destroy_id(struct rdma_cm_id *id);
int __wrap_rdma_destroy_id(struct rdma_cm_id *id);

#endif
