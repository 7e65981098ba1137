/* SPDX-License-Identifier: MIT */
/* The measurements of multifd bench, both sides of each in this process. */
#include "check.h"

#include "bench/bench_args.h"
#include "bench/client.h"
#include "bench/measurement.h"
#include "bench/results.h"
#include "bench/server.h"

#include <pthread.h>
#include <sched.h>

enum { SECONDS = 60, WORDS_MAX = 40, LINE_MAX_BYTES = 256 };

struct outcome {
    json_t *rows;
    int status;
    struct multifd_error err;
};

/* Runs a command line such as "send -n 5". */
static struct outcome run(const char *line)
{
    struct outcome outcome = {.rows = json_array()};
    char text[LINE_MAX_BYTES];
    char *argv[WORDS_MAX];
    int argc = 0;
    struct bench_args args;

    (void)snprintf(text, sizeof(text), "%s", line);
    for (char *word = strtok(text, " "); word != NULL; word = strtok(NULL, " ")) {
        argv[argc++] = word;
    }
    argv[argc] = NULL;
    const struct measurement *what = measurement_find(argv[0]);
    assert_non_null(what);
    watchdog_start(SECONDS, line);
    assert_int_equal(bench_args_parse(&args, what, argc, argv, &outcome.err), CLI_RUN);
    args.loopback = what->serve != NULL;
    args.address = what->serve != NULL ? "rdma:127.0.0.1" : NULL;
    json_t *cases = bench_args_cases(&args);
    json_t *results = json_pack("{s:O}", "rows", outcome.rows);
    outcome.status = client_measure(&args, cases, results, &outcome.err);
    json_decref(results);
    json_decref(cases);
    bench_args_clear(&args);
    watchdog_stop();
    return outcome;
}

/* Runs one that goes well, and leaves nothing behind; its rows. */
static json_t *run_well(const char *line, size_t rows)
{
    struct outcome outcome = run(line);

    if (outcome.status != 0) {
        fail_msg("%s: %s", line, outcome.err.message);
    }
    if (fabric_live_objects() != 0) {
        fabric_print_live_objects();
        fail_msg("%s: something is left", line);
    }
    assert_int_equal(json_array_size(outcome.rows), rows);
    return outcome.rows;
}

static double number_at(const json_t *row, const char *path)
{
    const json_t *value = results_member(row, path);

    if (!json_is_number(value)) {
        fail_msg("%s: no such number", path);
    }
    return json_number_value(value);
}

/* With one processor the sides nap, which is fast: with few of them they would spin against the
 * fabric's own threads. */
static int start(void **state)
{
    cpu_set_t allowed;
    cpu_set_t one;
    size_t first = 0;

    (void)state;
    fabric_reset(NULL);
    assert_int_equal(sched_getaffinity(0, sizeof(allowed), &allowed), 0);
    while (!CPU_ISSET(first, &allowed)) {
        first++;
    }
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    return sched_setaffinity(0, sizeof(one), &one);
}

static int start_on_all_processors(void **state)
{
    (void)state;
    fabric_reset(NULL);
    return 0;
}

/* ---- What queue pairs are brought up with ---- */

int __real_ibv_modify_qp(struct ibv_qp *qp, struct ibv_qp_attr *attr, int mask);
int __wrap_ibv_modify_qp(struct ibv_qp *qp, struct ibv_qp_attr *attr, int mask);

enum { QUEUE_PAIRS_MAX = 16 };

static struct {
    pthread_mutex_t lock; /* both sides bring theirs up */
    struct ibv_qp_attr ready_to_receive[QUEUE_PAIRS_MAX];
    struct ibv_qp_attr ready_to_send[QUEUE_PAIRS_MAX];
    size_t receivers;
    size_t senders;
} seen = {.lock = PTHREAD_MUTEX_INITIALIZER};

int __wrap_ibv_modify_qp(struct ibv_qp *qp, struct ibv_qp_attr *attr, int mask)
{
    (void)pthread_mutex_lock(&seen.lock);
    if ((mask & IBV_QP_PATH_MTU) != 0 && seen.receivers < QUEUE_PAIRS_MAX) {
        seen.ready_to_receive[seen.receivers++] = *attr;
    }
    if ((mask & IBV_QP_RETRY_CNT) != 0 && seen.senders < QUEUE_PAIRS_MAX) {
        seen.ready_to_send[seen.senders++] = *attr;
    }
    (void)pthread_mutex_unlock(&seen.lock);
    return __real_ibv_modify_qp(qp, attr, mask);
}

