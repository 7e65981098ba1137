/* SPDX-License-Identifier: MIT */
/*
 * A session is cancelled by another thread, or deleted, in each of its phases. Nobody hangs, both
 * sides hear of it, and nothing is left.
 */
#include "check.h"
#include "socket_wire.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

enum phase {
    WAITING, /* the destination, for a source */
    SETUP,
    REGISTERING, /* the source waits for the destination's memory */
    QUEUEING,
    SYNC,
    FINISH,
};

/* A session whose messages stop at a certain point, so that it stays in a phase. */
struct stop {
    struct session_pair *pair;
    enum phase phase;
    bool source; /* cancels there */
    atomic_bool reached;
    atomic_bool go_on;
};

enum { AT_TYPE = 8, HELLO_OK = 2, PIECES = 6, SYNC_DONE = 7, FINISH_SENT = 8, MOST_MS = 10000 };

static bool is_control(const struct fabric_message *message, uint8_t type)
{
    static const uint8_t magic[] = {'M', 'F', 'D', 'C'};

    return message->length >= 12 && memcmp(message->bytes, magic, sizeof(magic)) == 0 &&
           message->bytes[AT_TYPE + 3] == type;
}

static bool is_packet(const struct fabric_message *message)
{
    static const uint8_t magic[] = {0x11, 0x22, 0x33, 0x44};

    return message->length >= 320 && memcmp(message->bytes, magic, sizeof(magic)) == 0;
}

static bool holds(const struct stop *stop, const struct fabric_message *message)
{
    switch (stop->phase) {
    case SETUP:
        return is_control(message, HELLO_OK);
    case REGISTERING:
        return is_control(message, PIECES);
    case QUEUEING:
        return is_packet(message);
    case SYNC:
        return is_control(message, SYNC_DONE);
    case FINISH:
        return is_control(message, FINISH_SENT);
    case WAITING:
        break;
    }
    return false;
}

static void wait_for(const atomic_bool *flag)
{
    for (unsigned ms = 0; !atomic_load(flag) && ms < MOST_MS; ms++) {
        usleep(1000);
    }
}

static void hold_message(void *opaque, struct fabric_message *message)
{
    struct stop *stop = opaque;

    if (holds(stop, message)) {
        message->drop = stop->phase != QUEUEING;
        atomic_store(&stop->reached, true);
        if (stop->phase == QUEUEING) {
            wait_for(&stop->go_on);
        }
    }
}

static void *cancel(void *arg)
{
    struct stop *stop = arg;
    struct multifd_statistics statistics;
    struct session_pair *pair = stop->pair;

    wait_for(&stop->reached);
    usleep(5000); /* until whoever waits does */
    if (stop->source) {
        multifd_source_statistics(pair->source, &statistics);
        multifd_source_cancel(pair->source, "the user has changed his mind");
    } else {
        multifd_destination_statistics(pair->destination, &statistics);
        multifd_destination_cancel(pair->destination, "the user has changed his mind");
    }
    atomic_store(&stop->go_on, true);
    return NULL;
}

static void check_cancelled(struct session_pair *pair, const struct pair_side *cancelled,
                            const struct pair_side *other)
{
    CHECK(pair, cancelled->status != 0 && other->status != 0);
    CHECK(pair, cancelled->err.code == MULTIFD_ERROR_CANCELLED);
    CHECK(pair, strcmp(cancelled->err.message, "the user has changed his mind") == 0);
    CHECK(pair, memcmp(&cancelled->repeated, &cancelled->err, sizeof(cancelled->err)) == 0);
    CHECK(pair, other->err.code == MULTIFD_ERROR_PEER);
    CHECK(pair, strstr(other->err.message, "the user has changed his mind") != NULL);
    CHECK(pair, strstr(cancelled->log, "the user has changed his mind") != NULL);
    CHECK(pair, fabric_live_objects() == 0);
    CHECK(pair, pair_source_untouched(pair));
    CHECK(pair, pair_transport != PAIR_RDMA || pair_pages_old_or_new(pair));
    CHECK(pair, pair_transport == PAIR_RDMA || pair_sockets() == 0);
}

/* Over sockets nothing is registered. */
static bool happens(enum phase phase, const char *mode)
{
    return pair_transport == PAIR_RDMA || (phase != REGISTERING && strcmp(mode, "all") == 0);
}

