/* SPDX-License-Identifier: MIT */
/* Whole migrations through a pair of bridges, between two fake QEMUs. */
#include <string.h>
#include <sys/socket.h>

#include "bridge_migration.h"

static struct migration migration;

/* ---- Migrations that go well ------------------------------------------------------------- */

static void what_nobody_knows_is_carried(void **state)
{
    static const struct bridge_plan plans[] = {
        {.name = "carried", .qemu = {.channels = 2, .rounds = 3, .seed = 1}},
        {.name = "carried over tcp", .qemu = {.channels = 2, .rounds = 3, .seed = 2}, .tcp = true},
        {.name = "one channel", .qemu = {.channels = 1, .rounds = 1, .seed = 3}},
        {.name = "eight channels, a SYNC on data",
         .qemu = {.channels = 8, .rounds = 6, .seed = 4, .sync_with_data = true}},
        {.name = "only the source knows",
         .qemu = {.channels = 3, .rounds = 3, .seed = 5},
         .source_knows = KNOWS_TWO},
        {.name = "known, but over tcp",
         .qemu = {.channels = 3, .rounds = 3, .seed = 6},
         .source_knows = KNOWS_TWO,
         .destination_knows = KNOWS_TWO,
         .tcp = true},
        {.name = "the newer wire",
         .qemu = {.channels = 2,
                  .rounds = 4,
                  .seed = 7,
                  .zeros_inside = true,
                  .flush = true,
                  .device_state = true}},
        {.name = "no description",
         .qemu = {.channels = 2, .rounds = 2, .seed = 8, .no_description = true}},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(plans); i++) {
        bridge_migration_run(&migration, &plans[i]);
        EXPECT(&migration, migration.source.statistics.direct_pages == 0);
        EXPECT(&migration, migration.source.statistics.buffered_pages == 0);
        bridge_migration_expect_success(&migration);
    }
}

static void compressed_channels_are_carried(void **state)
{
    static const struct bridge_plan plans[] = {
        {.name = "compressed",
         .qemu = {.channels = 3, .rounds = 4, .seed = 11, .compressed = true}},
        {.name = "compressed and known",
         .qemu = {.channels = 3, .rounds = 4, .seed = 12, .compressed = true},
         .source_knows = KNOWS_TWO,
         .destination_knows = KNOWS_TWO},
        {.name = "compressed over tcp",
         .qemu = {.channels = 3, .rounds = 4, .seed = 13, .compressed = true},
         .tcp = true},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(plans); i++) {
        bridge_migration_run(&migration, &plans[i]);
        EXPECT(&migration, migration.source.statistics.direct_pages == 0);
        bridge_migration_expect_success(&migration);
    }
}

static void what_both_know_is_written_directly(void **state)
{
    static const char *const registrations[] = {"all", "on-demand", "odp"};

    (void)state;
    for (unsigned i = 0; i < 9; i++) {
        const struct bridge_plan plan = {.name = "direct",
                                         .qemu = {.channels = 1 + i % 4,
                                                  .rounds = 8,
                                                  .seed = 20 + i,
                                                  .sync_with_data = i % 2 == 0,
                                                  .zeros_inside = i % 3 == 2,
                                                  .flush = i % 3 == 2},
                                         .registration = registrations[i % 3],
                                         .source_knows = KNOWS_TWO,
                                         .destination_knows = KNOWS_TWO};

        bridge_migration_run(&migration, &plan);
        EXPECT(&migration, migration.source.statistics.direct_pages != 0);
        EXPECT(&migration, migration.source.statistics.buffered_pages == 0);
        EXPECT(&migration, migration.destination.statistics.direct_pages ==
                               migration.source.statistics.direct_pages);
        EXPECT(&migration, migration.source.statistics.dropped_bytes ==
                               migration.source.statistics.direct_bytes);
        EXPECT(&migration, migration.source.statistics.rounds == 9);
        bridge_migration_expect_success(&migration);
    }
}

/*
 * The two ways in which an old page could come over a new one: a write that is late, and a record
 * of QEMU's that is late.
 */
