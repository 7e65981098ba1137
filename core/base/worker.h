/* SPDX-License-Identifier: MIT */
/*
 * worker - a session's threads, and the processor time that they have used.
 *
 * A group knows the workers that run, and the time of those that have ended. Both change and are
 * read under its lock: a worker's thread enters the group before all else and leaves it as the last
 * thing it does, when it adds its time to that of the ended ones. So whoever holds the lock finds
 * only threads that exist in the group, each with its own clock, not with that of a later thread
 * which got the same id; and no time is lost or counted twice, so what is read never shrinks.
 * Nothing else is locked meanwhile, and no thread takes the lock but where it begins and ends.
 */
#ifndef MULTIFD_BASE_WORKER_H
#define MULTIFD_BASE_WORKER_H

#include <multifd_error.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct worker_group;

/* One thread; its memory is the owner's, from worker_start to worker_join and as long as its time
 * is asked for. */
struct worker {
    pthread_t thread;
    struct worker_group *group;
    void (*work)(void *arg);
    void *arg;

    /* Under the group's lock. */
    struct worker *next; /* that runs */
    bool running;
    clockid_t clock; /* the thread's, while it runs */
    uint64_t cpu_ns; /* what it showed at the end */
};

/* NULL on error. */
struct worker_group *worker_group_new(struct multifd_error *err);

/* All its workers have been joined. Sets *group to NULL; accepts NULL. */
void worker_group_delete(struct worker_group **group);

/* The processor time of all its workers so far, the ended ones included. Any thread. */
uint64_t worker_group_cpu_ns(struct worker_group *group);

/*
 * Fills *worker and starts its thread, which calls work(arg). 0, or -1 with *err and no thread.
 */
int worker_start(struct worker *worker, struct worker_group *group, void (*work)(void *arg),
                 void *arg, struct multifd_error *err);

/* Waits until work has returned; once. */
void worker_join(struct worker *worker);

/* The processor time of a worker that was started, so far or up to its end. Any thread. */
uint64_t worker_cpu_ns(const struct worker *worker);

#endif
