/* SPDX-License-Identifier: MIT */
#include "cmocka_all.h"

#include "bridge/bridge_progress.h"
#include "bridge/bridge_report.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static struct multifd_bridge_channel_statistics channels[] = {
    {.packets = 7, .direct_bytes = 1000, .cpu_ns = 5},
    {.packets = 8, .carried_bytes = 2000, .buffered_bytes = 500},
};

static const struct outcome outcome = {
    .known = true,
    .migration = {.status = "completed",
                  .total_ms = 1500,
                  .downtime_ms = 20,
                  .rounds = 4,
                  .normal_pages = 900,
                  .zero_pages = 100},
    .guest = "postmigrate",
    .text = "the guest has moved",
};

static struct bridge_report sample(void)
{
    return (struct bridge_report){
        .command = "bridge source",
        .qemu = "unix:/run/guest",
        .rdma = "rdma:10.0.0.1:4444",
        .blocks = 1,
        .memory = 1 << 20,
        .statistics = {.channels = 2,
                       .rounds = 3,
                       .direct_pages = 11,
                       .direct_bytes = 1000,
                       .dropped_bytes = 999,
                       .buffered_bytes = 500,
                       .carried_bytes = 2000,
                       .total_ns = 1000,
                       .held_ns = 6},
        .channels = channels,
        .version = "7.2.22",
        .outcome = &outcome,
    };
}

static json_t *parsed(const struct bridge_report *report)
{
    char *text = bridge_report_json(report);

    assert_non_null(text);
    json_t *object = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(object);
    free(text);
    return object;
}

static void assert_integer(const json_t *object, const char *member, json_int_t expected)
{
    const json_t *value = json_object_get(object, member);

    assert_true(json_is_integer(value));
    assert_int_equal(json_integer_value(value), expected);
}

static void assert_text(const json_t *object, const char *member, const char *expected)
{
    const json_t *value = json_object_get(object, member);

    assert_true(json_is_string(value));
    assert_string_equal(json_string_value(value), expected);
}

static void json_has_all(void **state)
{
    struct bridge_report report = sample();
    json_t *object = parsed(&report);
    const json_t *qemu = json_object_get(object, "qemu");
    const json_t *list = json_object_get(object, "channels");

    (void)state;
    assert_integer(object, "version", 1);
    assert_text(object, "type", "report");
    assert_text(object, "command", "bridge source");
    assert_text(object, "qemu_address", "unix:/run/guest");
    assert_text(object, "rdma_address", "rdma:10.0.0.1:4444");
    assert_text(object, "result", "done");
    assert_true(json_is_null(json_object_get(object, "error")));
    assert_integer(object, "direct_pages", 11);
    assert_integer(object, "dropped_bytes", 999);
    assert_integer(object, "held_ns", 6);
    assert_text(qemu, "version", "7.2.22");
    assert_text(qemu, "status", "completed");
    assert_integer(qemu, "downtime_ms", 20);
    assert_integer(qemu, "rounds", 4);
    assert_true(json_is_null(json_object_get(qemu, "error")));
    assert_int_equal(json_array_size(list), 2);
    assert_integer(json_array_get(list, 1), "carried_bytes", 2000);
    assert_true(json_real_value(json_object_get(json_array_get(list, 0), "rate_gbps")) == 8.0);
    json_decref(object);
}

static void json_of_failure_without_qmp(void **state)
{
    struct multifd_error error = {MULTIFD_ERROR_TIMEOUT, MULTIFD_NO_CHANNEL, "silent"};
    struct bridge_report report = sample();

    (void)state;
    report.error = &error;
    report.outcome = NULL;
    report.statistics.phase = MULTIFD_BRIDGE_UNDECIDED;
    json_t *object = parsed(&report);
    assert_text(object, "result", "undecided");
    json_decref(object);
    report.statistics.phase = MULTIFD_BRIDGE_FAILED;
    object = parsed(&report);
    assert_text(object, "result", "failed");
    assert_text(json_object_get(object, "error"), "code", "timeout");
    assert_true(json_is_null(json_object_get(object, "qemu")));
    json_decref(object);
}

static void table_has_lines(void **state)
{
    static const char *const expected[] = {
        "multifd bridge source: unix:/run/guest, rdma:10.0.0.1:4444, done\n",
        "  known memory  1.0 MiB in 1 RAM block, 2 channels\n",
        "  QEMU          the guest has moved, version 7.2.22\n",
        "  downtime      0.020 s\n",
        "  pages sent    900 in 4 rounds, 100 zero\n",
        "  bytes         1000 written directly, 500 from buffers, 2000 carried, 999 dropped\n",
        "        1          8                0              500             2000     20.00\n",
    };
    struct bridge_report report = sample();
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);

    (void)state;
    bridge_report_table(&report, out);
    assert_int_equal(fclose(out), 0);
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        if (strstr(text, expected[i]) == NULL) {
            fail_msg("no \"%s\" in \"%s\"", expected[i], text);
        }
    }
    free(text);
}

static void assert_progress(const struct qemu_migration *qemu, enum multifd_bridge_phase phase,
                            const char *expected)
{
    const struct multifd_bridge_statistics statistics = {
        .phase = phase, .direct_bytes = 1 << 20, .carried_bytes = 2048};
    char text[PROGRESS_TEXT];

    bridge_progress_format(text, qemu, &statistics, 125e6);
    assert_string_equal(text, expected);
}

static void progress_has_both_views(void **state)
{
    const struct qemu_migration active = {
        .status = "active", .rounds = 3, .remaining = 1 << 20, .total = 4 << 20};
    const struct qemu_migration setup = {.status = "setup"};

    (void)state;
    assert_progress(NULL, MULTIFD_BRIDGE_WAITING, "waiting");
    assert_progress(&setup, MULTIFD_BRIDGE_WAITING, "QEMU setup; waiting");
    assert_progress(NULL, MULTIFD_BRIDGE_ACTIVE,
                    "direct 1.0 MiB, buffered 0 B, carried 2.0 KiB, 1.00 Gb/s");
    assert_progress(&active, MULTIFD_BRIDGE_ACTIVE,
                    "QEMU active, round 3, 1.0 MiB of 4.0 MiB left; direct 1.0 MiB, buffered 0 B, "
                    "carried 2.0 KiB, 1.00 Gb/s");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_has_all),
        cmocka_unit_test(json_of_failure_without_qmp),
        cmocka_unit_test(table_has_lines),
        cmocka_unit_test(progress_has_both_views),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
