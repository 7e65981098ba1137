/* SPDX-License-Identifier: MIT */
#include "peer_watch.h"

#include "fail.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct peer_watch {
    int peer_fd;
    int stop_fd;
    void (*gone)(void *arg);
    void *arg;
    pthread_t thread;
};

/* What the peer sends meanwhile stays where it is, and does not wake. */
static void *watch_peer(void *arg)
{
    struct peer_watch *watch = arg;
    struct pollfd fds[] = {{.fd = watch->peer_fd, .events = POLLRDHUP},
                           {.fd = watch->stop_fd, .events = POLLIN}};

    while (poll(fds, 2, -1) < 0) {
    }
    if (fds[1].revents == 0) {
        watch->gone(watch->arg);
    }
    return NULL;
}

struct peer_watch *peer_watch_start(const struct peer *peer, void (*gone)(void *arg), void *arg,
                                    struct multifd_error *err)
{
    struct peer_watch *watch = calloc(1, sizeof(*watch));

    if (watch == NULL) {
        (void)tool_fail(err, MULTIFD_ERROR_SYSTEM, "no memory");
        return NULL;
    }
    watch->peer_fd = peer_fd(peer);
    watch->gone = gone;
    watch->arg = arg;
    watch->stop_fd = eventfd(0, EFD_CLOEXEC);
    if (watch->stop_fd < 0) {
        (void)tool_fail(err, MULTIFD_ERROR_SYSTEM, "eventfd: %s", strerror(errno));
        goto free_watch;
    }
    if (pthread_create(&watch->thread, NULL, watch_peer, watch) != 0) {
        (void)tool_fail(err, MULTIFD_ERROR_SYSTEM, "no thread");
        goto close_stop;
    }
    return watch;

close_stop:
    (void)close(watch->stop_fd);
free_watch:
    free(watch);
    return NULL;
}

void peer_watch_stop(struct peer_watch **watch)
{
    const uint64_t one = 1;

    if (*watch == NULL) {
        return;
    }
    (void)!write((*watch)->stop_fd, &one, sizeof(one));
    (void)pthread_join((*watch)->thread, NULL);
    (void)close((*watch)->stop_fd);
    free(*watch);
    *watch = NULL;
}