/* All of them, of both sides, as the options below say. */
static void assert_queue_pairs(size_t count)
{
    assert_int_equal(seen.receivers, count);
    assert_int_equal(seen.senders, count);
    for (size_t i = 0; i < count; i++) {
        const struct ibv_qp_attr *receive = &seen.ready_to_receive[i];
        const struct ibv_qp_attr *send = &seen.ready_to_send[i];

        assert_int_equal(receive->path_mtu, IBV_MTU_1024);
        assert_int_equal(receive->ah_attr.sl, 3);
        assert_int_equal(receive->ah_attr.grh.traffic_class, 32);
        assert_int_equal(receive->min_rnr_timer, 14);
        assert_int_equal(send->timeout, 9);
        assert_int_equal(send->retry_cnt, 2);
    }
}

#define DEVICE_OPTIONS                                                                             \
    " -m 1024 --sl 3 --tclass 32 --rnr-timer 14 --qp-timeout 9 --retry-count 2"                    \
    " -d fabric0 -i 1 -x 1"

/* ---- Tests ---- */

static void round_trips_of_each_verb(void **state)
{
    static const char *const lines[] = {
        "send -n 100 -s 1,2,9,236,237,8K",    "send -n 100 -s 1,2,9,236,237,8K -e",
        "write -n 100 -s 1,2,9,220,221,8K",   "read -n 100 -s 1,2,9,236,237,8K",
        "read -n 100 -s 1,2,9,236,237,8K -e",
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        json_t *rows = run_well(lines[i], 6);
        size_t index;
        json_t *row;

        json_array_foreach(rows, index, row)
        {
            assert_true(number_at(row, "latency.count") == 100);
            assert_true(number_at(row, "latency.min") > 0);
            assert_true(number_at(row, "latency.max") >= number_at(row, "latency.p50"));
        }
        json_decref(rows);
    }
    assert_int_equal(fabric_rnr_naks(), 0);
}

static void sides_that_spin(void **state)
{
    static const char *const lines[] = {"send -n 5 -s 1,4K", "write -n 5 -s 1,4K",
                                        "read -n 5 -s 2,4K"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        json_decref(run_well(lines[i], 2));
    }
}

static void a_time_limits_the_rounds(void **state)
{
    (void)state;
    json_t *rows = run_well("send -D 50ms", 1);

    assert_true(number_at(json_array_get(rows, 0), "latency.count") >= 10);
    json_decref(rows);
}

static void small_messages_travel_inline(void **state)
{
    (void)state;
    json_t *rows = run_well("write -n 1 -s 220,221", 2);

    assert_true(json_is_true(json_object_get(json_array_get(rows, 0), "inline")));
    assert_true(json_is_false(json_object_get(json_array_get(rows, 1), "inline")));
    json_decref(rows);
}

static void spoil(void *opaque, struct fabric_message *message)
{
    const unsigned *at = opaque;

    if (message->length == 333) {
        message->bytes[*at] ^= 1;
    }
}

static void damaged_messages_are_noticed(void **state)
{
    (void)state;
    for (unsigned at = 0; at < 333; at += 83) { /* of the number, of the pattern, of the end */
        fabric_reset(NULL);
        fabric_on_send(spoil, &at);
        struct outcome outcome = run("send -n 1 -s 333");
        assert_int_equal(outcome.status, -1);
        assert_non_null(strstr(outcome.err.message, "is not what was sent"));
        assert_int_equal(fabric_live_objects(), 0);
        json_decref(outcome.rows);
    }
    fabric_on_send(NULL, NULL);
}

static void bandwidth_beside_the_raw_loop(void **state)
{
    (void)state;
    json_t *rows = run_well("bandwidth -s 4K,512K -q 1,2 --memory 1M --repeat 2", 4);
    size_t index;
    json_t *row;

    json_array_foreach(rows, index, row)
    {
        assert_true(number_at(row, "session_gbps.min") > 0);
        assert_true(number_at(row, "raw_gbps.min") > 0);
        assert_true(number_at(row, "ratio.median") > 0);
    }
    json_decref(rows);
    rows = run_well("raw -s 4K -l 0,1,7 -q 3 --memory 1M --repeat 1", 3);
    assert_true(number_at(json_array_get(rows, 2), "raw_gbps.median") > 0);
    json_decref(rows);
}

