/* SPDX-License-Identifier: MIT */
/* destination_round - the end of a round at the destination, and that of the session. */
#ifndef MULTIFD_DESTINATION_ROUND_H
#define MULTIFD_DESTINATION_ROUND_H

#include "core/destination.h"

/* Counts the round as ended and lets the channels go on behind its SYNC. */
void destination_release_round(struct multifd_destination *destination, uint64_t round);

/*
 * Every channel has come to the SYNC of that round: ends it and tells the source, if the calling
 * thread waits for that and nobody else does it. Any thread; the owner is the destination.
 */
void destination_end_round(void *owner, uint64_t round);

/*
 * Waits until every channel has come to the end of a round, ends it and tells the source. Returns
 * 1, 0 when the source has finished instead and everything agrees, or -1 with the session's error.
 */
int destination_take_round(struct multifd_destination *destination, struct multifd_error *err);

#endif
