/* SPDX-License-Identifier: MIT */
/*
 * Everything that can fail is made to fail once: each call of verbs and rdma_cm, each clean-up call,
 * both, each completion, each connection event, and the wire.
 *
 * What is expected each time: no hang (the watchdog), the source's memory untouched (it is read-only),
 * zero live objects, and unless both sides could go on, an error on both, of which one names the cause.
 *
 * The environment variable SESSION_FAULT_STRIDE makes the sweeps take every n-th point only. Under a
 * sanitizer it is 3 by default, 1 otherwise.
 */
#include "check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { ERRNO = ENOSPC, MOST_POINTS = 2000 };

static const struct pair_setting quick[] = {
    {"timeout", "1s"}, {"channels", "2"}, {"window", "2"}, {"piece-size", "1M"}, {NULL, NULL}};

static unsigned long stride(void)
{
    const char *set = getenv("SESSION_FAULT_STRIDE");
    unsigned long wanted = set == NULL ? 0 : strtoul(set, NULL, 10);

    return wanted != 0 ? wanted : slow_build() ? 3 : 1;
}

static int two_rounds(struct session_pair *pair, uint32_t round, struct multifd_error *err)
{
    return pair_queue_block(pair, round, err);
}

static const struct pair_plan small_plan = {
    .settings = quick,
    .rounds = 2,
    .queue = two_rounds,
    .blocks = {{"one", (1 << 20) + (1 << 19)}, {"two", 5 * 4096}},
};

static void restart(bool strict)
{
    struct fabric_options options;

    fabric_options_init(&options);
    options.strict_cm = strict;
    options.retry_timeout_ms = 300;
    fabric_reset(&options);
}

/* Calls whose failure is told in other words. */
static const char *words_of(const char *call)
{
    static const char *const table[][2] = {
        {"rdma_bind_addr", "cannot listen on"},
        {"rdma_listen", "cannot listen on"},
    };

    for (size_t i = 0; i < COUNT_OF(table); i++) {
        if (strcmp(table[i][0], call) == 0) {
            return table[i][1];
        }
    }
    return call;
}

static bool names(const struct multifd_error *err, const char *words)
{
    return err->code != MULTIFD_OK && strstr(err->message, words) != NULL;
}

/*
 * A connection for control that breaks while it is made is no session yet: the destination logs it and
 * waits for the next.
 */
static bool logged(struct session_pair *pair, const char *words)
{
    char log[PAIR_LOG_BYTES];

    pair_log(&pair->destination_side, log);
    return pair->asked_for_nobody && strstr(log, words) != NULL;
}

static bool ended_well(const struct session_pair *pair)
{
    return pair->source_side.status == 0 && pair->destination_side.status == 0;
}

/* True when the session has gone well in spite of the fault. */
static bool check_fault(struct session_pair *pair, const char *words)
{
    bool listened = pair->port != 0;

    CHECK(pair, fabric_live_objects() == 0);
    CHECK(pair, pair_source_untouched(pair));
    CHECK(pair, pair_pages_old_or_new(pair));
    if (ended_well(pair)) {
        CHECK(pair, pair_equal(pair));
        return true;
    }
    CHECK(pair, names(&pair->source_side.err, words) ||
                    names(&pair->destination_side.err, words) || logged(pair, words));
    /* After the destination has said that it agrees, one side's trouble is its own. */
    CHECK(pair, !listened || pair->source_side.rounds == pair->plan.rounds ||
                    (pair->source_side.status != 0 && pair->destination_side.status != 0));
    CHECK(pair, !listened || pair->source_side.status == 0 ||
                    pair->source_side.err.code == pair->source_side.repeated.code);
    CHECK(pair, pair->destination_side.status == 0 ||
                    pair->destination_side.rounds < pair->plan.rounds ||
                    pair->source_side.status != 0 || pair->source_side.rounds == pair->plan.rounds);
    return false;
}

/* Runs one session with the n-th call failing; false when so many calls are not made. */
static bool sweep_point(bool strict, unsigned long call, unsigned long cleanup,
                        unsigned long *recovered)
{
    struct session_pair *pair;
    char name[96];
    struct pair_plan plan = small_plan;
    bool struck;

    snprintf(name, sizeof(name), "call %lu, clean-up call %lu%s", call, cleanup,
             strict ? ", strict" : "");
    plan.name = name;
    restart(strict);
    pair = pair_new(&plan);
    if (call != 0) {
        fabric_fail_call(call, ERRNO);
    }
    if (cleanup != 0) {
        fabric_fail_cleanup_call(cleanup, ERRNO);
    }
    pair_run(pair);
    struck = fabric_failed_calls() != 0;
    if (!struck) {
        check_finished(pair);
    } else if (check_fault(pair, words_of(fabric_failed_call_name()))) {
        (*recovered)++;
    }
    pair_delete(&pair);
    return struck;
}

static void sweep(bool strict, bool calls, bool cleanups)
{
    unsigned long recovered = 0;
    unsigned long step = stride();
    unsigned long n = 1;

    while (sweep_point(strict, calls ? n : 0, !cleanups ? 0 : calls ? n % 7 + 1 : n, &recovered)) {
        n += step;
        assert_true(n < MOST_POINTS);
    }
    print_message("%lu points (every %lu.), %lu recovered\n", n / step, step, recovered);
}

static void nth_call(void **state)
{
    (void)state;
    sweep(false, true, false);
}

static void nth_call_strict(void **state)
{
    (void)state;
    sweep(true, true, false);
}

static void nth_cleanup_call(void **state)
{
    (void)state;
    sweep(false, false, true);
}

static void nth_call_and_a_cleanup_call(void **state)
{
    (void)state;
    sweep(false, true, true);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(nth_call),
    cmocka_unit_test(nth_call_strict),
    cmocka_unit_test(nth_cleanup_call),
    cmocka_unit_test(nth_call_and_a_cleanup_call),
};

int main(void)
{
    return cmocka_run_group_tests_name("faults", tests, NULL, NULL);
}