/* A session and the raw loop beside it, the raw loop by itself, and the round trips. */
static void all_links_obey_the_device_options(void **state)
{
    static const struct {
        const char *line;
        size_t queue_pairs;
    } cases[] = {
        {"bandwidth -s 4K -q 2 --memory 1M --repeat 1" DEVICE_OPTIONS, 10},
        {"raw -s 4K -q 2 --memory 1M --repeat 1" DEVICE_OPTIONS, 4},
        {"send -n 1" DEVICE_OPTIONS, 2},
        {"write -n 1" DEVICE_OPTIONS, 2},
        {"read -n 1" DEVICE_OPTIONS, 2},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        seen.receivers = 0;
        seen.senders = 0;
        json_t *rows = run_well(cases[i].line, 1);
        assert_queue_pairs(cases[i].queue_pairs);
        assert_int_equal(number_at(json_array_get(rows, 0), "link.mtu"), 1024);
        json_decref(rows);
    }
}

static void device_options_that_cannot_be_obeyed(void **state)
{
    static const struct {
        const char *line;
        const char *reason;
    } cases[] = {
        {"raw --memory 1M -d other", "no device \"other\""},
        {"send -d fabric0 -i 2", "\"fabric0\" has no port 2"},
        {"send -d fabric0 -x 77", "no GID with index 77"},
        {"send -x 0", "gid-index needs ib-dev"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct outcome outcome = run(cases[i].line);
        assert_int_equal(outcome.status, -1);
        if (strstr(outcome.err.message, cases[i].reason) == NULL) {
            fail_msg("%s: \"%s\"", cases[i].line, outcome.err.message);
        }
        assert_int_equal(fabric_live_objects(), 0);
        json_decref(outcome.rows);
    }
}

static void mtu_above_the_paths(void **state)
{
    struct fabric_options options;

    (void)state;
    fabric_options_init(&options);
    options.active_mtu = IBV_MTU_1024;
    fabric_reset(&options);
    struct outcome outcome = run("send -m 2048");
    assert_int_equal(outcome.status, -1);
    assert_non_null(strstr(outcome.err.message, "mtu 2048 is above the path's MTU of 1024"));
    assert_int_equal(fabric_live_objects(), 0);
    json_decref(outcome.rows);
}

/* Packets of single pages take more than the queue has at once; whole ones do not. */
static void a_short_send_queue(void **state)
{
    (void)state;
    json_decref(run_well("raw --memory 4M --repeat 2 -s 4K,512K -t 129,300 --window 1,4", 8));
}

static void rounds_of_sessions(void **state)
{
    (void)state;
    json_t *rows = run_well("latency -s 4K,64K -n 30", 2);

    assert_true(number_at(json_array_get(rows, 1), "acknowledged.count") == 30);
    assert_true(number_at(json_array_get(rows, 1), "destination.applied.count") == 30);
    json_decref(rows);
    rows = run_well("sync -q 1,3 --load 0,2 -n 30", 4);
    assert_true(number_at(json_array_get(rows, 3), "sync.count") == 30);
    json_decref(rows);
}

/* Of runs of two pages: the second one, from some round on. */
struct loss {
    uint64_t round;
    uint8_t kept[8192];
};

static void lose_second_page(void *opaque, const struct fabric_write *write)
{
    struct loss *loss = opaque;
    uint8_t *pages = (uint8_t *)(uintptr_t)write->address; /* both sides are in this process */
    uint64_t round;

    memcpy(&round, write->bytes + sizeof(round), sizeof(round));
    if (write->length != sizeof(loss->kept) || round < loss->round) {
        return;
    }
    if (write->delivered) {
        memcpy(pages + 4096, loss->kept + 4096, 4096);
    } else {
        memcpy(loss->kept, pages, sizeof(loss->kept));
    }
}

/* In the first round, after the one that fills the memory, and in the last. */
static void pages_lost_in_a_round_are_noticed(void **state)
{
    static const uint64_t rounds[] = {1, 129, 140};
    static const char *const lines[] = {"latency -s 8K -q 1 --memory 1M -n 40",
                                        "sync --load 2 -q 1 --memory 1M -n 40"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rounds) * COUNT_OF(lines); i++) {
        struct loss loss = {.round = rounds[i / COUNT_OF(lines)]};

        fabric_reset(NULL);
        fabric_on_write(lose_second_page, &loss);
        struct outcome outcome = run(lines[i % COUNT_OF(lines)]);
        assert_int_equal(outcome.status, -1);
        assert_non_null(strstr(outcome.err.message, "is not what was sent in round"));
        assert_int_equal(fabric_live_objects(), 0);
        json_decref(outcome.rows);
    }
    fabric_on_write(NULL, NULL);
}

