/* SPDX-License-Identifier: MIT */
/*
 * round - why no page of a round is written before the round before it is over everywhere.
 *
 * QEMU ends a round with a SYNC on every channel and a mark on the main connection (the end of the
 * records, or FLUSH). Its source waits for nothing: the next round's pages come at once. Its
 * destination does: each channel's thread stops behind its SYNC until the main thread, which waits
 * at the mark for all of them, lets it go on. So whatever comes as a packet or as a record of the
 * main connection is applied in the order of rounds. What a bridge writes into the guest's RAM does
 * not ask QEMU's threads, and could overtake
 *
 *  - the same page's write of the round before, on another queue pair: old data over new;
 *  - a record of the round before on the main connection, which says that the page is zero and
 *    which QEMU has not applied yet: zeros over data.
 *
 * So a channel of the source's bridge sends nothing behind a SYNC until that round is over at the
 * destination (SYNC_DONE), which it is when, on every channel,
 *
 *  1. the SYNC has arrived. All writes before it on that queue pair are in place then, since RC
 *     keeps order and a receive completes behind them;
 *  2. QEMU's thread has read what comes behind the SYNC, which it does only when its main thread
 *     has come to the mark. For that the destination's bridge puts an empty packet there, which
 *     means nothing to QEMU, and looks until the socket has no unread bytes left.
 *
 * Any one channel's 2. already implies 1. for all: the main thread passes the mark only when it has
 * had the SYNC of every channel, and each is handed to QEMU only after it has arrived. So when the
 * first channel passes, all channels are there, and their number is known. The last round's SYNC
 * reaches QEMU in the same way behind all its writes, and its device state behind that.
 *
 * Nothing waits in a circle: that a channel holds needs nothing of that channel but its SYNC, and
 * the main connection never holds. Where no RAM is written directly nobody holds.
 */
#ifndef MULTIFD_BRIDGE_ROUND_H
#define MULTIFD_BRIDGE_ROUND_H

#include "core/bridge/bridge.h"

/* Destination, a channel's thread: QEMU has passed its round's end there. 0, or -1 with *err. */
int bridge_round_pass(struct multifd_bridge *bridge, struct multifd_error *err);

/* Source, the main thread: that many rounds are over. 0, or -1 with *err. */
int bridge_round_release(struct multifd_bridge *bridge, uint64_t rounds, struct multifd_error *err);

#endif
