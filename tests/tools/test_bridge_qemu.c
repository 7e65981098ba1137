/* SPDX-License-Identifier: MIT */
#include "cmocka_all.h"

#include "bridge/outcome.h"
#include "bridge/qemu.h"
#include "fake_qmp.h"
#include "scratch.h"

#include <string.h>

#define STATUS(text) "{\"status\": \"" text "\", \"running\": false}"
#define CAPABLE(name)                                                                              \
    "[{\"capability\": \"multifd\", \"state\": false}, {\"capability\": \"" name                   \
    "\", \"state\": true}]"
#define TLS(text) "{\"tls-creds\": \"" text "\", \"multifd-channels\": 4}"
#define ADDRESS   "unix:/run/guest"

static int enter(void **state)
{
    (void)state;
    return scratch_enter_below("/var/tmp");
}

static int leave(void **state)
{
    (void)state;
    return scratch_leave();
}

struct talk {
    struct fake_qmp *fake;
    struct qmp *qmp;
    struct multifd_error err;
};

static void begin(struct talk *talk, const struct fake_answer *answers)
{
    talk->fake = fake_qmp_start("qmp", FAKE_QMP_GREETING, answers);
    talk->qmp = qmp_connect("qmp", QMP_TIMEOUT_MS, &talk->err);
    assert_non_null(talk->qmp);
}

static void end(struct talk *talk)
{
    qmp_delete(&talk->qmp);
    fake_qmp_stop(&talk->fake);
    assert_int_equal(unlink("qmp"), 0);
}

static void assert_check(const struct fake_answer *answers, enum qemu_role role, const char *text)
{
    struct talk talk;

    begin(&talk, answers);
    int rc = qemu_check(talk.qmp, role, &talk.err);
    end(&talk);
    assert_int_equal(rc, text == NULL ? 0 : -1);
    if (text != NULL && strstr(talk.err.message, text) == NULL) {
        fail_msg("%s", talk.err.message);
    }
}

static void refuses_the_wrong_state(void **state)
{
    static const struct fake_answer runs[] = {{"query-status", STATUS("running")}, {NULL, NULL}};
    static const struct fake_answer waits[] = {{"query-status", STATUS("inmigrate")}, {NULL, NULL}};
    static const struct fake_answer migrates[] = {
        {"query-status", STATUS("running")}, {"query-migrate", STATUS("active")}, {NULL, NULL}};
    static const struct fake_answer failed[] = {
        {"query-status", STATUS("running")}, {"query-migrate", STATUS("failed")}, {NULL, NULL}};

    (void)state;
    assert_check(runs, QEMU_SOURCE, NULL);
    assert_check(waits, QEMU_DESTINATION, NULL);
    assert_check(failed, QEMU_SOURCE, NULL);
    assert_check(runs, QEMU_DESTINATION,
                 "its guest is running: the destination's is started with "
                 "-incoming defer");
    assert_check(waits, QEMU_SOURCE, "it is a destination");
    assert_check(migrates, QEMU_SOURCE, "QEMU is migrating already: active");
}

static void refuses_what_cannot_be_bridged(void **state)
{
    static const struct fake_answer tls[] = {{"query-status", STATUS("running")},
                                             {"query-migrate-parameters", TLS("tls0")},
                                             {NULL, NULL}};
    static const struct fake_answer ignores[] = {
        {"query-status", STATUS("running")},
        {"query-migrate-capabilities", CAPABLE("x-ignore-shared")},
        {NULL, NULL}};
    static const struct fake_answer postcopy[] = {
        {"query-status", STATUS("running")},
        {"query-migrate-capabilities", CAPABLE("postcopy-ram")},
        {NULL, NULL}};
    static const struct fake_answer others[] = {
        {"query-status", STATUS("running")},
        {"query-migrate-parameters", TLS("")},
        {"query-migrate-capabilities", CAPABLE("auto-converge")},
        {NULL, NULL}};

    (void)state;
    assert_check(tls, QEMU_SOURCE, "QEMU encrypts its migrations (tls-creds is tls0)");
    assert_check(ignores, QEMU_SOURCE, "x-ignore-shared is on, which does not send the RAM");
    assert_check(postcopy, QEMU_SOURCE, "postcopy-ram is on");
    assert_check(others, QEMU_SOURCE, NULL);
}

