/* SPDX-License-Identifier: MIT */
#include "bridge_migration.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { SECONDS = 30 };

static struct multifd_options *options_of(const struct bridge_plan *plan)
{
    struct multifd_options *options = multifd_options_new();
    struct multifd_error err;

    assert_non_null(options);
    if (multifd_options_set(options, "timeout", slow_build() ? "8s" : "3s", &err) != 0 ||
        multifd_options_set(options, "piece-size", "1M", &err) != 0 ||
        (plan->registration != NULL &&
         multifd_options_set(options, "registration", plan->registration, &err) != 0)) {
        fail_msg("%s", err.message);
    }
    return options;
}

static void add_blocks(struct migration *migration, struct side *side, unsigned knows, bool source)
{
    for (unsigned i = 0; i < FAKE_BLOCKS; i++) {
        struct fake_block *block = &migration->qemu.blocks[i];
        uint64_t length = block->pages * FAKE_PAGE;

        if (source && i == 0 && migration->plan->wrong_length != 0) {
            length = migration->plan->wrong_length;
        }
        if ((knows >> i & 1) != 0 &&
            multifd_bridge_add_block(side->bridge, block->name, source ? block->from : block->to,
                                     length, &side->err) != 0) {
            fail_msg("%s", side->err.message);
        }
    }
}

static void note_connected(void *opaque, pid_t qemu)
{
    struct side *side = opaque;

    assert_int_equal(atomic_exchange(&side->qemu, qemu), 0);
}

static void note_handing_over(void *opaque)
{
    struct side *side = opaque;

    assert_false(atomic_exchange(&side->handed_over, true));
}

static void note_committing(void *opaque, int qemu, const void *words, size_t length)
{
    struct side *side = opaque;

    side->copy = fcntl(qemu, F_DUPFD_CLOEXEC, 0);
    assert_true(side->copy >= 0);
    assert_true(length <= sizeof(side->words));
    memcpy(side->words, words, length);
    side->words_length = length;
    assert_false(atomic_exchange(&side->committed, true));
}

static void observe(struct side *side)
{
    const struct multifd_bridge_observer observer = {.connected = note_connected,
                                                     .handing_over = note_handing_over,
                                                     .committing = note_committing,
                                                     .opaque = side};

    assert_int_equal(multifd_bridge_observe(side->bridge, &observer, &side->err), 0);
}

static void *side_main(void *arg)
{
    struct side *side = arg;

    side->status = multifd_bridge_run(side->bridge, &side->err);
    multifd_bridge_statistics(side->bridge, &side->statistics);
    return NULL;
}

static void start(struct side *side)
{
    if (multifd_bridge_listen(side->bridge, &side->err) != 0) {
        fail_msg("%s", side->err.message);
    }
    assert_int_equal(pthread_create(&side->thread, NULL, side_main, side), 0);
}

static void make_bridges(struct migration *migration)
{
    const struct bridge_plan *plan = migration->plan;
    struct multifd_options *options = options_of(plan);
    const char *host = plan->tcp ? "tcp:127.0.0.1" : "rdma:127.0.0.1";
    char address[64];
    char qemu[80];

    snprintf(address, sizeof(address), "%s:0", host);
    snprintf(qemu, sizeof(qemu), "unix:%s", migration->qemu.destination_path);
    migration->destination.bridge =
        multifd_bridge_destination_new(address, qemu, options, &migration->destination.err);
    assert_non_null(migration->destination.bridge);
    add_blocks(migration, &migration->destination, plan->destination_knows, false);
    (void)multifd_bridge_expect_channels(migration->destination.bridge, plan->destination_expects,
                                         NULL);
    observe(&migration->destination);
    start(&migration->destination);

    snprintf(address, sizeof(address), "%s:%u", host,
             multifd_bridge_port(migration->destination.bridge));
    snprintf(qemu, sizeof(qemu), "unix:%s", migration->qemu.source_path);
    migration->source.bridge =
        multifd_bridge_source_new(qemu, address, options, &migration->source.err);
    assert_non_null(migration->source.bridge);
    add_blocks(migration, &migration->source, plan->source_knows, true);
    (void)multifd_bridge_expect_channels(migration->source.bridge, plan->source_expects, NULL);
    observe(&migration->source);
    start(&migration->source);
    multifd_options_delete(&options);
}

static void sleep_ms(unsigned ms)
{
    const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

    nanosleep(&time, NULL);
}

static void disturb(struct migration *migration)
{
    const struct bridge_plan *plan = migration->plan;

    if (plan->cancel_after_ms != 0) {
        struct side *side = plan->cancel_source ? &migration->source : &migration->destination;

        sleep_ms(plan->cancel_after_ms);
        multifd_bridge_cancel(side->bridge, "the test wants no more");
    }
    if (plan->cut_after_ms != 0) {
        sleep_ms(plan->cut_after_ms);
        fabric_cut(true);
    }
}

