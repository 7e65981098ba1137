/* SPDX-License-Identifier: MIT */
/* ticker.h - calls a function at regular times, in a thread of its own. */
#ifndef MULTIFD_TOOL_TICKER_H
#define MULTIFD_TOOL_TICKER_H

#include <stdint.h>

typedef void ticker_fn(void *opaque);

struct ticker;

/* The first call comes after one interval. NULL when there is no thread for it. */
struct ticker *ticker_start(uint64_t interval_ns, ticker_fn *fn, void *opaque);

/* No call begins any more, and none is under way. Accepts NULL, sets to NULL. */
void ticker_stop(struct ticker **ticker);

#endif
