/* SPDX-License-Identifier: MIT */
/* engine_loop - a whole session within one process, to be measured against raw_loop. */
#ifndef ENGINE_LOOP_H
#define ENGINE_LOOP_H

#include "raw_loop.h"

struct engine_loop;

/* A source and a destination, set up; prints and exits on any error. */
struct engine_loop *engine_loop_new(const struct transfer_plan *plan, const char *address);

void engine_loop_delete(struct engine_loop *loop);

/* Moves all pages once, as one round: from the first page queued to the end of its sync, in ns. */
uint64_t engine_loop_run(struct engine_loop *loop);

#endif
