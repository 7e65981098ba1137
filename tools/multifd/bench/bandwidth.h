/* SPDX-License-Identifier: MIT */
/*
 * bandwidth.h - the two sides of `bandwidth`, which `raw` and `overhead` use too. A pass sends the
 * whole memory once; passes of the raw loop and of the session take turns.
 *
 * The source tells the sink of each pass: {"pass": N, "raw": bool, "seed": S, "warm_up": bool,
 * "watched": bool}, after a raw one the mark "sent", and at the end {"pass": 0}. The sink answers
 * each pass with the mark "equal", once it has compared what came; over the null device nothing
 * comes. What either side adds to the results leaves the passes out that are for warming up; of the
 * watched one there is the lowest rate only, and it begins when the sink has said "watching": a
 * small memory could have come before the first look.
 *
 * Raw passes and the session's are over the same memory, which the sink has as the pass before left
 * it. So that a pass whose every byte is compared must really have moved every page as a whole, it
 * has content of its own: S is the seed of it, which no other pass has had. S is 0 where only
 * stamps are compared; they prove that something of each page was moved in this very pass.
 */
#ifndef MULTIFD_BENCH_BANDWIDTH_H
#define MULTIFD_BENCH_BANDWIDTH_H

#include "measurement.h"

int bandwidth_run(const struct bench_case *bench, struct peer *peer, json_t *row,
                  struct multifd_error *err);
int bandwidth_serve(const struct bench_case *bench, struct peer *peer, json_t *result,
                    struct multifd_error *err);

/* The same with the raw loop alone. */
int raw_run(const struct bench_case *bench, struct peer *peer, json_t *row,
            struct multifd_error *err);

#endif
