/* SPDX-License-Identifier: MIT */
/*
 * null_device - an RDMA device without hardware: libibverbs and librdmacm for one process, linked
 * in their place.
 *
 * What is posted completes before ibv_post_send returns. A WRITE moves nothing; a SEND is copied
 * into the peer's posted receive, since control messages and headers must arrive. So what remains
 * of a session's time is the time of whoever uses the device. There is one device, null0, one port,
 * one context; every address leads to it.
 *
 * It is no test of correctness. Keys, bounds and permissions are not looked at, limits are
 * generous, and only that much goes wrong: a SEND into a receive that is too small completes with
 * an error, and so does all that is posted when the peer is gone. A SEND for which no receive is
 * posted waits in ibv_post_send, so another thread must post it.
 *
 * THREADS. At any time at most one thread posts sends to a queue pair, one posts receives to it and
 * one polls a completion queue: that makes every ring one of a single writer at each of its cursors
 * (ring.h), and is less than verbs allow. A completion queue is not polled while queue pairs are
 * made on it or destroyed. All else may be called from any thread; it takes a lock, for no call but
 * ibv_post_send, ibv_post_recv, ibv_poll_cq and ibv_req_notify_cq is on the way of the data.
 */
#ifndef MULTIFD_NULL_DEVICE_H
#define MULTIFD_NULL_DEVICE_H

#include <infiniband/verbs.h>

/* Entries of a queue pair's queues, and of a completion queue. */
#define NULL_DEVICE_MAX_WR  (1 << 16)
#define NULL_DEVICE_MAX_CQE (1 << 22)

/* Bytes that are taken inline; copied at once they all are. */
#define NULL_DEVICE_MAX_INLINE 1024

/* The one there is; never closed. */
extern struct ibv_context null_context;

/* What null_context leads to. */
int null_post_send(struct ibv_qp *qp, struct ibv_send_wr *wr, struct ibv_send_wr **bad_wr);
int null_post_recv(struct ibv_qp *qp, struct ibv_recv_wr *wr, struct ibv_recv_wr **bad_wr);
int null_poll_cq(struct ibv_cq *cq, int most, struct ibv_wc *wc);
int null_req_notify_cq(struct ibv_cq *cq, int solicited_only);

#endif
