/* SPDX-License-Identifier: MIT */
/*
 * verbs_wait.h - waiting for a completion or for a message in memory, at a bare verbs link.
 *
 * It spins as perftest does, or sleeps at the completion channel. Where the process has one
 * processor, it naps between polls: the other side of a loopback could not do anything otherwise
 * until the kernel's next tick, which is all that would be measured. sched_yield does not help
 * where the scheduler's clock has no finer steps than ticks, as in User Mode Linux.
 */
#ifndef MULTIFD_BENCH_VERBS_WAIT_H
#define MULTIFD_BENCH_VERBS_WAIT_H

#include "bench_case.h"
#include "verbs_link.h"

struct verbs_wait {
    struct ibv_comp_channel *completions;
    bool events;
    unsigned nap_after; /* so many polls that found nothing; 0: never */
};

/* For a link that is connected, by the thread that will wait. */
void verbs_wait_init(struct verbs_wait *wait, const struct bench_case *bench,
                     const struct verbs_link *link);

/* How it waits: "events", "polling", or "napping" between any two polls. */
const char *verbs_wait_name(const struct verbs_wait *wait);

/* Waits for one successful completion. */
int verbs_wait_completion(const struct verbs_wait *wait, struct ibv_cq *cq,
                          struct ibv_wc *completion, struct multifd_error *err);

/* Polls memory until the message with this number is there. */
int verbs_wait_message(const struct verbs_wait *wait, const uint8_t *bytes, uint64_t size,
                       uint64_t number, struct multifd_error *err);

#endif