/* A page that has been read, and is old by the time it is in place. */
static void delay(void *opaque, const struct fabric_write *write)
{
    static atomic_uint writes;

    (void)opaque;
    if (!write->delivered && atomic_fetch_add(&writes, 1) % 8 == 0) {
        sleep_ms(6);
    }
}

void bridge_migration_run(struct migration *migration, const struct bridge_plan *plan)
{
    struct fabric_options fabric;

    memset(migration, 0, sizeof(*migration));
    migration->plan = plan;
    fabric_options_init(&fabric);
    fabric.seed = plan->qemu.seed;
    fabric.max_delay_us = 300;
    fabric.odp = true;
    fabric.retry_timeout_ms = slow_build() ? 2000 : 500;
    fabric_reset(&fabric);
    if (plan->late_writes) {
        fabric_on_write(delay, NULL);
    }
    watchdog_start(SECONDS, plan->name);
    fake_qemu_init(&migration->qemu, &plan->qemu);
    fake_qemu_start_destination(&migration->qemu);
    make_bridges(migration);
    fake_qemu_start_source(&migration->qemu);
    disturb(migration);
    pthread_join(migration->source.thread, NULL);
    if (migration->source.err.code == MULTIFD_ERROR_CONNECT) { /* cut before it had come so far */
        multifd_bridge_cancel(migration->destination.bridge, "nobody came");
    }
    pthread_join(migration->destination.thread, NULL);
    multifd_bridge_delete(&migration->source.bridge);
    multifd_bridge_delete(&migration->destination.bridge);
    fake_qemu_join(&migration->qemu); /* which does not wait for whoever keeps a copy */
    if (atomic_load(&migration->source.committed)) {
        close(migration->source.copy);
    }
    watchdog_stop();
}

void bridge_migration_explain(const struct migration *migration)
{
    print_message("%s: source %d (%s), destination %d (%s), QEMUs %d and %d\n",
                  migration->plan->name, migration->source.status, migration->source.err.message,
                  migration->destination.status, migration->destination.err.message,
                  atomic_load(&migration->qemu.source_outcome),
                  atomic_load(&migration->qemu.destination_outcome));
}

void bridge_migration_expect_success(struct migration *migration)
{
    static const uint8_t success[] = {0, 1, 0, 4, 0, 0, 0, 0}; /* QEMU's MIG_RP_MSG_SHUT */

    EXPECT(migration, migration->source.status == 0 && migration->destination.status == 0);
    EXPECT(migration, atomic_load(&migration->qemu.source_outcome) == FAKE_SUCCEEDED);
    EXPECT(migration, atomic_load(&migration->qemu.destination_outcome) == FAKE_SUCCEEDED);
    EXPECT(migration, fake_qemu_equal(&migration->qemu));
    EXPECT(migration, atomic_load(&migration->destination.qemu) == getpid());
    EXPECT(migration, atomic_load(&migration->destination.handed_over));
    EXPECT(migration, atomic_load(&migration->source.committed));
    EXPECT(migration, migration->source.words_length == sizeof(success));
    EXPECT(migration, memcmp(migration->source.words, success, sizeof(success)) == 0);
    EXPECT(migration, migration->source.statistics.phase == MULTIFD_BRIDGE_COMPLETED);
    EXPECT(migration, migration->destination.statistics.phase == MULTIFD_BRIDGE_COMPLETED);
    EXPECT(migration,
           migration->source.statistics.main_bytes == migration->destination.statistics.main_bytes);
    /* An empty packet behind the last SYNC means nothing to anybody, and nobody waits for it. */
    EXPECT(migration,
           migration->source.statistics.packets == migration->destination.statistics.packets ||
               migration->plan->qemu.sync_with_data);
    EXPECT(migration, fabric_live_objects() == 0 && fabric_rnr_naks() == 0);
    fake_qemu_fini(&migration->qemu);
}

void bridge_migration_expect_failure(struct migration *migration)
{
    EXPECT(migration, migration->source.status == -1 && migration->destination.status == -1);
    EXPECT(migration, atomic_load(&migration->qemu.source_outcome) == FAKE_FAILED);
    EXPECT(migration, atomic_load(&migration->qemu.destination_outcome) == FAKE_FAILED);
    EXPECT(migration, migration->source.statistics.phase == MULTIFD_BRIDGE_FAILED);
    EXPECT(migration,
           !atomic_load(&migration->destination.handed_over) || migration->plan->qemu.dies_at_end);
    EXPECT(migration, fabric_live_objects() == 0);
    fake_qemu_fini(&migration->qemu);
}