static void cancel_in(enum phase phase, bool source, const char *mode)
{
    static const char *const names[] = {"waiting",  "setup", "registering",
                                        "queueing", "sync",  "finish"};
    const struct pair_setting settings[] = {{"window", "1"}, {"registration", mode}, {NULL, NULL}};
    const struct pair_plan plan = {
        .name = names[phase], .settings = settings, .rounds = 2, .blocks = {{"ram", 16 << 20}}};
    struct stop stop = {.phase = phase, .source = source};
    pthread_t thread;

    if (!happens(phase, mode)) {
        return;
    }
    fabric_reset(NULL);
    pair_on_send(hold_message, &stop);
    stop.pair = pair_new(&plan);
    assert_int_equal(pthread_create(&thread, NULL, cancel, &stop), 0);
    pair_run(stop.pair);
    pthread_join(thread, NULL);
    pair_on_send(NULL, NULL);
    if (source) {
        check_cancelled(stop.pair, &stop.pair->source_side, &stop.pair->destination_side);
    } else {
        check_cancelled(stop.pair, &stop.pair->destination_side, &stop.pair->source_side);
    }
    pair_delete(&stop.pair);
}

static void at_the_source(void **state)
{
    (void)state;
    for (enum phase phase = SETUP; phase <= FINISH; phase++) {
        cancel_in(phase, true, "all");
        cancel_in(phase, true, "on-demand");
    }
}

/* Not in the finish: with its last message sent a destination is done. */
static void at_the_destination(void **state)
{
    (void)state;
    for (enum phase phase = SETUP; phase <= SYNC; phase++) {
        cancel_in(phase, false, "all");
        cancel_in(phase, false, "on-demand");
    }
}

/* ---- Without a peer ---- */

static void *cancel_alone(void *destination)
{
    usleep(20000);
    multifd_destination_cancel(destination, "nobody comes");
    return NULL;
}

static void while_waiting_for_a_source(void **state)
{
    struct multifd_options *options = multifd_options_new();
    struct multifd_destination *destination;
    struct multifd_error again;
    struct multifd_error err;
    pthread_t thread;

    (void)state;
    fabric_reset(NULL);
    watchdog_start(20, "waiting for a source");
    destination = multifd_destination_new("rdma:127.0.0.1:0", options, &err);
    assert_non_null(destination);
    assert_int_equal(multifd_load_setup(destination, &err), 0);
    assert_int_equal(pthread_create(&thread, NULL, cancel_alone, destination), 0);
    assert_int_equal(multifd_recv_new_channel(destination, &err), -1);
    assert_error(&err, MULTIFD_ERROR_CANCELLED, "nobody comes");
    assert_int_equal(multifd_recv_sync_main(destination, &again), -1);
    assert_memory_equal(&again, &err, sizeof(err));
    pthread_join(thread, NULL);
    multifd_destination_delete(&destination);
    multifd_options_delete(&options);
    watchdog_stop();
    assert_int_equal(fabric_live_objects(), 0);
}

/* ---- Deleted without more ado ---- */

static void delete_after(unsigned steps)
{
    static const struct pair_plan plan = {.name = "deleted early"};
    struct session_pair *pair = pair_new(&plan);
    struct multifd_options *options = pair_options(pair, true);
    struct multifd_error err;
    char address[64];

    watchdog_start(20, plan.name);
    pair_start_destination(pair);
    pair_address(pair, address);
    pair->source = multifd_source_new(address, options, &err);
    pair_add_source_blocks(pair, pair->source);
    assert_int_equal(multifd_save_setup(pair->source, &err), 0);
    if (steps > 0) {
        assert_int_equal(pair_queue_all(pair, &err), 0);
    }
    if (steps > 1) {
        assert_int_equal(multifd_send_sync_main(pair->source, &err), 0);
    }
    multifd_source_delete(&pair->source);
    pair_join_destination(pair);
    watchdog_stop();
    assert_error(&pair->destination_side.err, MULTIFD_ERROR_PEER,
                 "the source ended the session before it was finished");
    CHECK(pair, pair_source_untouched(pair));
    CHECK(pair, pair_transport != PAIR_RDMA || pair_pages_old_or_new(pair));
    CHECK(pair, pair_transport == PAIR_RDMA || pair_sockets() == 0);
    CHECK(pair, fabric_live_objects() == 0);
    multifd_options_delete(&options);
    pair_delete(&pair);
}

static void a_source_that_is_deleted(void **state)
{
    (void)state;
    for (unsigned steps = 0; steps < 3; steps++) {
        fabric_reset(NULL);
        delete_after(steps);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(at_the_source),
        cmocka_unit_test(at_the_destination),
        cmocka_unit_test(while_waiting_for_a_source),
        cmocka_unit_test(a_source_that_is_deleted),
    };

    static const struct CMUnitTest socket_tests[] = {
        cmocka_unit_test(at_the_source),
        cmocka_unit_test(at_the_destination),
        cmocka_unit_test(a_source_that_is_deleted),
    };
    int failed = cmocka_run_group_tests_name("cancel", tests, NULL, NULL);

    pair_on_send = socket_wire_on_send;
    pair_transport = PAIR_TCP;
    failed += cmocka_run_group_tests_name("cancel, tcp", socket_tests, NULL, NULL);
    pair_transport = PAIR_UNIX;
    return failed + cmocka_run_group_tests_name("cancel, unix", socket_tests, NULL, NULL);
}