static void sets_what_was_asked_for(void **state)
{
    static const struct fake_answer answers[] = {{"query-migrate-parameters", TLS("")},
                                                 {NULL, NULL}};
    const struct qemu_settings all = {4, 0, 250, "none"};
    const struct qemu_settings nothing = {QEMU_KEEP, QEMU_KEEP, QEMU_KEEP, NULL};
    unsigned channels = 0;
    struct talk talk;

    (void)state;
    begin(&talk, answers);
    assert_int_equal(qemu_set_up(talk.qmp, &all, &channels, &talk.err), 0);
    assert_int_equal(channels, 4);
    assert_true(fake_qmp_heard(talk.fake, "{\"capability\":\"multifd\",\"state\":true}"));
    assert_true(fake_qmp_heard(talk.fake, "{\"capability\":\"return-path\",\"state\":true}"));
    assert_true(fake_qmp_heard(talk.fake, "{\"capability\":\"events\",\"state\":true}"));
    assert_true(fake_qmp_heard(talk.fake,
                               "{\"multifd-channels\":4,\"max-bandwidth\":0,\"downtime-limit\":250,"
                               "\"multifd-compression\":\"none\"}"));
    end(&talk);
    begin(&talk, answers);
    assert_int_equal(qemu_set_up(talk.qmp, &nothing, &channels, &talk.err), 0);
    assert_true(fake_qmp_heard(talk.fake, "\"arguments\":{}"));
    end(&talk);
}

static void says_what_cannot_be_set(void **state)
{
    static const struct fake_answer answers[] = {{"migrate-set-capabilities", "!not multifd"},
                                                 {NULL, NULL}};
    const struct qemu_settings nothing = {QEMU_KEEP, QEMU_KEEP, QEMU_KEEP, NULL};
    unsigned channels = 0;
    struct talk talk;

    (void)state;
    begin(&talk, answers);
    assert_int_equal(qemu_set_up(talk.qmp, &nothing, &channels, &talk.err), -1);
    assert_string_equal(talk.err.message, "QEMU refuses migrate-set-capabilities: not multifd");
    end(&talk);
}

static void listens_once(void **state)
{
    static const struct fake_answer there[] = {
        {"query-migrate", "{\"socket-address\": [{\"type\": \"unix\", \"path\": \"/run/guest\"}]}"},
        {NULL, NULL}};
    struct talk talk;

    (void)state;
    begin(&talk, NULL);
    assert_int_equal(qemu_listen(talk.qmp, ADDRESS, &talk.err), 0);
    assert_true(fake_qmp_heard(talk.fake, "\"uri\":\"unix:/run/guest\""));
    end(&talk);
    begin(&talk, there);
    assert_int_equal(qemu_listen(talk.qmp, ADDRESS, &talk.err), 0);
    assert_false(fake_qmp_heard(talk.fake, "migrate-incoming"));
    assert_int_equal(qemu_listen(talk.qmp, "unix:/run/other", &talk.err), 0);
    assert_true(fake_qmp_heard(talk.fake, "migrate-incoming"));
    end(&talk);
}

#define YANK_MONITOR "{\"type\": \"chardev\", \"id\": \"monitor\"}"

static void waits_for_the_last_migrations_end(void **state)
{
    static const struct fake_answer cleaned_up[] = {
        {"query-migrate", "{\"status\": \"failed\"}"},
        {"query-yank", "[" YANK_MONITOR ", {\"type\": \"migration\"}]"},
        {"query-yank", "[" YANK_MONITOR ", {\"type\": \"migration\"}]"},
        {"query-yank", "[" YANK_MONITOR "]"},
        {"migrate", "{}"},
        {NULL, NULL}};
    struct talk talk;

    (void)state;
    begin(&talk, cleaned_up);
    assert_int_equal(qemu_migrate(talk.qmp, ADDRESS, &talk.err), 0);
    assert_int_equal(fake_qmp_count(talk.fake, "query-yank"), 3);
    assert_int_equal(fake_qmp_count(talk.fake, "\"migrate\""), 1);
    end(&talk);
}

static void does_not_wait_for_what_runs(void **state)
{
    static const struct fake_answer active[] = {
        {"query-migrate", "{\"status\": \"active\"}"},
        {"query-yank", "[{\"type\": \"migration\"}]"},
        {"migrate", "!There's a migration process in progress"},
        {NULL, NULL}};
    static const struct fake_answer old[] = {{"query-migrate", "{\"status\": \"failed\"}"},
                                             {"query-yank", "!no such command"},
                                             {NULL, NULL}};
    struct talk talk;

    (void)state;
    begin(&talk, active);
    assert_int_equal(qemu_migrate(talk.qmp, ADDRESS, &talk.err), -1);
    assert_int_equal(fake_qmp_count(talk.fake, "\"migrate\""), 1);
    end(&talk);
    begin(&talk, old);
    assert_int_equal(qemu_migrate(talk.qmp, ADDRESS, &talk.err), 0);
    end(&talk);
}

