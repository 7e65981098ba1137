/* SPDX-License-Identifier: MIT */
#include "slices.h"

#include "clocks.h"
#include "fail.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct slice {
    struct slices *all;
    pthread_t thread;
    const uint8_t *bytes;
    uint64_t length;
    uint64_t start_ns; /* of the last round */
    uint64_t end_ns;
    bool zero;
};

/* The lock guards what follows it, and the slices' results until `working` is 0. */
struct slices {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t round; /* a thread works once in each */
    uint64_t working;
    bool ending;
    slice_fn *read;
    const void *opaque;
    uint64_t threads; /* that run */
    struct slice slice[];
};

/* Waits for the next round; false at the end of all. */
static bool wait_for_round(struct slices *slices, uint64_t done)
{
    (void)pthread_mutex_lock(&slices->lock);
    while (slices->round == done && !slices->ending) {
        (void)pthread_cond_wait(&slices->changed, &slices->lock);
    }
    bool more = !slices->ending;
    (void)pthread_mutex_unlock(&slices->lock);
    return more;
}

static void *work(void *arg)
{
    struct slice *slice = arg;
    struct slices *slices = slice->all;

    for (uint64_t round = 0; wait_for_round(slices, round); round++) {
        slice->start_ns = now_ns();
        slice->zero = slices->read(slices->opaque, slice->bytes, slice->length);
        slice->end_ns = now_ns();
        (void)pthread_mutex_lock(&slices->lock);
        slices->working--;
        (void)pthread_cond_broadcast(&slices->changed);
        (void)pthread_mutex_unlock(&slices->lock);
    }
    return NULL;
}

static int start(struct slices *slices, const struct bench_memory *memory, uint64_t threads,
                 struct multifd_error *err)
{
    uint64_t length = memory->length / threads / memory->page_size * memory->page_size;

    for (uint64_t i = 0; i < threads; i++) {
        struct slice *slice = &slices->slice[i];

        *slice = (struct slice){.all = slices, .bytes = memory->bytes + i * length};
        slice->length = i + 1 < threads ? length : memory->length - i * length;
        int status = pthread_create(&slice->thread, NULL, work, slice);
        if (status != 0) {
            return tool_fail(err, MULTIFD_ERROR_SYSTEM, "pthread_create: %s", strerror(status));
        }
        slices->threads++;
    }
    return 0;
}

struct slices *slices_new(const struct bench_memory *memory, uint64_t threads,
                          struct multifd_error *err)
{
    if (threads > memory->length / memory->page_size) {
        (void)tool_fail(err, MULTIFD_ERROR_INVALID, "option threads: more than there are pages");
        return NULL;
    }
    struct slices *slices = calloc(1, sizeof(*slices) + threads * sizeof(slices->slice[0]));
    if (slices == NULL) {
        (void)tool_fail(err, MULTIFD_ERROR_SYSTEM, "no memory");
        return NULL;
    }
    (void)pthread_mutex_init(&slices->lock, NULL);
    (void)pthread_cond_init(&slices->changed, NULL);
    if (start(slices, memory, threads, err) != 0) {
        slices_delete(&slices);
    }
    return slices;
}

void slices_delete(struct slices **slices)
{
    struct slices *gone = *slices;

    if (gone == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&gone->lock);
    gone->ending = true;
    (void)pthread_cond_broadcast(&gone->changed);
    (void)pthread_mutex_unlock(&gone->lock);
    for (uint64_t i = 0; i < gone->threads; i++) {
        (void)pthread_join(gone->slice[i].thread, NULL);
    }
    (void)pthread_cond_destroy(&gone->changed);
    (void)pthread_mutex_destroy(&gone->lock);
    free(gone);
    *slices = NULL;
}

bool slices_read(struct slices *slices, slice_fn *read, const void *opaque, uint64_t *ns)
{
    uint64_t start_ns = UINT64_MAX;
    uint64_t end_ns = 0;
    bool zero = true;

    (void)pthread_mutex_lock(&slices->lock);
    slices->read = read;
    slices->opaque = opaque;
    slices->working = slices->threads;
    slices->round++;
    (void)pthread_cond_broadcast(&slices->changed);
    while (slices->working != 0) {
        (void)pthread_cond_wait(&slices->changed, &slices->lock);
    }
    (void)pthread_mutex_unlock(&slices->lock);
    for (uint64_t i = 0; i < slices->threads; i++) {
        const struct slice *slice = &slices->slice[i];

        start_ns = slice->start_ns < start_ns ? slice->start_ns : start_ns;
        end_ns = slice->end_ns > end_ns ? slice->end_ns : end_ns;
        zero = zero && slice->zero;
    }
    *ns = end_ns - start_ns;
    return zero;
}
