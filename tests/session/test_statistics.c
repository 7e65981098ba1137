/* SPDX-License-Identifier: MIT */
/* The processor time of a session's threads: while it runs, read by another thread, and after it.
 */
#include "check.h"

#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#define MS UINT64_C(1000000)

enum { CHANNELS = 3, BLOCK_BYTES = 4 << 20 };

static const struct pair_setting settings[] = {
    {"channels", "3"}, {"method", "zlib"}, {"poll", "0"}, {NULL, NULL}};

/* A thread that reads both sides' statistics over and over. */
struct watch {
    struct session_pair *pair;
    struct multifd_source *source;
    pthread_t thread;
    atomic_bool stop;
    unsigned shrunk;
    unsigned reads;
    uint64_t source_ns;
    uint64_t destination_ns;
    uint64_t channels_ns[CHANNELS];
};

static void note(struct watch *watch, uint64_t *before, uint64_t now)
{
    watch->shrunk += now < *before;
    *before = now;
}

static void read_source(struct watch *watch)
{
    struct multifd_statistics statistics;

    for (unsigned i = 0; i < CHANNELS; i++) {
        struct multifd_channel_statistics channel;

        if (multifd_source_channel_statistics(watch->source, i, &channel) == 0) {
            note(watch, &watch->channels_ns[i], channel.cpu_ns);
        }
    }
    multifd_source_statistics(watch->source, &statistics);
    note(watch, &watch->source_ns, statistics.cpu_ns);
}

/* The destination may end and be gone: not while the lock is held. */
static void read_destination(struct watch *watch)
{
    struct multifd_statistics statistics;

    pthread_mutex_lock(&watch->pair->lock);
    if (watch->pair->destination != NULL) {
        multifd_destination_statistics(watch->pair->destination, &statistics);
        note(watch, &watch->destination_ns, statistics.cpu_ns);
    }
    pthread_mutex_unlock(&watch->pair->lock);
}

static void *watch_main(void *arg)
{
    struct watch *watch = arg;

    while (!atomic_load(&watch->stop)) {
        read_source(watch);
        read_destination(watch);
        watch->reads++;
        usleep(100);
    }
    return NULL;
}

static uint64_t own_ns(void)
{
    struct timespec used;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * UINT64_C(1000000000) + (uint64_t)used.tv_nsec;
}

static uint64_t session_ns(const struct multifd_source *source)
{
    struct multifd_statistics statistics;

    multifd_source_statistics(source, &statistics);
    return statistics.cpu_ns;
}

static struct multifd_source *make_source(struct session_pair *pair)
{
    struct multifd_options *options = pair_options(pair, true);
    char address[64];

    pair_address(pair, address);
    pair->source = multifd_source_new(address, options, &pair->source_side.err);
    multifd_options_delete(&options);
    CHECK(pair, pair->source != NULL);
    CHECK(pair, session_ns(pair->source) == 0);
    pair_add_source_blocks(pair, pair->source);
    return pair->source;
}

/* Channels use theirs where they work: compressing. */
static void send_round(struct session_pair *pair)
{
    struct multifd_channel_statistics channel;
    uint64_t before = session_ns(pair->source);
    uint64_t sum = 0;

    CHECK(pair, pair_queue_all(pair, &pair->source_side.err) == 0);
    CHECK(pair, multifd_send_sync_main(pair->source, &pair->source_side.err) == 0);
    CHECK(pair, session_ns(pair->source) > before);
    for (unsigned i = 0; i < CHANNELS; i++) {
        CHECK(pair, multifd_source_channel_statistics(pair->source, i, &channel) == 0);
        CHECK(pair, channel.cpu_ns > 0);
        sum += channel.cpu_ns;
    }
    CHECK(pair, sum <= session_ns(pair->source));
}

/* What the calling thread does is not the session's. */
static void work_alone(struct session_pair *pair)
{
    uint64_t before = session_ns(pair->source);
    uint64_t until = own_ns() + 200 * MS;

    while (own_ns() < until) {
    }
    CHECK(pair, session_ns(pair->source) < before + 100 * MS);
}

static void run_source(struct session_pair *pair, struct watch *watch)
{
    struct multifd_error *err = &pair->source_side.err;
    uint64_t after;

    CHECK(pair, multifd_save_setup(pair->source, err) == 0);
    for (unsigned round = 0; round < 3; round++) {
        send_round(pair);
    }
    if (watch == NULL) {
        work_alone(pair);
    }
    CHECK(pair, multifd_source_finish(pair->source, err) == 0);
    after = session_ns(pair->source);
    multifd_save_cleanup(pair->source);
    CHECK(pair, session_ns(pair->source) >= after);
}

/* No thread is left: the time stays, and that of the channels is a part of it. */
static void check_end(struct session_pair *pair)
{
    struct multifd_channel_statistics channel;
    uint64_t all = session_ns(pair->source);
    uint64_t sum = 0;

    for (unsigned i = 0; i < CHANNELS; i++) {
        CHECK(pair, multifd_source_channel_statistics(pair->source, i, &channel) == 0);
        sum += channel.cpu_ns;
    }
    usleep(20000);
    CHECK(pair, session_ns(pair->source) == all);
    CHECK(pair, 0 < sum && sum < all); /* there was a control connection, too */
}

static void check_destination(struct session_pair *pair)
{
    const struct pair_side *side = &pair->destination_side;
    uint64_t sum = 0;

    CHECK(pair, side->status == 0);
    for (unsigned i = 0; i < CHANNELS; i++) {
        CHECK(pair, side->channels[i].cpu_ns > 0);
        sum += side->channels[i].cpu_ns;
    }
    CHECK(pair, sum < side->statistics.cpu_ns);
}

static void run_session(struct watch *watch)
{
    const struct pair_plan plan = {
        .name = "processor time", .settings = settings, .blocks = {{"ram", BLOCK_BYTES}}};
    struct session_pair *pair = pair_new(&plan);

    pair_start_destination(pair);
    make_source(pair);
    if (watch != NULL) {
        *watch = (struct watch){.pair = pair, .source = pair->source};
        assert_int_equal(pthread_create(&watch->thread, NULL, watch_main, watch), 0);
    }
    run_source(pair, watch);
    pair_join_destination(pair);
    if (watch != NULL) {
        atomic_store(&watch->stop, true);
        pthread_join(watch->thread, NULL);
    }
    check_end(pair);
    multifd_source_delete(&pair->source);
    check_destination(pair);
    CHECK(pair, pair_equal(pair));
    pair_delete(&pair);
}

static void the_threads_time_and_no_other(void **state)
{
    (void)state;
    run_session(NULL);
}

static void any_thread_reads_it_at_any_time(void **state)
{
    struct watch watch;

    (void)state;
    run_session(&watch);
    assert_int_equal(watch.shrunk, 0);
    assert_true(watch.reads > 0);
    assert_true(watch.source_ns > 0);
    assert_true(watch.destination_ns > 0);
    for (unsigned i = 0; i < CHANNELS; i++) {
        assert_true(watch.channels_ns[i] > 0);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup(the_threads_time_and_no_other, fresh_fabric),
    cmocka_unit_test_setup(any_thread_reads_it_at_any_time, fresh_fabric),
};

int main(void)
{
    int failed = cmocka_run_group_tests_name("statistics", tests, NULL, NULL);

    pair_transport = PAIR_TCP;
    return failed + cmocka_run_group_tests_name("statistics, tcp", tests, NULL, NULL);
}