static void no_round_overtakes_another(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 6; i++) {
        const struct bridge_plan plan = {.name = i % 2 == 0 ? "late writes" : "a slow main thread",
                                         .qemu = {.channels = 4,
                                                  .rounds = 12,
                                                  .seed = 80 + i,
                                                  .slow_main = i % 2 == 1,
                                                  .zeros_inside = i % 4 == 2,
                                                  .flush = i % 4 == 2},
                                         .late_writes = i % 2 == 0,
                                         .source_knows = i < 4 ? KNOWS_TWO : KNOWS_NONE,
                                         .destination_knows = KNOWS_TWO};

        bridge_migration_run(&migration, &plan);
        EXPECT(&migration, migration.source.statistics.held_ns != 0);
        bridge_migration_expect_success(&migration);
    }
}

static void what_the_destination_knows_is_written_from_a_buffer(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 6; i++) {
        const struct bridge_plan plan = {.name = "buffered, direct and carried",
                                         .qemu = {.channels = 3,
                                                  .rounds = 8,
                                                  .seed = 40 + i,
                                                  .zeros_inside = i % 2 == 1,
                                                  .flush = i % 2 == 1},
                                         .source_knows = i < 3 ? 0 : 1,
                                         .destination_knows = KNOWS_TWO};

        bridge_migration_run(&migration, &plan);
        EXPECT(&migration, migration.source.statistics.buffered_pages != 0);
        EXPECT(&migration, (migration.source.statistics.direct_pages != 0) == (i >= 3));
        bridge_migration_expect_success(&migration);
    }
}

/* ---- Migrations that do not -------------------------------------------------------------- */

static void wrong_settings_are_refused(void **state)
{
    static const struct {
        struct bridge_plan plan;
        const char *part;
    } cases[] = {
        {{.name = "no return path", .qemu = {.channels = 2, .rounds = 1, .no_return_path = true}},
         "return-path"},
        {{.name = "no multifd", .qemu = {.channels = 0, .rounds = 1, .no_multifd = true}},
         "capability multifd is off"},
        {{.name = "TLS", .qemu = {.channels = 1, .rounds = 1, .start = "\x16\x03\x01\x02"}}, "TLS"},
        {{.name = "a stranger", .qemu = {.channels = 1, .rounds = 1, .start = "GET "}},
         "neither QEMU's main nor a channel"},
        {{.name = "one channel too many",
          .qemu = {.channels = 3, .rounds = 1},
          .destination_expects = 2},
         "set to 2"},
        {{.name = "different numbers",
          .qemu = {.channels = 2, .rounds = 1},
          .source_expects = 2,
          .destination_expects = 4},
         "multifd channels"},
        {{.name = "another length",
          .qemu = {.channels = 2, .rounds = 1},
          .source_knows = KNOWS_TWO,
          .destination_knows = KNOWS_TWO,
          .wrong_length = FAKE_PAGE},
         "bytes at the source"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        bridge_migration_run(&migration, &cases[i].plan);
        if (strstr(migration.source.err.message, cases[i].part) == NULL) {
            bridge_migration_explain(&migration);
            fail_msg("expected \"%s\"", cases[i].part);
        }
        bridge_migration_expect_failure(&migration);
    }
}

static void a_migration_that_breaks_leaves_the_guest_at_the_source(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 24; i++) {
        static const char *const names[] = {"QEMU's source cancels", "QEMU's destination is killed",
                                            "a bridge is cancelled", "the wire is cut"};
        const struct bridge_plan plan = {.name = names[i % 4],
                                         .qemu = {.channels = 3,
                                                  .rounds = 1000,
                                                  .seed = 60 + i,
                                                  .cancel_after = i % 4 == 0 ? 40 + i * 37 : 0,
                                                  .kill_after = i % 4 == 1 ? 5 + i * 11 : 0},
                                         .cancel_after_ms = i % 4 == 2 ? 5 + i * 3 : 0,
                                         .cancel_source = i % 8 == 2,
                                         .cut_after_ms = i % 4 == 3 ? 5 + i * 3 : 0,
                                         .source_knows = KNOWS_TWO,
                                         .destination_knows = i % 3 == 0 ? KNOWS_NONE : KNOWS_TWO};

        bridge_migration_run(&migration, &plan);
        bridge_migration_expect_failure(&migration);
    }
}