static void reads_what_qemu_tells(void **state)
{
    static const struct fake_answer answers[] = {
        {"query-migrate", "{}"},
        {"query-migrate",
         "{\"status\": \"completed\", \"total-time\": 25, \"setup-time\": 3, \"downtime\": 2, "
         "\"ram\": {\"normal\": 115, \"duplicate\": 32787, \"dirty-sync-count\": 2, \"total\": "
         "134217728, \"remaining\": 0, \"mbps\": 12.5}}"},
        {"query-migrate", "{\"status\": \"failed\", \"error-desc\": \"no way\"}"},
        {NULL, NULL}};
    struct qemu_migration migration;
    struct talk talk;

    (void)state;
    begin(&talk, answers);
    assert_int_equal(qemu_query(talk.qmp, &migration, &talk.err), 0);
    assert_string_equal(migration.status, "none");
    assert_false(qemu_is_over(&migration));
    assert_int_equal(qemu_query(talk.qmp, &migration, &talk.err), 0);
    assert_true(qemu_is_over(&migration));
    assert_int_equal(migration.total_ms, 25);
    assert_int_equal(migration.downtime_ms, 2);
    assert_int_equal(migration.normal_pages, 115);
    assert_int_equal(migration.zero_pages, 32787);
    assert_int_equal(migration.rounds, 2);
    assert_int_equal(qemu_query(talk.qmp, &migration, &talk.err), 0);
    assert_true(qemu_is_over(&migration));
    assert_string_equal(migration.error, "no way");
    end(&talk);
}

/* ---- The end ------------------------------------------------------------------------------- */

static void assert_outcome(const struct fake_answer *answers, enum qemu_role role,
                           enum multifd_bridge_phase phase, const char *text, bool cancelled)
{
    struct outcome outcome;
    struct talk talk;

    begin(&talk, answers);
    outcome_find(&outcome, talk.qmp, role, phase);
    if (strstr(outcome.text, text) == NULL) {
        fail_msg("%s", outcome.text);
    }
    assert_false(outcome.contrary);
    assert_int_equal(fake_qmp_heard(talk.fake, "migrate_cancel"), cancelled);
    end(&talk);
}

static void tells_what_has_become_of_the_source(void **state)
{
    static const struct fake_answer moved[] = {
        {"query-migrate", STATUS("active")},        {"query-migrate", STATUS("completed")},
        {"query-status", STATUS("finish-migrate")}, {"query-status", STATUS("finish-migrate")},
        {"query-status", STATUS("postmigrate")},    {NULL, NULL}};
    static const struct fake_answer failed[] = {{"query-migrate", STATUS("active")},
                                                {"query-migrate", STATUS("failed")},
                                                {"query-status", STATUS("running")},
                                                {NULL, NULL}};
    static const struct fake_answer paused[] = {
        {"query-migrate", STATUS("cancelled")}, {"query-status", STATUS("paused")}, {NULL, NULL}};
    static const struct fake_answer both[] = {{"query-migrate", STATUS("completed")},
                                              {"query-status", STATUS("postmigrate")},
                                              {NULL, NULL}};
    static const struct fake_answer gone[] = {{"query-migrate", FAKE_QMP_CLOSE}, {NULL, NULL}};
    static const struct fake_answer idle[] = {{"query-migrate", STATUS("setup")},
                                              {"query-migrate", STATUS("setup")},
                                              {"query-migrate", STATUS("cancelled")},
                                              {"query-status", STATUS("running")},
                                              {NULL, NULL}};

    (void)state;
    assert_outcome(moved, QEMU_SOURCE, MULTIFD_BRIDGE_COMPLETED,
                   "the guest has moved (postmigrate here)", false);
    assert_outcome(failed, QEMU_SOURCE, MULTIFD_BRIDGE_FAILED, "the guest runs on here", false);
    assert_outcome(paused, QEMU_SOURCE, MULTIFD_BRIDGE_FAILED, "the guest is still here, paused",
                   false);
    assert_outcome(both, QEMU_SOURCE, MULTIFD_BRIDGE_FAILED,
                   "look at the destination before you resume", false);
    assert_outcome(gone, QEMU_SOURCE, MULTIFD_BRIDGE_FAILED, "QEMU has ended", false);
    assert_outcome(idle, QEMU_SOURCE, MULTIFD_BRIDGE_FAILED, "the guest runs on here", true);
}

