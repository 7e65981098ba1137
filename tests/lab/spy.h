/* SPDX-License-Identifier: MIT */
/*
 * spy - a zero-copy method, like nocomp but with bits of its own, that records which channel
 * carries each page, and looks at each page when the destination says that it is in place.
 *
 * Hooks get no pointer of their own before they are called, so there is one spy in a process.
 */
#ifndef LAB_SPY_H
#define LAB_SPY_H

#include "guest.h"

#include <multifd.h>

/*
 * Begins to spy on a source's and a destination's memory; either may be NULL. With `whole_pages` a
 * page must be of one round when it has arrived, because nobody writes to it meanwhile.
 */
void spy_start(struct guest *source, struct guest *destination, bool whole_pages);
void spy_stop(void);

/* Makes the method known under the name "spy". */
int spy_register(struct multifd_options *options, struct multifd_error *err);

/* The destination has applied that round: no older page may arrive any more. */
void spy_round_applied(uint32_t round);

/* Pages that left the source over another channel than the time before, since the last call. */
uint32_t spy_take_changes(void);

#endif
