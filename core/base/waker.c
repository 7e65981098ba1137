/* SPDX-License-Identifier: MIT */
#include "waker.h"

#include "error.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

int waker_init(struct waker *waker, struct multifd_error *err)
{
    atomic_init(&waker->armed, false);
    waker->fd = eventfd(0, EFD_CLOEXEC);
    if (waker->fd < 0) {
        return error_set_errno(err, MULTIFD_ERROR_SYSTEM, errno, "eventfd");
    }
    return 0;
}

void waker_fini(struct waker *waker)
{
    if (waker->fd >= 0) {
        close(waker->fd);
        waker->fd = -1;
    }
}

void waker_arm(struct waker *waker)
{
    atomic_store(&waker->armed, true);
}

void waker_disarm(struct waker *waker, bool readable)
{
    uint64_t count;

    atomic_store(&waker->armed, false);
    /* A wake that was under way may still write after this: it then ends one later sleep early. */
    if (readable) {
        (void)!read(waker->fd, &count, sizeof(count));
    }
}

void waker_wake(struct waker *waker)
{
    const uint64_t one = 1;

    if (atomic_load(&waker->armed) && atomic_exchange(&waker->armed, false)) {
        (void)!write(waker->fd, &one, sizeof(one));
    }
}

void waker_sleep(struct waker *waker, int timeout_ms)
{
    struct pollfd fd = {.fd = waker->fd, .events = POLLIN};
    uint64_t count;

    if (timeout_ms >= 0) {
        waker_disarm(waker, poll(&fd, 1, timeout_ms) > 0);
        return;
    }
    (void)!read(waker->fd, &count, sizeof(count)); /* sleeps by itself: one system call, not two */
    waker_disarm(waker, false);
}