/* It would wait for the source's channels without end: the watchdog tells. */
static void server_whose_client_goes_before_its_session(void **state)
{
    struct bench_address address;
    struct loopback *loopback;
    struct multifd_error err;
    struct peer *peer;
    json_t *port;

    (void)state;
    watchdog_start(SECONDS, "a client that goes");
    assert_int_equal(bench_address_parse(&address, "rdma:127.0.0.1", &err), 0);
    loopback = loopback_start(&address, &peer, &err);
    assert_non_null(loopback);
    assert_int_equal(peer_send(peer,
                               json_pack("{s:s,s:s,s:{}}", "measurement", "sync", "transport",
                                         "rdma", "options"),
                               &err),
                     0);
    assert_int_equal(peer_send(peer, json_pack("{s:i}", "bytes", 0), &err), 0);
    port = peer_receive(peer, &err);
    assert_true(json_integer_value(json_object_get(port, "port")) > 0);
    json_decref(port);
    peer_delete(&peer);
    loopback_stop(&loopback);
    watchdog_stop();
    assert_int_equal(fabric_live_objects(), 0);
}

static void registration_by_pieces(void **state)
{
    (void)state;
    json_t *rows = run_well("register --memory 3M --piece 1M,2M,1G --threads 1,4 --repeat 2", 6);
    size_t index;
    json_t *row;

    json_array_foreach(rows, index, row)
    {
        assert_true(number_at(row, "register_s_per_gb.min") > 0);
        assert_true(number_at(row, "deregister_s_per_gb.min") > 0);
        assert_true(number_at(row, "fresh_register_s_per_gb.min") > 0);
    }
    json_decref(rows);
}

static void registration_that_fails_leaves_nothing(void **state)
{
    (void)state;
    for (unsigned long n = 1; n <= 8; n++) {
        fabric_reset(NULL);
        fabric_fail_call_named("ibv_reg_mr", n, ENOMEM);
        struct outcome outcome = run("register --memory 2M --piece 1M --threads 2 --repeat 1");
        assert_int_equal(outcome.status, -1);
        assert_non_null(strstr(outcome.err.message, "ibv_reg_mr"));
        assert_int_equal(fabric_live_objects(), 0);
        json_decref(outcome.rows);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(sides_that_spin, start_on_all_processors), /* before the others */
        cmocka_unit_test_setup(round_trips_of_each_verb, start),
        cmocka_unit_test_setup(a_time_limits_the_rounds, start),
        cmocka_unit_test_setup(small_messages_travel_inline, start),
        cmocka_unit_test_setup(damaged_messages_are_noticed, start),
        cmocka_unit_test_setup(bandwidth_beside_the_raw_loop, start),
        cmocka_unit_test_setup(all_links_obey_the_device_options, start),
        cmocka_unit_test_setup(device_options_that_cannot_be_obeyed, start),
        cmocka_unit_test_setup(mtu_above_the_paths, start),
        cmocka_unit_test_setup(a_short_send_queue, start),
        cmocka_unit_test_setup(rounds_of_sessions, start),
        cmocka_unit_test_setup(pages_lost_in_a_round_are_noticed, start),
        cmocka_unit_test_setup(server_whose_client_goes_before_its_session, start),
        cmocka_unit_test_setup(registration_by_pieces, start),
        cmocka_unit_test_setup(registration_that_fails_leaves_nothing, start),
    };

    return cmocka_run_group_tests_name("bench", tests, NULL, NULL);
}
