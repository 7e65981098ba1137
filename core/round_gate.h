/* SPDX-License-Identifier: MIT */
/*
 * round_gate - who ends a round at the destination: one thread, once, after every channel that
 * takes part has come to its SYNC and while the calling thread waits for that.
 *
 * Mostly that is the channel that comes last, so that the source is told without a switch of
 * threads before. It counts itself before it looks whether the round is awaited; the calling thread
 * says that it awaits the round before it looks at the count. Loads and stores are sequentially
 * consistent, so one of them sees both, and the exchange in round_gate_claim leaves it to one.
 *
 * A round is claimed by its number. Between counting itself and claiming a thread may be off its
 * processor for as long as the others need to end that round and to await the next one, which it
 * must not end: its number is another.
 */
#ifndef MULTIFD_ROUND_GATE_H
#define MULTIFD_ROUND_GATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Zeroed: no channel has come to its SYNC. */
struct round_gate {
    atomic_uint arrived;      /* channels that take part << 16, and those that have come */
    _Atomic uint64_t awaited; /* the round the calling thread waits for, from 1; 0: none */
};

/*
 * A channel has come to its SYNC, which says that so many take part (at most UINT16_MAX). *last:
 * all of them have come. False, and nothing done, when it contradicts what another one's said.
 */
bool round_gate_arrive(struct round_gate *gate, uint32_t channels, bool *last);

/* Whether every channel that takes part has come to its SYNC. */
bool round_gate_is_complete(const struct round_gate *gate);

/* The calling thread waits for the end of that round. The round before has ended. */
void round_gate_await(struct round_gate *gate, uint64_t round);

/*
 * Whether the round is the caller's to end, which is so for one thread and only while it is
 * awaited. For who has seen it complete; and for the calling thread to wait for it no longer: when
 * that fails another thread is just ending it.
 */
bool round_gate_claim(struct round_gate *gate, uint64_t round);

/* The next round begins. For who ends one, before anybody hears of that. */
void round_gate_reset(struct round_gate *gate);

#endif
