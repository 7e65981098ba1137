/* SPDX-License-Identifier: MIT */
/* peer_watch.h - notices that the other side has gone while this one waits for something else. */
#ifndef MULTIFD_BENCH_PEER_WATCH_H
#define MULTIFD_BENCH_PEER_WATCH_H

#include "peer.h"

struct peer_watch;

/*
 * Calls gone(arg) once, on a thread of its own, if the other side closes its connection before
 * peer_watch_stop. The peer must live until then. NULL on error.
 */
struct peer_watch *peer_watch_start(const struct peer *peer, void (*gone)(void *arg), void *arg,
                                    struct multifd_error *err);

/* After this gone is not called any more. Sets *watch to NULL; accepts NULL. */
void peer_watch_stop(struct peer_watch **watch);

#endif
