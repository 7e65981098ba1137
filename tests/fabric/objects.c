/*
 * SPDX-License-Identifier: MIT
 *
 * Options, the registry of live objects, and the few helpers everything needs.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "fabric_internal.h"

static const struct fabric_options defaults = {
    .devices = 1,
    .max_qp_wr = 16384,
    .max_sge = 30,
    .max_cqe = 65536,
    .max_inline = 512,
    .max_msg_sz = 1U << 30,
    .max_mr_size = UINT64_MAX,
    .active_mtu = IBV_MTU_4096,
    .retry_timeout_ms = 500,
};

static const char *const kind_names[FABRIC_KINDS] = {
    "event channels",
    "cm ids",
    "unacknowledged cm events",
    "device lists",
    "contexts",
    "protection domains",
    "memory regions",
    "completion channels",
    "completion queues",
    "unacknowledged cq events",
    "queue pairs",
};

/* Read from every thread while only fabric_reset() writes; each reset has its own copy. */
static _Atomic(struct fabric_options *) current;
static pthread_mutex_t registry = PTHREAD_MUTEX_INITIALIZER;
static unsigned int epoch;
static unsigned long live[FABRIC_KINDS];

const struct fabric_options *fabric_opts(void)
{
    return atomic_load(&current);
}

void fabric_options_init(struct fabric_options *options)
{
    *options = defaults;
}

void fabric_misuse(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    fputs("fabric: misuse: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    abort();
}

void *fabric_calloc(size_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size ? size : 1);

    if (!memory) {
        fabric_misuse("out of memory");
    }
    return memory;
}

static void reset(const struct fabric_options *options)
{
    struct fabric_options *copy = fabric_calloc(1, sizeof(*copy));

    *copy = options ? *options : defaults;
    /* Wire threads of objects that a failed test left behind may still read the previous options.
     */
    static struct fabric_options *all[2];
    free(all[0]);
    all[0] = all[1];
    all[1] = copy;
    atomic_store(&current, copy);

    pthread_mutex_lock(&registry);
    epoch++;
    for (int kind = 0; kind < FABRIC_KINDS; kind++) {
        live[kind] = 0;
    }
    pthread_mutex_unlock(&registry);

    fabric_devices_make(copy->devices);
    fabric_faults_reset();
    fabric_wire_reset();
    fabric_mr_reset();
    fabric_cq_events_reset();
}

void fabric_reset(const struct fabric_options *options)
{
    reset(options);
}

__attribute__((constructor)) static void start(void)
{
    reset(NULL);
}

void fabric_object_add(struct fabric_object *object, enum fabric_kind kind)
{
    pthread_mutex_lock(&registry);
    object->kind = kind;
    object->epoch = epoch;
    object->users = 0;
    live[kind]++;
    pthread_mutex_unlock(&registry);
}

int fabric_object_remove(struct fabric_object *object)
{
    int error = 0;

    pthread_mutex_lock(&registry);
    if (object->users > 0) {
        error = EBUSY;
    } else if (object->epoch == epoch) {
        live[object->kind]--;
    }
    pthread_mutex_unlock(&registry);
    return error;
}

void fabric_object_use(struct fabric_object *object)
{
    pthread_mutex_lock(&registry);
    object->users++;
    pthread_mutex_unlock(&registry);
}

void fabric_object_unuse(struct fabric_object *object)
{
    pthread_mutex_lock(&registry);
    object->users--;
    pthread_mutex_unlock(&registry);
}

unsigned long fabric_live(enum fabric_kind kind)
{
    unsigned long count;

    if (kind == FABRIC_CQ_EVENT) {
        return fabric_unacked_cq_events();
    }
    pthread_mutex_lock(&registry);
    count = live[kind];
    pthread_mutex_unlock(&registry);
    return count;
}

unsigned long fabric_live_objects(void)
{
    unsigned long sum = 0;

    for (int kind = 0; kind < FABRIC_KINDS; kind++) {
        sum += fabric_live((enum fabric_kind)kind);
    }
    return sum;
}

void fabric_print_live_objects(void)
{
    for (int kind = 0; kind < FABRIC_KINDS; kind++) {
        unsigned long count = fabric_live((enum fabric_kind)kind);
        if (count > 0) {
            fprintf(stderr, "fabric: alive: %lu %s\n", count, kind_names[kind]);
        }
    }
}

uint64_t fabric_now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void fabric_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attributes;

    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attributes);
    pthread_condattr_destroy(&attributes);
}

void fabric_cond_wait_us(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t us)
{
    uint64_t due = fabric_now_us() + us;
    struct timespec until = {
        .tv_sec = (time_t)(due / 1000000),
        .tv_nsec = (long)(due % 1000000 * 1000),
    };

    pthread_cond_timedwait(cond, lock, &until);
}
