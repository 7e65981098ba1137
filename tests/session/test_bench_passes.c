/* SPDX-License-Identifier: MIT */
/* The passes of multifd bench bandwidth: what the two sides tell each other, and what they count.
 */
#include "check.h"

#include "bench/bandwidth.h"
#include "bench/results.h"
#include "bench/server.h"

#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SECONDS = 60, ORDERS_MAX = 32, TURN_MS = 1, PAGE = 4096, STAMP = 16 };

/* A measurement with a look at all that the source tells the sink. */
struct talk {
    struct bench_case bench;
    struct peer *client; /* the source's end; this test has the other */
    json_t *row;
    struct multifd_error err;
    int status;
    struct multifd_error reason; /* the sink's, why it has failed */
    json_t *orders[ORDERS_MAX];  /* of passes, as the sink gets them */
    size_t num_orders;
    bool all_warm_up; /* the sink is told that no pass counts */
    unsigned late_us; /* the sink hears so late of the watched pass */
};

static void *run_source(void *arg)
{
    struct talk *talk = arg;

    talk->status = bandwidth_run(&talk->bench, talk->client, talk->row, &talk->err);
    if (talk->status == 0) {
        json_t *answer = peer_receive(talk->client, &talk->err);
        json_t *result = json_object_get(answer, "result");

        talk->status = result == NULL ? -1 : 0;
        (void)json_object_set(talk->row, "destination", result);
        json_decref(answer);
    }
    peer_delete(&talk->client);
    return NULL;
}

static bool says(const json_t *order, const char *name)
{
    return json_boolean_value(json_object_get(order, name));
}

static void take_order(struct talk *talk, json_t *order)
{
    if (json_integer_value(json_object_get(order, "pass")) != 0) {
        if (talk->all_warm_up) {
            (void)json_object_set_new(order, "warm_up", json_true());
        }
        assert_true(talk->num_orders < ORDERS_MAX);
        talk->orders[talk->num_orders++] = json_incref(order);
    }
}

/* Hands on what both say until the source goes; the sink follows. */
static void relay(struct talk *talk, struct peer *source, struct peer *sink)
{
    struct multifd_error err;
    json_t *said;

    for (;;) {
        if (peer_has_sent(source, TURN_MS)) {
            said = peer_receive(source, &err);
            if (said == NULL) {
                return;
            }
            take_order(talk, said);
            if (says(said, "watched")) {
                (void)usleep(talk->late_us);
            }
            (void)peer_send(sink, said, &err);
        }
        if (peer_has_sent(sink, TURN_MS)) {
            said = peer_receive(sink, &talk->reason);
            if (said == NULL) {
                peer_send_error(source, &talk->reason);
                return;
            }
            (void)peer_send(source, said, &err);
        }
    }
}

/* The session may have failed before the sink came to say why. */
static void wait_for_reason(struct talk *talk, struct peer *sink)
{
    json_t *said;

    while (talk->status != 0 && talk->reason.code == MULTIFD_OK &&
           (said = peer_receive(sink, &talk->reason)) != NULL) {
        json_decref(said);
    }
}

