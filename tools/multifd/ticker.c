/* SPDX-License-Identifier: MIT */
#include "ticker.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#define NS_PER_S 1000000000u

struct ticker {
    uint64_t interval_ns;
    ticker_fn *fn;
    void *opaque;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stopping; /* under lock */
    pthread_t thread;
};

static uint64_t now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* Waits, with the lock held, until that time or the end. */
static void wait_until(struct ticker *ticker, uint64_t when)
{
    const struct timespec time = {(time_t)(when / NS_PER_S), (long)(when % NS_PER_S)};
    int rc = 0;

    while (!ticker->stopping && rc == 0) {
        rc = pthread_cond_timedwait(&ticker->wake, &ticker->lock, &time);
    }
}

static void *run(void *opaque)
{
    struct ticker *ticker = opaque;
    uint64_t next = now_ns() + ticker->interval_ns;

    pthread_mutex_lock(&ticker->lock);
    while (!ticker->stopping) {
        wait_until(ticker, next);
        if (!ticker->stopping) {
            ticker->fn(ticker->opaque);
            /* A call that was late, or took long, does not make those after it come in a bunch. */
            uint64_t now = now_ns();
            do {
                next += ticker->interval_ns;
            } while (next <= now);
        }
    }
    pthread_mutex_unlock(&ticker->lock);
    return NULL;
}

static void init_wake(struct ticker *ticker)
{
    pthread_condattr_t attributes;

    (void)pthread_mutex_init(&ticker->lock, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&ticker->wake, &attributes);
    (void)pthread_condattr_destroy(&attributes);
}

static void ticker_delete(struct ticker *ticker)
{
    (void)pthread_cond_destroy(&ticker->wake);
    (void)pthread_mutex_destroy(&ticker->lock);
    free(ticker);
}

struct ticker *ticker_start(uint64_t interval_ns, ticker_fn *fn, void *opaque)
{
    struct ticker *ticker = calloc(1, sizeof(*ticker));

    if (ticker == NULL) {
        return NULL;
    }
    ticker->interval_ns = interval_ns;
    ticker->fn = fn;
    ticker->opaque = opaque;
    init_wake(ticker);
    if (pthread_create(&ticker->thread, NULL, run, ticker) != 0) {
        ticker_delete(ticker);
        return NULL;
    }
    return ticker;
}

void ticker_stop(struct ticker **ticker)
{
    if (*ticker == NULL) {
        return;
    }
    pthread_mutex_lock(&(*ticker)->lock);
    (*ticker)->stopping = true;
    (void)pthread_cond_signal(&(*ticker)->wake);
    pthread_mutex_unlock(&(*ticker)->lock);
    (void)pthread_join((*ticker)->thread, NULL);
    ticker_delete(*ticker);
    *ticker = NULL;
}
