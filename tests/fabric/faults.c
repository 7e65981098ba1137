/*
 * SPDX-License-Identifier: MIT
 *
 * Which call, completion or event fails. Everything is relaxed atomics: counting must not put an
 * order between threads that would hide their races from the thread sanitizer.
 */
#include <string.h>

#include "fabric_internal.h"

enum { NAMED_FAULTS = 8, KNOWN_NAMES = 64 };

struct counter {
    _Atomic unsigned long count;
    _Atomic unsigned long fail_at; /* the count that fails, 0: none */
    _Atomic int error;
};

struct named_counter {
    _Atomic(const char *) name;
    struct counter counter;
};

static struct counter classes[2];
static struct named_counter named[NAMED_FAULTS];
/* How often each function was called; the names are string literals of the callers. */
static struct named_counter known[KNOWN_NAMES];
static struct counter completions;
static _Atomic bool completion_struck;
static struct counter events;
static _Atomic int event_from, event_to;
static _Atomic unsigned long struck;
static _Atomic(const char *) first_failed; /* not counting clean-up */
static _Atomic(const char *) first_failed_cleanup;

static void counter_reset(struct counter *counter)
{
    atomic_store_explicit(&counter->fail_at, 0, memory_order_relaxed);
    atomic_store_explicit(&counter->count, 0, memory_order_relaxed);
    atomic_store_explicit(&counter->error, 0, memory_order_relaxed);
}

static void counter_set(struct counter *counter, unsigned long n, int error)
{
    unsigned long now = atomic_load_explicit(&counter->count, memory_order_relaxed);

    atomic_store_explicit(&counter->error, error, memory_order_relaxed);
    atomic_store_explicit(&counter->fail_at, n ? now + n : 0, memory_order_relaxed);
}

static int counter_hit(struct counter *counter)
{
    unsigned long count = atomic_fetch_add_explicit(&counter->count, 1, memory_order_relaxed) + 1;

    if (count != atomic_load_explicit(&counter->fail_at, memory_order_relaxed)) {
        return 0;
    }
    return atomic_load_explicit(&counter->error, memory_order_relaxed);
}

static unsigned long counter_read(const struct counter *counter)
{
    return atomic_load_explicit(&counter->count, memory_order_relaxed);
}

static bool has_name(const struct named_counter *entry, const char *name)
{
    const char *own = atomic_load_explicit(&entry->name, memory_order_relaxed);

    return own && strcmp(own, name) == 0;
}

static void count_name(const char *name)
{
    for (int i = 0; i < KNOWN_NAMES; i++) {
        const char *none = NULL;
        if (has_name(&known[i], name) ||
            atomic_compare_exchange_strong_explicit(&known[i].name, &none, name,
                                                    memory_order_relaxed, memory_order_relaxed) ||
            strcmp(none, name) == 0) {
            counter_hit(&known[i].counter);
            return;
        }
    }
}

int fabric_fault(enum fabric_call_class call_class, const char *name)
{
    int error = counter_hit(&classes[call_class]);
    const char *none = NULL;

    count_name(name);
    for (int i = 0; i < NAMED_FAULTS; i++) {
        if (has_name(&named[i], name)) {
            int named_error = counter_hit(&named[i].counter);
            error = error ? error : named_error;
        }
    }
    if (error) {
        atomic_fetch_add_explicit(&struck, 1, memory_order_relaxed);
        atomic_compare_exchange_strong(
            call_class == FABRIC_CLEANUP ? &first_failed_cleanup : &first_failed, &none, name);
    }
    return error;
}

bool fabric_completion_fault(enum ibv_wc_status *status)
{
    int error = counter_hit(&completions);

    if (error == 0) {
        return false;
    }
    *status = (enum ibv_wc_status)error;
    atomic_store_explicit(&completion_struck, true, memory_order_relaxed);
    return true;
}

bool fabric_event_fault(int *type, int *status)
{
    unsigned long fail_at = atomic_load_explicit(&events.fail_at, memory_order_relaxed);

    if (fail_at == 0 || *type != atomic_load_explicit(&event_from, memory_order_relaxed)) {
        return false;
    }
    if (atomic_fetch_add_explicit(&events.count, 1, memory_order_relaxed) + 1 != fail_at) {
        return false;
    }
    *type = atomic_load_explicit(&event_to, memory_order_relaxed);
    *status = atomic_load_explicit(&events.error, memory_order_relaxed);
    return true;
}

void fabric_faults_reset(void)
{
    counter_reset(&classes[FABRIC_CALL]);
    counter_reset(&classes[FABRIC_CLEANUP]);
    counter_reset(&completions);
    counter_reset(&events);
    for (int i = 0; i < NAMED_FAULTS; i++) {
        atomic_store(&named[i].name, NULL);
        counter_reset(&named[i].counter);
    }
    for (int i = 0; i < KNOWN_NAMES; i++) {
        counter_reset(&known[i].counter);
    }
    atomic_store(&completion_struck, false);
    atomic_store(&struck, 0);
    atomic_store(&first_failed, NULL);
    atomic_store(&first_failed_cleanup, NULL);
}

void fabric_fail_call(unsigned long n, int errno_)
{
    counter_set(&classes[FABRIC_CALL], n, errno_);
}

void fabric_fail_cleanup_call(unsigned long n, int errno_)
{
    counter_set(&classes[FABRIC_CLEANUP], n, errno_);
}

void fabric_fail_call_named(const char *name, unsigned long n, int errno_)
{
    for (int i = 0; i < NAMED_FAULTS; i++) {
        const char *none = NULL;
        if (atomic_load(&named[i].name) == NULL || has_name(&named[i], name)) {
            counter_reset(&named[i].counter);
            counter_set(&named[i].counter, n, errno_);
            atomic_compare_exchange_strong(&named[i].name, &none, name);
            return;
        }
    }
    fabric_misuse("more than %d named faults", NAMED_FAULTS);
}

unsigned long fabric_calls(void)
{
    return counter_read(&classes[FABRIC_CALL]);
}

unsigned long fabric_cleanup_calls(void)
{
    return counter_read(&classes[FABRIC_CLEANUP]);
}

unsigned long fabric_calls_named(const char *name)
{
    for (int i = 0; i < KNOWN_NAMES; i++) {
        if (has_name(&known[i], name)) {
            return counter_read(&known[i].counter);
        }
    }
    return 0;
}

unsigned long fabric_failed_calls(void)
{
    return atomic_load_explicit(&struck, memory_order_relaxed);
}

const char *fabric_failed_call_name(void)
{
    const char *failed = atomic_load(&first_failed);

    return failed ? failed : atomic_load(&first_failed_cleanup);
}

void fabric_fail_completion(unsigned long n, enum ibv_wc_status status)
{
    counter_set(&completions, n, (int)status);
}

unsigned long fabric_completions(void)
{
    return counter_read(&completions);
}

bool fabric_completion_failed(void)
{
    return atomic_load_explicit(&completion_struck, memory_order_relaxed);
}

void fabric_fail_event(enum rdma_cm_event_type from, unsigned long n, int to, int status)
{
    counter_reset(&events);
    atomic_store(&event_from, (int)from);
    atomic_store(&event_to, to);
    counter_set(&events, n, status);
}
