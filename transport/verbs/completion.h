/* SPDX-License-Identifier: MIT */
/*
 * completion - one completion queue with its completion channel, for one queue pair and one thread.
 */
#ifndef MULTIFD_VERBS_COMPLETION_H
#define MULTIFD_VERBS_COMPLETION_H

#include <infiniband/verbs.h>
#include <multifd_error.h>
#include <stdbool.h>
#include <stdint.h>

struct verbs_completion {
    struct ibv_comp_channel *channel;
    struct ibv_cq *cq;
};

/* Makes a queue of at least `entries`. 0, or -1 with *err and nothing made. */
int verbs_completion_init(struct verbs_completion *completion, struct ibv_context *context,
                          uint32_t entries, struct multifd_error *err);

/* Releases both; its queue pair is gone by then. Accepts one that was zeroed. */
void verbs_completion_fini(struct verbs_completion *completion);

/* Takes up to `most` completions; their number, or -1 with *err. */
int verbs_completion_poll(struct verbs_completion *completion, struct ibv_wc *wc, int most,
                          struct multifd_error *err);

/*
 * Asks for an event at the next completion, or only at the next one that is solicited or has
 * failed. Poll once more after this and before sleeping.
 */
int verbs_completion_arm(struct verbs_completion *completion, bool solicited_only,
                         struct multifd_error *err);

/* What to sleep on. */
int verbs_completion_fd(const struct verbs_completion *completion);

/*
 * Takes and acknowledges the event that made the descriptor readable. Another one, of an earlier
 * arming, makes it readable again: that ends one sleep early, and costs less than always asking.
 */
int verbs_completion_take_event(struct verbs_completion *completion, struct multifd_error *err);

#endif
