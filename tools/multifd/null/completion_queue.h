/* SPDX-License-Identifier: MIT */
/*
 * completion_queue - the rings of the queue pairs that complete here, and the event for whoever
 * sleeps.
 *
 * No wake-up is lost: who polls arms and then looks at `done` of each ring; who executes moves
 * `done` and then looks whether the queue is armed. All four are sequentially consistent, so one of
 * them sees the other: either the completion is polled, or the event is sent. Who finds the queue
 * armed disarms it by an exchange, so an arming gives one event. An event may come for a completion
 * that was polled meanwhile, as with hardware.
 */
#ifndef MULTIFD_NULL_COMPLETION_QUEUE_H
#define MULTIFD_NULL_COMPLETION_QUEUE_H

#include <infiniband/verbs.h>
#include <stdbool.h>

#include "null/ring.h"

/* Adds a ring to what is polled, or takes it out; no thread polls the queue meanwhile. */
void null_cq_attach(struct ibv_cq *cq, struct null_ring *ring);
void null_cq_detach(struct ibv_cq *cq, struct null_ring *ring);

/*
 * Shows what has been done up to `done`, and sends the event if the queue is armed for it. Urgent
 * is what was solicited or has failed.
 */
void null_cq_complete(struct ibv_cq *cq, struct null_ring *ring, uint32_t done, bool urgent);

#endif
