/* SPDX-License-Identifier: MIT */
/*
 * Everything that can fail is made to fail once: each call of verbs and rdma_cm, each clean-up
 * call, both, each completion, each connection event, and the wire.
 *
 * What is expected each time: no hang (the watchdog), the source's memory untouched (it is
 * read-only), zero live objects, and unless both sides could go on, an error on both, of which one
 * names the cause.
 *
 * The environment variable SESSION_FAULT_STRIDE makes the sweeps take every n-th point only. It is
 * 3 by default, 8 under a sanitizer; 1 covers every point.
 */
#include "check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { ERRNO = ENOSPC, MOST_POINTS = 2000 };

enum mode { ALL, ON_DEMAND, ODP };

/* When memory is registered, in all sessions of a test. */
static const char *registration = "all";

/* A method with staging, which has calls of its own; what it cannot shrink goes as it is. */
static const struct pair_setting quick[] = {{"timeout", "1s"},  {"channels", "2"},
                                            {"window", "2"},    {"piece-size", "1M"},
                                            {"method", "zstd"}, {NULL, NULL}};

static unsigned long stride(void)
{
    const char *set = getenv("SESSION_FAULT_STRIDE");
    unsigned long wanted = set == NULL ? 0 : strtoul(set, NULL, 10);

    return wanted != 0 ? wanted : slow_build() ? 8 : 3;
}

static int two_rounds(struct session_pair *pair, uint32_t round, struct multifd_error *err)
{
    return pair_queue_block(pair, round, err);
}

static void configure(struct session_pair *pair, struct multifd_options *options, bool source)
{
    (void)pair;
    (void)source;
    assert_int_equal(multifd_options_set(options, "registration", registration, NULL), 0);
}

static const struct pair_plan small_plan = {
    .settings = quick,
    .configure = configure,
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
    options.odp = strcmp(registration, "odp") == 0;
    fabric_reset(&options);
}

/* Calls whose failure is told in other words. */
static const char *words_of(const char *call)
{
    static const char *const table[][2] = {
        {"rdma_bind_addr", "cannot listen on"},
        {"rdma_listen", "cannot listen on"},
        /* Asked for on-demand paging too, which nobody vouches for then. */
        {"ibv_query_device", "ibv_query_device|needs on-demand paging"},
    };

    for (size_t i = 0; i < COUNT_OF(table); i++) {
        if (strcmp(table[i][0], call) == 0) {
            return table[i][1];
        }
    }
    return call;
}

/* Whether a text has one of the words, which are separated by '|'. */
static bool has(const char *text, const char *words)
{
    char alternatives[128];
    char *rest = alternatives;
    char *word;

    snprintf(alternatives, sizeof(alternatives), "%s", words);
    while ((word = strsep(&rest, "|")) != NULL) {
        if (strstr(text, word) != NULL) {
            return true;
        }
    }
    return false;
}

static bool names(const struct multifd_error *err, const char *words)
{
    return err->code != MULTIFD_OK && has(err->message, words);
}

/*
 * A connection for control that breaks while it is made is no session yet: the destination logs it
 * and waits for the next.
 */
