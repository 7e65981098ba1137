/* SPDX-License-Identifier: MIT */
/*
 * waker - lets one thread sleep in poll(2) until another has something for it.
 *
 * The sleeper calls waker_arm, then looks once more for work, then sleeps on waker_fd, then calls
 * waker_disarm. A waking thread first makes its work visible, then calls waker_wake. Either the
 * sleeper sees the work when it looks once more, or the waking thread sees the waker armed: `armed`
 * and whatever says "there is work" are both accessed with sequentially consistent atomics, so the
 * two cannot both be missed. A wake of a thread that is awake costs one load.
 */
#ifndef MULTIFD_BASE_WAKER_H
#define MULTIFD_BASE_WAKER_H

#include <multifd_error.h>
#include <stdatomic.h>
#include <stdbool.h>

struct waker {
    int fd;            /* an eventfd */
    atomic_bool armed; /* the sleeper sleeps or is about to */
};

/* Prepares *waker. 0, or -1 with *err. */
int waker_init(struct waker *waker, struct multifd_error *err);

/* Releases it; a waker that was zeroed with fd -1 is accepted. */
void waker_fini(struct waker *waker);

void waker_arm(struct waker *waker);

/* readable: poll(2) has reported waker->fd readable. */
void waker_disarm(struct waker *waker, bool readable);

/* Any thread. The work must have been published by a sequentially consistent store before. */
void waker_wake(struct waker *waker);

/* For a sleeper with nothing else to wait for: sleeps on an armed waker, then disarms it. */
void waker_sleep(struct waker *waker, int timeout_ms);

#endif
