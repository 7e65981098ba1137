/* SPDX-License-Identifier: MIT */
/*
 * verbs_link_qp.h - the queue pair of a link. It is driven through its states by hand, with what
 * rdma_cm has negotiated: one that is left to rdma_cm takes no other path MTU.
 */
#ifndef MULTIFD_BENCH_VERBS_LINK_QP_H
#define MULTIFD_BENCH_VERBS_LINK_QP_H

#include "verbs_link.h"

#include <jansson.h>

/* Makes the queue pair and its completion queues, ready for receives to be posted. */
int verbs_link_qp_make(struct verbs_link *link, const struct verbs_depth *depth,
                       struct multifd_error *err);

/* Brings it up, once rdma_cm knows the other side. */
int verbs_link_qp_connect(struct verbs_link *link, struct multifd_error *err);

/* {"device", "port", "mtu"} of a link that is connected. */
json_t *verbs_link_qp_json(const struct verbs_link *link);

#endif