static bool logged(struct session_pair *pair, const char *words)
{
    char log[PAIR_LOG_BYTES];

    pair_log(&pair->destination_side, log);
    return pair->asked_for_nobody && has(log, words);
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
    CHECK(pair, names(&pair->source_side.err, words) || names(&pair->destination_side.err, words) ||
                    logged(pair, words));
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

static bool verbose(void)
{
    return getenv("SESSION_FAULT_VERBOSE") != NULL;
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
        if (verbose()) {
            print_message("%s: went on without %s\n", name, fabric_failed_call_name());
        }
        (*recovered)++;
    }
    pair_delete(&pair);
    return call != 0 ? fabric_calls() >= call : struck;
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
    print_message("%lu points (every %lu.), %lu recovered\n", (n - 1) / step, step, recovered);
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

/* The ways of registering have other calls on other threads; what they share was swept before. */
static void sweep_mode(const char *mode)
{
    registration = mode;
    sweep(false, true, false);
    sweep(true, false, true);
    registration = "all";
}

static void nth_call_on_demand(void **state)
{
    (void)state;
    sweep_mode("on-demand");
}

static void nth_call_odp(void **state)
{
    (void)state;
    sweep_mode("odp");
}

/* ---- Completions ---- */

struct failure {
    enum ibv_wc_status status;
    const char *words; /* what an error says about it */
};

static const struct failure failures[] = {
    {IBV_WC_RETRY_EXC_ERR, NULL},
    {IBV_WC_REM_ACCESS_ERR, NULL},
    {IBV_WC_LOC_PROT_ERR, NULL},
    {IBV_WC_RNR_RETRY_EXC_ERR, NULL},
    {IBV_WC_GENERAL_ERR,
     NULL}, /* Without a cause of its own: the queue pair just is in the error state. */
    {IBV_WC_WR_FLUSH_ERR, "broke|closed the connection|retry counter exceeded"},
};

static bool completion_point(const struct failure *failure, unsigned long n,
                             unsigned long *recovered)
{
    const char *words =
        failure->words != NULL ? failure->words : ibv_wc_status_str(failure->status);
    struct pair_plan plan = small_plan;
    struct session_pair *pair;
    char name[96];
    bool struck;

    snprintf(name, sizeof(name), "completion %lu fails: %s", n, words);
    plan.name = name;
    restart(n % 2 != 0);
    pair = pair_new(&plan);
    fabric_fail_completion(n, failure->status);
    pair_run(pair);
    struck = fabric_completion_failed();
    if (!struck) {
        check_finished(pair);
    } else if (check_fault(pair, words)) {
        (*recovered)++;
    }
    pair_delete(&pair);
    return struck;
}

/* Each completion fails with one of the statuses; each status has its turn at every place over
 * time. */
static void nth_completion(void **state)
{
    unsigned long recovered = 0;
    unsigned long step = stride();
    unsigned long points = 0;

    (void)state;
    for (size_t turn = 0; turn < (slow_build() ? 1 : COUNT_OF(failures)); turn++) {
        unsigned long n = 1;

        while (completion_point(&failures[(n / step + turn) % COUNT_OF(failures)], n, &recovered)) {
            n += step;
            points++;
            assert_true(n < MOST_POINTS);
        }
    }
    print_message("%lu points (every %lu.), %lu recovered\n", points, step, recovered);
}

static void nth_completion_on_demand(void **state)
{
    registration = "on-demand";
    nth_completion(state);
    registration = "all";
}

/* ---- Connection events ---- */

struct event_fault {
    enum rdma_cm_event_type from;
    int to;
    int status;
    const char *words;
};

static const struct event_fault event_faults[] = {
    {RDMA_CM_EVENT_ADDR_RESOLVED, RDMA_CM_EVENT_ADDR_ERROR, -ENODEV, "cannot reach"},
    {RDMA_CM_EVENT_ADDR_RESOLVED, FABRIC_EVENT_LOST, 0, "did not answer in time"},
    {RDMA_CM_EVENT_ROUTE_RESOLVED, RDMA_CM_EVENT_ROUTE_ERROR, -ENETUNREACH, "cannot reach"},
    {RDMA_CM_EVENT_ROUTE_RESOLVED, FABRIC_EVENT_LOST, 0, "did not answer in time"},
    {RDMA_CM_EVENT_CONNECT_REQUEST, FABRIC_EVENT_LOST, 0, "did not answer in time"},
    {RDMA_CM_EVENT_CONNECT_RESPONSE, RDMA_CM_EVENT_UNREACHABLE, -ETIMEDOUT, "cannot reach"},
    {RDMA_CM_EVENT_CONNECT_RESPONSE, RDMA_CM_EVENT_REJECTED, 28, "refused the connection"},
    {RDMA_CM_EVENT_CONNECT_RESPONSE, RDMA_CM_EVENT_REJECTED, 8, "nobody listens"},
    {RDMA_CM_EVENT_CONNECT_RESPONSE, FABRIC_EVENT_LOST, 0, "did not answer in time"},
    {RDMA_CM_EVENT_ESTABLISHED, RDMA_CM_EVENT_CONNECT_ERROR, -EIO, "cannot reach"},
    {RDMA_CM_EVENT_ESTABLISHED, RDMA_CM_EVENT_DISCONNECTED, 0, "closed the connection"},
    {RDMA_CM_EVENT_ESTABLISHED, FABRIC_EVENT_LOST, 0, "did not answer in time|been silent"},
};

static void event_point(const struct event_fault *fault, unsigned long n, bool strict)
{
    struct pair_plan plan = small_plan;
    struct session_pair *pair;
    char name[128];

    snprintf(name, sizeof(name), "%s %lu becomes %s%s", rdma_event_str(fault->from), n,
             fault->to < 0 ? "lost" : rdma_event_str((enum rdma_cm_event_type)fault->to),
             strict ? ", strict" : "");
    plan.name = name;
    restart(strict);
    pair = pair_new(&plan);
    fabric_fail_event(fault->from, n, fault->to, fault->status);
    pair_run(pair);
    CHECK(pair, !ended_well(pair));
    check_fault(pair, fault->words);
    pair_delete(&pair);
}

/* The first connection is the control connection's, the second and third are the channels'. */
static void nth_event(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(event_faults); i++) {
        for (unsigned long n = 1; n <= 3; n++) {
            event_point(&event_faults[i], n, n % 2 != 0);
        }
    }
}