/* `options` are a JSON object with the case's. */
static void measure(struct talk *talk, const char *options)
{
    json_t *choices = json_loads(options, 0, NULL);
    struct loopback *loopback;
    struct multifd_error err;
    struct peer *sink;
    pthread_t thread;
    int fds[2];

    watchdog_start(SECONDS, options);
    talk->row = json_object();
    assert_int_equal(bench_case_init(&talk->bench, choices, &err), 0);
    assert_int_equal(bench_address_parse(&talk->bench.address, "rdma:127.0.0.1", &err), 0);
    loopback = loopback_start(&talk->bench.address, &sink, &err);
    assert_non_null(loopback);
    assert_int_equal(peer_send(sink,
                               json_pack("{s:s, s:s, s:o}", "measurement", "bandwidth", "transport",
                                         "rdma", "options", choices),
                               &err),
                     0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    talk->client = peer_new(fds[0], &err);
    struct peer *source = peer_new(fds[1], &err);
    assert_int_equal(pthread_create(&thread, NULL, run_source, talk), 0);
    relay(talk, source, sink);
    peer_delete(&source);
    assert_int_equal(pthread_join(thread, NULL), 0);
    wait_for_reason(talk, sink);
    peer_delete(&sink);
    loopback_stop(&loopback);
    bench_case_clear(&talk->bench);
    watchdog_stop();
    assert_int_equal(fabric_live_objects(), 0);
}

static void measure_well(struct talk *talk, const char *options)
{
    measure(talk, options);
    if (talk->status != 0) {
        fail_msg("%s: %s", options, talk->err.message);
    }
}

static void forget(struct talk *talk)
{
    for (size_t i = 0; i < talk->num_orders; i++) {
        json_decref(talk->orders[i]);
    }
    json_decref(talk->row);
}

static int start(void **state)
{
    (void)state;
    fabric_reset(NULL);
    return 0;
}

/* ---- Tests ---- */

/* Raw and the session's, then the watched one, then those that count. */
static void first_turn_is_for_warming_up(void **state)
{
    struct talk talk = {0};

    (void)state;
    measure_well(&talk, "{\"memory\":\"1M\",\"repeat\":\"2\",\"raw\":\"on\"}");
    assert_int_equal(talk.num_orders, 7);
    for (size_t i = 0; i < talk.num_orders; i++) {
        assert_true(says(talk.orders[i], "warm_up") == (i < 2));
        assert_true(says(talk.orders[i], "watched") == (i == 2));
        assert_true(says(talk.orders[i], "raw") == (i == 0 || i == 3 || i == 5));
    }
    assert_non_null(results_member(talk.row, "destination.cpu_s_per_gb"));
    forget(&talk);
}

/* Where no pass counts, there is nothing to tell of. */
static void destination_leaves_warming_up_out(void **state)
{
    struct talk talk = {.all_warm_up = true};

    (void)state;
    measure_well(&talk, "{\"memory\":\"1M\",\"repeat\":\"2\",\"raw\":\"off\"}");
    assert_int_equal(talk.num_orders, 4);
    assert_non_null(json_object_get(talk.row, "destination"));
    assert_null(results_member(talk.row, "destination.cpu_s_per_gb"));
    forget(&talk);
}

/* A pass of three packets over two channels: neither can have had a part of a packet. */
static void channels_have_whole_packets(void **state)
{
    struct talk talk = {0};
    const json_t *rates;
    long packets = 0;

    (void)state;
    measure_well(&talk, "{\"memory\":\"1536K\",\"size\":\"512K\",\"channels\":\"2\","
                        "\"repeat\":\"1\",\"raw\":\"off\"}");
    double all = json_number_value(json_object_get(talk.row, "average_gbps"));
    rates = json_object_get(talk.row, "channel_gbps");
    assert_int_equal(json_array_size(rates), 2);
    for (size_t i = 0; i < 2; i++) {
        double thousandths = 3e3 * json_number_value(json_array_get(rates, i)) / all + 0.5;

        assert_int_equal((long)thousandths % 1000, 0);
        packets += (long)thousandths / 1000;
    }
    assert_int_equal(packets, 3);
    forget(&talk);
}

/* Half of each page is noise, which goes over the wire, with little else. */
static void wire_has_its_own_rate(void **state)
{
    struct talk talk = {0};

    (void)state;
    measure_well(&talk, "{\"memory\":\"1M\",\"repeat\":\"2\",\"raw\":\"off\","
                        "\"method\":\"zstd\"}");
    double share = json_number_value(json_object_get(talk.row, "wire_share"));
    double guest = json_number_value(results_member(talk.row, "session_gbps.max"));
    double wire = json_number_value(results_member(talk.row, "wire_gbps.max"));
    assert_true(share > 0.5 && share < 0.6);
    assert_true(wire > 0.99 * share * guest && wire < 1.01 * share * guest);
    forget(&talk);
}

/* A third of the watched pass, in its midst, takes a millisecond for each page. */
static void delay_pages(void *opaque, const struct fabric_write *write)
{
    unsigned *pages = opaque;

    if (!write->delivered && write->length == PAGE) {
        ++*pages;
        if (*pages > 1024 + 200 && *pages <= 1024 + 600) {
            (void)usleep(1000);
        }
    }
}

static void slow_parts_have_the_lowest_rate(void **state)
{
    struct talk talk = {0};
    unsigned pages = 0;

    (void)state;
    fabric_on_write(delay_pages, &pages);
    measure_well(&talk, "{\"memory\":\"4M\",\"size\":\"4K\",\"channels\":\"1\","
                        "\"repeat\":\"1\",\"raw\":\"off\"}");
    fabric_on_write(NULL, NULL);
    double lowest = json_number_value(results_member(talk.row, "destination.lowest_gbps"));
    /* A packet of such pages takes 128 ms; the rate of the whole pass is higher than that. */
    assert_true(lowest > 0 && lowest < 2 * (512 << 10) * 8 / 128e6);
    forget(&talk);
}

/* The whole pass would be over until then. */
static void sink_looks_from_the_beginning(void **state)
{
    struct talk talk = {.late_us = 50000};

    (void)state;
    measure_well(&talk, "{\"memory\":\"1M\",\"repeat\":\"1\",\"raw\":\"off\"}");
    assert_true(json_number_value(results_member(talk.row, "destination.lowest_gbps")) > 0);
    forget(&talk);
}

/* Of each page of a pass the stamp arrives only; the rest stays as it is at the destination. */
struct loss {
    uint64_t pass;
    uint8_t kept[PAGE];
};

static void lose_pages(void *opaque, const struct fabric_write *write)
{
    struct loss *loss = opaque;
    uint8_t *page = (uint8_t *)(uintptr_t)write->address; /* both sides are in this process */
    uint64_t pass;

    memcpy(&pass, write->bytes, sizeof(pass));
    if (write->length != PAGE || pass != loss->pass) {
        return;
    }
    if (write->delivered) {
        memcpy(page + STAMP, loss->kept + STAMP, PAGE - STAMP);
    } else {
        memcpy(loss->kept, page, PAGE);
    }
}

/* In each pass that has every byte compared: raw ones and the session's; the third is watched. */
static void pages_that_do_not_move_are_noticed(void **state)
{
    static const uint64_t passes[] = {1, 2, 4, 5};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(passes); i++) {
        struct loss loss = {.pass = passes[i]};
        struct talk talk = {0};
        char expected[64];

        fabric_reset(NULL);
        fabric_on_write(lose_pages, &loss);
        measure(&talk, "{\"memory\":\"1M\",\"size\":\"4K\",\"channels\":\"1\","
                       "\"repeat\":\"1\",\"raw\":\"on\"}");
        assert_int_equal(talk.status, -1);
        (void)snprintf(expected, sizeof(expected), "is not what was sent in pass %d",
                       (int)loss.pass);
        if (strstr(talk.reason.message, expected) == NULL) {
            fail_msg("%s", talk.reason.message);
        }
        forget(&talk);
    }
    fabric_on_write(NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(first_turn_is_for_warming_up, start),
        cmocka_unit_test_setup(destination_leaves_warming_up_out, start),
        cmocka_unit_test_setup(channels_have_whole_packets, start),
        cmocka_unit_test_setup(wire_has_its_own_rate, start),
        cmocka_unit_test_setup(slow_parts_have_the_lowest_rate, start),
        cmocka_unit_test_setup(sink_looks_from_the_beginning, start),
        cmocka_unit_test_setup(pages_that_do_not_move_are_noticed, start),
    };

    return cmocka_run_group_tests_name("bench passes", tests, NULL, NULL);
}
