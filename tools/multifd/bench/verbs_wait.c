/* SPDX-License-Identifier: MIT */
#include "verbs_wait.h"

#include "clocks.h"
#include "fail.h"
#include "message.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <time.h>

#define WAIT_MS     10000
#define CLOCK_EVERY 1024 /* polls between two looks at the clock */

/* How long to sleep before the queue is looked at without an event: some devices lose events. */
#define NET_MS 10

/* On one processor the other side of a loopback is waited for; that of another host is not there.
 */
#define NAP_LOOPBACK 1
#define NAP_APART    50000

static bool has_one_processor(void)
{
    cpu_set_t allowed;

    return sched_getaffinity(0, sizeof(allowed), &allowed) == 0 && CPU_COUNT(&allowed) == 1;
}

void verbs_wait_init(struct verbs_wait *wait, const struct bench_case *bench,
                     const struct verbs_link *link)
{
    *wait = (struct verbs_wait){.completions = link->completions, .events = bench->events};
    if (has_one_processor()) {
        wait->nap_after = bench->same_host ? NAP_LOOPBACK : NAP_APART;
    }
}

const char *verbs_wait_name(const struct verbs_wait *wait)
{
    if (wait->events) {
        return "events";
    }
    return wait->nap_after == NAP_LOOPBACK ? "napping" : "polling";
}

static int fail_late(struct multifd_error *err)
{
    return tool_fail(err, MULTIFD_ERROR_TIMEOUT, "no message from the other side within %d s",
                     WAIT_MS / 1000);
}

/* ---- Spinning ---- */

struct spin {
    uint64_t polls;
    uint64_t deadline_ns; /* 0 until the clock has been looked at */
};

/* After a poll that found nothing; false when it has lasted too long. */
static bool spin_on(const struct verbs_wait *wait, struct spin *spin)
{
    spin->polls++;
    if (wait->nap_after != 0 && spin->polls % wait->nap_after == 0) {
        (void)nanosleep(&(struct timespec){.tv_nsec = 1}, NULL);
    }
    if (spin->polls % CLOCK_EVERY != 0) {
        return true;
    }
    uint64_t now = now_ns();
    if (spin->deadline_ns == 0) {
        spin->deadline_ns = now + UINT64_C(1000000) * WAIT_MS;
    }
    return now < spin->deadline_ns;
}

static int spin_for_completion(const struct verbs_wait *wait, struct ibv_cq *cq,
                               struct ibv_wc *completion, struct multifd_error *err)
{
    struct spin spin = {0};

    for (;;) {
        int got = verbs_poll(cq, completion, 1, err);

        if (got != 0) {
            return got < 0 ? -1 : 0;
        }
        if (!spin_on(wait, &spin)) {
            return fail_late(err);
        }
    }
}

int verbs_wait_message(const struct verbs_wait *wait, const uint8_t *bytes, uint64_t size,
                       uint64_t number, struct multifd_error *err)
{
    struct spin spin = {0};

    while (!message_has_stamp(bytes, size, number)) {
        if (!spin_on(wait, &spin)) {
            return fail_late(err);
        }
    }
    return 0;
}

/* ---- Sleeping ---- */

/* Until an event comes, but not for long; whether one came, or -1. */
static int sleep_once(const struct verbs_wait *wait, struct multifd_error *err)
{
    struct pollfd poll_fd = {.fd = wait->completions->fd, .events = POLLIN};
    struct ibv_cq *cq;
    void *context;

    if (poll(&poll_fd, 1, NET_MS) <= 0) {
        return 0;
    }
    if (ibv_get_cq_event(wait->completions, &cq, &context) != 0) {
        return tool_fail(err, MULTIFD_ERROR_DEVICE, "ibv_get_cq_event: %s", strerror(errno));
    }
    ibv_ack_cq_events(cq, 1);
    return 1;
}

/* A completion that came before the queue was armed makes no event: so it is polled once more. */
static int sleep_for_completion(const struct verbs_wait *wait, struct ibv_cq *cq,
                                struct ibv_wc *completion, struct multifd_error *err)
{
    int in_vain = 0;

    for (bool armed = false; in_vain < WAIT_MS / NET_MS; armed = !armed) {
        int got = verbs_poll(cq, completion, 1, err);

        if (got != 0) {
            return got < 0 ? -1 : 0;
        }
        if (!armed) {
            int status = ibv_req_notify_cq(cq, 0);

            if (status != 0) {
                return tool_fail(err, MULTIFD_ERROR_DEVICE, "ibv_req_notify_cq: %s",
                                 strerror(status));
            }
            continue;
        }
        got = sleep_once(wait, err);
        if (got < 0) {
            return -1;
        }
        in_vain += got == 0;
    }
    return fail_late(err);
}

int verbs_wait_completion(const struct verbs_wait *wait, struct ibv_cq *cq,
                          struct ibv_wc *completion, struct multifd_error *err)
{
    return wait->events ? sleep_for_completion(wait, cq, completion, err)
                        : spin_for_completion(wait, cq, completion, err);
}