static void a_destination_that_dies_with_all_in_hand_has_not_got_the_guest(void **state)
{
    static const struct bridge_plan plan = {
        .name = "it dies at the end",
        .qemu = {.channels = 2, .rounds = 2, .seed = 90, .dies_at_end = true},
        .source_knows = KNOWS_TWO,
        .destination_knows = KNOWS_TWO};

    (void)state;
    bridge_migration_run(&migration, &plan);
    bridge_migration_expect_failure(&migration);
}

static void cut(void)
{
    fabric_cut(true);
}

/*
 * The guest has started, and nobody can tell the source any more: its QEMU must not resume the
 * guest, whatever else is known.
 */
static void a_guest_that_may_run_at_the_destination_is_not_resumed(void **state)
{
    static const struct bridge_plan plan = {
        .name = "the wire is cut at the end",
        .qemu = {.channels = 2, .rounds = 2, .seed = 91, .at_start = cut},
        .source_knows = KNOWS_TWO,
        .destination_knows = KNOWS_TWO};

    (void)state;
    bridge_migration_run(&migration, &plan);
    EXPECT(&migration, migration.source.status == -1);
    EXPECT(&migration, strstr(migration.source.err.message, "continue it here") != NULL);
    EXPECT(&migration, migration.source.statistics.phase == MULTIFD_BRIDGE_UNDECIDED);
    EXPECT(&migration, atomic_load(&migration.qemu.source_outcome) == FAKE_SUCCEEDED);
    EXPECT(&migration, migration.destination.status == -1);
    EXPECT(&migration, strstr(migration.destination.err.message, "end QEMU here") != NULL);
    EXPECT(&migration, migration.destination.statistics.phase == MULTIFD_BRIDGE_UNDECIDED);
    EXPECT(&migration, atomic_load(&migration.qemu.destination_outcome) == FAKE_SUCCEEDED);
    EXPECT(&migration, fake_qemu_equal(&migration.qemu));
    fake_qemu_fini(&migration.qemu);
}

static void leave_source(void)
{
    shutdown(migration.qemu.main, SHUT_RDWR);
}

/* QEMU's source is cancelled when nobody can stop its destination any more: that is told. */
static void a_source_that_leaves_when_the_guest_has_moved_is_told_of(void **state)
{
    static const struct bridge_plan plan = {
        .name = "the source is cancelled at the end",
        .qemu = {.channels = 2, .rounds = 2, .seed = 92, .at_start = leave_source},
        .source_knows = KNOWS_TWO,
        .destination_knows = KNOWS_TWO};

    (void)state;
    bridge_migration_run(&migration, &plan);
    EXPECT(&migration, migration.source.status == -1);
    EXPECT(&migration, strstr(migration.source.err.message, "end QEMU at the destination") != NULL);
    EXPECT(&migration, migration.source.statistics.phase == MULTIFD_BRIDGE_UNDECIDED);
    EXPECT(&migration, atomic_load(&migration.qemu.source_outcome) == FAKE_FAILED);
    EXPECT(&migration, migration.destination.status == -1);
    EXPECT(&migration, strstr(migration.destination.err.message, "end QEMU here") != NULL);
    EXPECT(&migration, migration.destination.statistics.phase == MULTIFD_BRIDGE_UNDECIDED);
    EXPECT(&migration, atomic_load(&migration.qemu.destination_outcome) == FAKE_SUCCEEDED);
    fake_qemu_fini(&migration.qemu);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_nobody_knows_is_carried),
        cmocka_unit_test(compressed_channels_are_carried),
        cmocka_unit_test(what_both_know_is_written_directly),
        cmocka_unit_test(no_round_overtakes_another),
        cmocka_unit_test(what_the_destination_knows_is_written_from_a_buffer),
        cmocka_unit_test(wrong_settings_are_refused),
        cmocka_unit_test(a_migration_that_breaks_leaves_the_guest_at_the_source),
        cmocka_unit_test(a_destination_that_dies_with_all_in_hand_has_not_got_the_guest),
        cmocka_unit_test(a_guest_that_may_run_at_the_destination_is_not_resumed),
        cmocka_unit_test(a_source_that_leaves_when_the_guest_has_moved_is_told_of),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
