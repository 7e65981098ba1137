/* SPDX-License-Identifier: MIT */
/*
 * Each system call on sockets fails once, in each of the ways in which it can. Where that means
 * nothing but to try again, the session goes well; else an error names the cause. Nobody hangs, and
 * no descriptor is left.
 *
 * The environment variable SESSION_FAULT_STRIDE is as in test_faults.c.
 */
#include "check.h"
#include "socket_faults.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { MOST_POINTS = 5000 };

static const struct pair_setting nocomp[] = {{"timeout", "1s"}, {"channels", "2"}, {NULL, NULL}};
static const struct pair_setting zstd[] = {
    {"timeout", "1s"}, {"channels", "2"}, {"method", "zstd"}, {NULL, NULL}};

static int two_rounds(struct session_pair *pair, uint32_t round, struct multifd_error *err)
{
    return pair_queue_block(pair, round, err);
}

static unsigned long stride(void)
{
    const char *set = getenv("SESSION_FAULT_STRIDE");
    unsigned long wanted = set == NULL ? 0 : strtoul(set, NULL, 10);

    return wanted != 0 ? wanted : slow_build() ? 31 : 13; /* odd: both settings */
}

static unsigned descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    unsigned open = 0;

    assert_non_null(folder);
    while (readdir(folder) != NULL) {
        open++;
    }
    closedir(folder);
    return open;
}

struct way {
    int errnum;
    bool harmless;
    const char *words; /* what an error says of it, separated by '|' */
};

static const struct way ways[] = {
    {SOCKET_FAULT_SHORT, true, ""},
    {EAGAIN, true, ""},
    {EINTR, true, ""}, /* but for connect, of which the kernel says that it never comes to that */
    {ECONNRESET, false, "closed the connection"},
    {ENOMEM, false, "Cannot allocate memory|closed the connection"},
};

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

static bool is_named(struct session_pair *pair, const char *words)
{
    char log[PAIR_LOG_BYTES];

    pair_log(&pair->destination_side, log);
    return has(pair->source_side.err.message, words) ||
           has(pair->destination_side.err.message, words) || has(log, words);
}

static void check_point(struct session_pair *pair, const struct way *way, const char *call)
{
    bool finished = pair->source_side.status == 0 && pair->destination_side.status == 0;
    bool connecting;

    CHECK(pair, pair_sockets() == 0);
    CHECK(pair, pair_source_untouched(pair));
    if (finished) {
        CHECK(pair, pair_equal(pair));
        return;
    }
    CHECK(pair, call != NULL);
    connecting = call != NULL && strcmp(call, "connect") == 0;
    CHECK(pair, !way->harmless || (way->errnum == EINTR && connecting));
    CHECK(pair, is_named(pair, way->words));
    /* After the destination has said that it agrees, one side's trouble is its own. */
    CHECK(pair, pair->port == 0 || pair->source_side.rounds == pair->plan.rounds ||
                    (pair->source_side.status != 0 && pair->destination_side.status != 0));
}

/* False when so many calls are not made. */
static bool point(const struct way *way, unsigned long n)
{
    struct pair_plan plan = {.settings = n % 2 != 0 ? nocomp : zstd,
                             .rounds = 2,
                             .queue = two_rounds,
                             .blocks = {{"one", (1 << 20) + (1 << 19)}, {"two", 5 * 4096}}};
    struct session_pair *pair;
    const char *call;
    char name[96] = "a call fails";
    bool more;

    plan.name = name;
    pair = pair_new(&plan);
    socket_faults_set(n, way->errnum);
    pair_run(pair);
    more = socket_faults_calls() >= n;
    call = socket_faults_struck();
    socket_faults_set(0, 0);
    snprintf(name, sizeof(name), "call %lu, %s: %s", n, call == NULL ? "left alone" : call,
             way->errnum < 0 ? "one byte" : strerror(way->errnum));
    check_point(pair, way, call);
    pair_delete(&pair);
    return more;
}

static void sweep(const struct way *way)
{
    unsigned before = descriptors();
    unsigned long step = stride();
    unsigned long n = 1;

    while (point(way, n)) {
        n += step;
        assert_true(n < MOST_POINTS);
    }
    assert_int_equal(descriptors(), before);
    print_message("%lu points (every %lu.)\n", (n - 1) / step, step);
}

static void nth_call(void **state)
{
    (void)state;
    socket_faults_count_polls(0);
    for (size_t i = 0; i < COUNT_OF(ways); i++) {
        sweep(&ways[i]);
    }
}

/* How often poll(2) is called is a matter of time: some of the first calls do. */
static void nth_poll(void **state)
{
    (void)state;
    socket_faults_count_polls(1); /* among the others */
    for (unsigned long n = 1; n < (slow_build() ? 40 : 150); n += stride()) {
        point(&ways[2], n);
        point(&ways[4], n);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(nth_call),
        cmocka_unit_test(nth_poll),
    };
    int failed;

    pair_transport = PAIR_TCP;
    failed = cmocka_run_group_tests_name("socket faults, tcp", tests, NULL, NULL);
    pair_transport = PAIR_UNIX;
    return failed + cmocka_run_group_tests_name("socket faults, unix", tests, NULL, NULL);
}