/* The guest may run at the destination: QEMU must not be told anything that makes it resume here.
 */
static void an_undecided_source_is_left_alone(void **state)
{
    static const struct fake_answer idle[] = {{"query-migrate", STATUS("setup")},
                                              {"query-migrate", STATUS("device")},
                                              {"query-migrate", STATUS("completed")},
                                              {"query-status", STATUS("postmigrate")},
                                              {NULL, NULL}};

    (void)state;
    assert_outcome(idle, QEMU_SOURCE, MULTIFD_BRIDGE_UNDECIDED,
                   "look at the destination before you resume", false);
}

static void an_undecided_destination_has_the_guest(void **state)
{
    static const struct fake_answer arrived[] = {
        {"query-migrate", STATUS("completed")}, {"query-status", STATUS("paused")}, {NULL, NULL}};

    (void)state;
    assert_outcome(arrived, QEMU_DESTINATION, MULTIFD_BRIDGE_UNDECIDED, "the guest is here, paused",
                   false);
}

static void tells_what_has_become_of_the_destination(void **state)
{
    static const struct fake_answer arrived[] = {{"query-migrate", STATUS("completed")},
                                                 {"query-status", STATUS("inmigrate")},
                                                 {"query-status", STATUS("running")},
                                                 {NULL, NULL}};
    static const struct fake_answer gone[] = {{"query-migrate", STATUS("active")},
                                              {"query-migrate", FAKE_QMP_CLOSE},
                                              {"query-status", STATUS("inmigrate")},
                                              {NULL, NULL}};
    static const struct fake_answer waits[] = {{"query-status", STATUS("inmigrate")}, {NULL, NULL}};
    static const struct fake_answer stays[] = {{"query-migrate", STATUS("failed")},
                                               {"query-status", STATUS("internal-error")},
                                               {NULL, NULL}};

    (void)state;
    assert_outcome(arrived, QEMU_DESTINATION, MULTIFD_BRIDGE_COMPLETED,
                   "the guest is here and running", false);
    assert_outcome(gone, QEMU_DESTINATION, MULTIFD_BRIDGE_FAILED, "QEMU has ended", false);
    assert_outcome(waits, QEMU_DESTINATION, MULTIFD_BRIDGE_FAILED,
                   "QEMU still waits for a migration", false);
    assert_outcome(stays, QEMU_DESTINATION, MULTIFD_BRIDGE_FAILED, "QEMU has not ended", false);
}

static void assert_contrary(const struct fake_answer *answers, enum qemu_role role)
{
    struct outcome outcome;
    struct talk talk;

    begin(&talk, answers);
    outcome_find(&outcome, talk.qmp, role, MULTIFD_BRIDGE_COMPLETED);
    assert_true(outcome.contrary);
    end(&talk);
}

static void qemu_has_the_last_word(void **state)
{
    static const struct fake_answer failed[] = {
        {"query-migrate", STATUS("failed")}, {"query-status", STATUS("running")}, {NULL, NULL}};
    static const struct fake_answer gone[] = {{"query-migrate", STATUS("active")},
                                              {"query-migrate", FAKE_QMP_CLOSE},
                                              {"query-status", STATUS("inmigrate")},
                                              {NULL, NULL}};

    (void)state;
    assert_contrary(failed, QEMU_SOURCE);
    assert_contrary(gone, QEMU_DESTINATION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(refuses_the_wrong_state, enter, leave),
        cmocka_unit_test_setup_teardown(refuses_what_cannot_be_bridged, enter, leave),
        cmocka_unit_test_setup_teardown(sets_what_was_asked_for, enter, leave),
        cmocka_unit_test_setup_teardown(says_what_cannot_be_set, enter, leave),
        cmocka_unit_test_setup_teardown(listens_once, enter, leave),
        cmocka_unit_test_setup_teardown(waits_for_the_last_migrations_end, enter, leave),
        cmocka_unit_test_setup_teardown(does_not_wait_for_what_runs, enter, leave),
        cmocka_unit_test_setup_teardown(reads_what_qemu_tells, enter, leave),
        cmocka_unit_test_setup_teardown(tells_what_has_become_of_the_source, enter, leave),
        cmocka_unit_test_setup_teardown(an_undecided_source_is_left_alone, enter, leave),
        cmocka_unit_test_setup_teardown(tells_what_has_become_of_the_destination, enter, leave),
        cmocka_unit_test_setup_teardown(an_undecided_destination_has_the_guest, enter, leave),
        cmocka_unit_test_setup_teardown(qemu_has_the_last_word, enter, leave),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
