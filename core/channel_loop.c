/* SPDX-License-Identifier: MIT */
#include "core/channel_loop.h"

#include "core/base/clock.h"

/* An idle channel asks for a sign of life so many times within the limit. */
#define KEEPALIVES_PER_TIMEOUT 4

static bool ended(const struct channel_loop *loop)
{
    return atomic_load(loop->stop) || session_has_failed(loop->session);
}

static int step(const struct channel_loop *loop, bool *busy, struct multifd_error *err)
{
    if (loop->channel->ops->progress(loop->channel, err) != 0) {
        return -1;
    }
    return loop->step(loop->owner, busy, err);
}

/* Steps while there is work, and for the polling time beyond. */
static int work(const struct channel_loop *loop, struct multifd_error *err)
{
    uint64_t poll_ns = loop->session->poll_ns;
    uint64_t deadline = 0;
    bool busy = true;

    while (!ended(loop)) {
        if (step(loop, &busy, err) != 0) {
            return -1;
        }
        if (busy) {
            deadline = 0;
        } else if (poll_ns == 0) {
            break;
        } else if (deadline == 0) {
            deadline = clock_now_ns() + poll_ns;
        } else if (clock_now_ns() >= deadline) {
            break;
        }
    }
    return 0;
}

/* A channel that has slept for long is dead or has nothing to do: only a sign of life tells. */
static int keep_alive(const struct channel_loop *loop, int sleep_ms, uint32_t *slept_ms,
                      struct multifd_error *err)
{
    *slept_ms += (uint32_t)sleep_ms;
    if (*slept_ms < loop->session->options.transport.timeout_ms / KEEPALIVES_PER_TIMEOUT) {
        return 0;
    }
    *slept_ms = 0;
    return loop->channel->ops->keepalive(loop->channel, err);
}

static int longest_sleep_ms(const struct channel_loop *loop)
{
    uint64_t when = loop->not_before == NULL ? 0 : loop->not_before(loop->owner);
    int left = when == 0 ? TRANSPORT_SLEEP_MS_MAX : clock_ms_until(when);

    return left < TRANSPORT_SLEEP_MS_MAX ? left : TRANSPORT_SLEEP_MS_MAX;
}

static void begin_turn(const struct channel_loop *loop)
{
    if (loop->turn != NULL) {
        pthread_mutex_lock(loop->turn);
    }
}

static void end_turn(const struct channel_loop *loop)
{
    if (loop->turn != NULL) {
        pthread_mutex_unlock(loop->turn);
    }
}

/*
 * Sleeps until the device or another thread wakes this one, or its time has come. *slept_ms:
 * without being woken.
 */
static int sleep_once(const struct channel_loop *loop, uint32_t *slept_ms,
                      struct multifd_error *err)
{
    struct transport_channel *channel = loop->channel;
    struct pollfd fds[TRANSPORT_POLLFDS + 2];
    uint32_t num = channel->ops->pollfds(channel, fds);
    int sleep_ms = longest_sleep_ms(loop);
    int woken;

    fds[num] = (struct pollfd){.fd = loop->waker->fd, .events = POLLIN};
    fds[num + 1] = (struct pollfd){.fd = -1};
    if (loop->also_poll != NULL) {
        loop->also_poll(loop->owner, &fds[num + 1]);
    }
    end_turn(loop);
    woken = poll(fds, num + 2, sleep_ms);
    begin_turn(loop);
    if (woken < 0) {
        waker_disarm(loop->waker, false);
        return 0;
    }
    waker_disarm(loop->waker, fds[num].revents != 0);
    if (woken == 0) {
        return channel->ops->wake(channel, NULL, err) != 0
                   ? -1
                   : keep_alive(loop, sleep_ms, slept_ms, err);
    }
    *slept_ms = 0;
    return channel->ops->wake(channel, fds, err);
}

/* Asks to be woken, then looks once more: what came before the asking shows only there. */
static int arm_and_look(const struct channel_loop *loop, bool *busy, struct multifd_error *err)
{
    struct transport_channel *channel = loop->channel;

    waker_arm(loop->waker);
    if (channel->ops->arm(channel, loop->wants_completions(loop->owner), err) != 0) {
        return -1;
    }
    return step(loop, busy, err);
}

static int run(const struct channel_loop *loop, struct multifd_error *err)
{
    uint32_t slept_ms = 0;
    bool busy = true;

    while (!ended(loop)) {
        if (work(loop, err) != 0 || arm_and_look(loop, &busy, err) != 0) {
            return -1;
        }
        if (busy || ended(loop)) {
            waker_disarm(loop->waker, false);
            continue;
        }
        if (sleep_once(loop, &slept_ms, err) != 0) {
            return -1;
        }
    }
    return 0;
}

int channel_loop_run(const struct channel_loop *loop, struct multifd_error *err)
{
    int status;

    begin_turn(loop);
    status = run(loop, err);
    end_turn(loop);
    return status;
}
