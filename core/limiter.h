/* SPDX-License-Identifier: MIT */
/*
 * limiter - keeps what all channels of a session send together below a rate, without a lock.
 *
 * It is a token bucket told in time: `due` is when all that was sent so far should have been sent
 * at the rate. A channel may send when that is not in the future, and what it has sent moves it on;
 * so a packet's size need not be known before it is compressed. Each channel may be one packet
 * early, which the time that follows makes good.
 */
#ifndef MULTIFD_LIMITER_H
#define MULTIFD_LIMITER_H

#include <stdatomic.h>
#include <stdint.h>

struct limiter {
    uint64_t bytes_per_s; /* 0: no limit */
    _Atomic uint64_t due; /* CLOCK_MONOTONIC, ns */
};

/* Prepares it; 0 is no limit. */
void limiter_init(struct limiter *limiter, uint64_t bytes_per_s);

/* 0 when the calling channel may send at `now_ns`, otherwise when it may. Any thread. */
uint64_t limiter_not_before(const struct limiter *limiter, uint64_t now_ns);

/* Says that so many bytes were sent at `now_ns`. Any thread. */
void limiter_sent(struct limiter *limiter, uint64_t bytes, uint64_t now_ns);

#endif