/* Nobody is told of a disconnect: what follows from it is noticed in time all the same. */
static void lost_disconnect(void **state)
{
    (void)state;
    for (unsigned long n = 1; n <= 3; n++) {
        struct pair_plan plan = small_plan;
        struct session_pair *pair;

        plan.name = "a disconnect lost";
        restart(true);
        pair = pair_new(&plan);
        fabric_fail_event(RDMA_CM_EVENT_DISCONNECTED, n, FABRIC_EVENT_LOST, 0);
        fabric_fail_call_named("ibv_post_send", 15, EIO);
        pair_run(pair);
        CHECK(pair, !check_fault(pair, "ibv_post_send"));
        pair_delete(&pair);
    }
}

/* ---- The wire ---- */

static void *cut_later(void *us)
{
    usleep(*(const unsigned *)us);
    fabric_cut(true);
    return NULL;
}

static void wire_cut(void **state)
{
    unsigned us = 0;

    (void)state;
    for (unsigned i = 0; i < (slow_build() ? 4 : 12); i++) {
        struct pair_plan plan = small_plan;
        struct session_pair *pair;
        pthread_t thread;
        char name[64];

        us = us * 5 / 3 + 200 * i;
        snprintf(name, sizeof(name), "the wire is cut after %u us", us);
        plan.name = name;
        restart(i % 2 != 0);
        pair = pair_new(&plan);
        assert_int_equal(pthread_create(&thread, NULL, cut_later, &us), 0);
        pair_run(pair);
        pthread_join(thread, NULL);
        check_fault(pair, "");
        pair_delete(&pair);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(nth_completion),
    cmocka_unit_test(nth_event),
    cmocka_unit_test(lost_disconnect),
    cmocka_unit_test(wire_cut),
    cmocka_unit_test(nth_call),
    cmocka_unit_test(nth_call_strict),
    cmocka_unit_test(nth_cleanup_call),
    cmocka_unit_test(nth_call_and_a_cleanup_call),
    cmocka_unit_test(nth_call_on_demand),
    cmocka_unit_test(nth_call_odp),
    cmocka_unit_test(nth_completion_on_demand),
};

int main(void)
{
    return cmocka_run_group_tests_name("faults", tests, NULL, NULL);
}
