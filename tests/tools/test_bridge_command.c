/* SPDX-License-Identifier: MIT */
/* Whole runs of multifd bridge, with an engine that moves nothing and a QEMU that only answers. */
#include "cmocka_all.h"

#include "capture.h"
#include "commands.h"
#include "fake_bridge.h"
#include "fake_qmp.h"
#include "scratch.h"
#include "signals.h"
#include "words.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define SOURCE      "source unix:/run/a rdma:10.0.0.1:4444"
#define DESTINATION "destination rdma:10.0.0.1:0 unix:/run/b"
#define LENGTH      65536u

#define STATUS(text) "{\"status\": \"" text "\"}"
#define TABLE                                                                                      \
    "\"Block Name\\r\\n  ram 4 KiB 0x0 0x10000 0x10000\\r\\n pc.bios 4 KiB 0x0 0x4000 0x0\""
#define MEMDEV "[{\"id\": \"ram\", \"share\": true, \"size\": 65536}]"

static pid_t owner;

/* A process that has the file "ram" as its shared memory, like QEMU. */
static pid_t start_owner(void)
{
    int ready[2];
    char byte = 0;
    int fd = open("ram", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    assert_int_equal(ftruncate(fd, LENGTH), 0);
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        char *host = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        host[5] = 'x';
        (void)!write(ready[1], "x", 1);
        (void)pause();
        _exit(1);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    (void)close(ready[0]);
    (void)close(ready[1]);
    (void)close(fd);
    return pid;
}

static int enter(void **state)
{
    (void)state;
    int rc = scratch_enter_below("/dev/shm");
    owner = start_owner();
    return rc;
}

static int leave(void **state)
{
    (void)state;
    (void)kill(owner, SIGKILL);
    (void)waitpid(owner, NULL, 0);
    return scratch_leave();
}

/* What the last run printed. */
static char out[16384];
static char complaints[16384];

static int run(const char *line)
{
    struct capture output;
    struct capture errors;
    struct words words;

    words_split(&words, "bridge", line);
    capture_start(&output, stdout);
    capture_start(&errors, stderr);
    int status = command_bridge.run(&command_bridge, words.argc, words.argv);
    capture_stop(&errors);
    capture_stop(&output);
    (void)snprintf(out, sizeof(out), "%s", output.text);
    (void)snprintf(complaints, sizeof(complaints), "%s", errors.text);
    return status;
}

static void assert_runs(const char *line, enum fake_bridge_end end, int status, const char *text)
{
    fake_bridge_reset(end);
    int got = run(line);
    if (got != status || strstr(complaints, text) == NULL) {
        fail_msg("%s: status %d, %s", line, got, complaints);
    }
}

static void assert_runs_with(const struct fake_answer *answers, const char *line,
                             enum fake_bridge_end end, int status, const char *text)
{
    struct fake_qmp *qmp = fake_qmp_start("qmp", FAKE_QMP_GREETING, answers);

    assert_runs(line, end, status, text);
    fake_qmp_stop(&qmp);
    assert_int_equal(unlink("qmp"), 0);
}

static void runs_without_qmp(void **state)
{
    (void)state;
    assert_runs(SOURCE " --ram ram=ram --channels 3", FAKE_BRIDGE_COMPLETES, CLI_EXIT_DONE,
                "listening on unix:/run/a\n");
    assert_string_equal(fake_bridge_told()->blocks, "ram 65536;");
    assert_int_equal(fake_bridge_told()->channels, 3);
    assert_true(fake_bridge_told()->source && fake_bridge_told()->listened);
    assert_true(fake_bridge_told()->observed);
    assert_non_null(strstr(out, "multifd bridge source: unix:/run/a, rdma:10.0.0.1:4444, done"));
    assert_runs(DESTINATION " --ram ram=ram --ready port", FAKE_BRIDGE_COMPLETES, CLI_EXIT_DONE,
                "listening on rdma:10.0.0.1:4321\n");
    assert_int_equal(fake_bridge_told()->channels, 0);
    assert_true(!fake_bridge_told()->source && fake_bridge_told()->observed);
    assert_int_equal(access("port", F_OK), 0);
    assert_runs(SOURCE, FAKE_BRIDGE_FAILS, CLI_EXIT_FAILED,
                "multifd bridge source: the other bridge is silent\n");
    assert_string_equal(out, "");
    assert_runs(SOURCE " --json", FAKE_BRIDGE_FAILS, CLI_EXIT_FAILED, "silent\n");
    assert_non_null(strstr(out, "\"result\": \"failed\""));
}

static void refuses_files(void **state)
{
    char line[128];

    (void)state;
    assert_runs("source unix:/run/a rdma:10.0.0.1", FAKE_BRIDGE_COMPLETES, CLI_EXIT_WRONG,
                "no port");
    assert_runs(SOURCE " --ram ram=none", FAKE_BRIDGE_COMPLETES, CLI_EXIT_FAILED,
                "none: cannot be opened: No such file");
    assert_runs(SOURCE " --ram ram=ram,size=128K", FAKE_BRIDGE_COMPLETES, CLI_EXIT_FAILED,
                "ram: the file has 65536 bytes, the RAM block has 131072");
    (void)snprintf(line, sizeof(line), DESTINATION " --ram ram=/var/tmp%s",
                   strrchr(scratch_directory, '/'));
    FILE *file = fopen(strchr(line, '=') + 1, "w");
    assert_int_equal(ftruncate(fileno(file), LENGTH), 0);
    assert_int_equal(fclose(file), 0);
    fake_bridge_reset(FAKE_BRIDGE_COMPLETES);
    assert_int_equal(run(line), CLI_EXIT_FAILED);
    assert_int_equal(unlink(strchr(line, '=') + 1), 0);
    assert_non_null(strstr(complaints, "lies on a disk"));
    file = fopen("alone", "w");
    assert_int_equal(ftruncate(fileno(file), LENGTH), 0);
    assert_int_equal(fclose(file), 0);
    assert_runs(SOURCE " --ram ram=alone", FAKE_BRIDGE_COMPLETES, CLI_EXIT_FAILED,
                "no process that this user may look at has the 65536 bytes of alone as its shared "
                "memory");
    assert_false(fake_bridge_told()->listened);
}

static void the_source_is_brought_to_its_end(void **state)
{
    char path[128];
    const struct fake_answer answers[] = {
        {"query-status", STATUS("running")},
        {"query-status", STATUS("postmigrate")},
        {"query-migrate", "{}"},
        {"query-migrate", STATUS("completed")},
        {"query-migrate-parameters", "{\"tls-creds\": \"\", \"multifd-channels\": 2}"},
        {"human-monitor-command", TABLE},
        {"query-memdev", MEMDEV},
        {"qom-get", "\"memory-backend-file\""},
        {"qom-get", path},
        {NULL, NULL}};

    (void)state;
    (void)snprintf(path, sizeof(path), "\"%s/ram\"", scratch_directory);
    assert_runs_with(answers, SOURCE " --qmp qmp", FAKE_BRIDGE_COMPLETES, CLI_EXIT_DONE,
                     "listening on unix:/run/a");
    assert_string_equal(fake_bridge_told()->blocks, "ram 65536;");
    assert_int_equal(fake_bridge_told()->channels, 2);
    assert_non_null(strstr(out, "the guest has moved (postmigrate here), version 7.2.22"));
}

#define READY                                                                                      \
    {"query-migrate", "{}"}, {"query-migrate-parameters", "{\"multifd-channels\": 2}"},            \
        {"human-monitor-command", TABLE},                                                          \
    {                                                                                              \
        "query-status", STATUS("running")                                                          \
    }

static void the_sources_qemu_says_why(void **state)
{
    static const struct fake_answer refused[] = {READY,
                                                 {"migrate", "!blocked by a device"},
                                                 {"query-migrate", STATUS("failed")},
                                                 {NULL, NULL}};
    static const struct fake_answer failed[] = {
        READY,
        {"query-migrate", "{\"status\": \"failed\", \"error-desc\": \"no socket\"}"},
        {NULL, NULL}};
    static const struct fake_answer contrary[] = {READY,
                                                  {"query-migrate", STATUS("active")},
                                                  {"query-migrate", STATUS("failed")},
                                                  {NULL, NULL}};
    static const struct fake_answer ended[] = {
        READY, {"query-migrate", FAKE_QMP_CLOSE}, {NULL, NULL}};

    (void)state;
    assert_runs_with(refused, SOURCE " --qmp qmp", FAKE_BRIDGE_WAITS, CLI_EXIT_FAILED,
                     "QEMU refuses migrate: blocked by a device; the guest runs on here");
    assert_runs_with(failed, SOURCE " --qmp qmp", FAKE_BRIDGE_WAITS, CLI_EXIT_FAILED,
                     "QEMU's migration has failed: no socket; the guest runs on here (QEMU's "
                     "migration: failed)");
    assert_runs_with(contrary, SOURCE " --qmp qmp", FAKE_BRIDGE_COMPLETES, CLI_EXIT_FAILED,
                     "but QEMU's migration is failed; the guest runs on here");
    assert_runs_with(ended, SOURCE " --qmp qmp", FAKE_BRIDGE_WAITS, CLI_EXIT_FAILED,
                     "QEMU has ended, or closed its monitor; QEMU has ended");
    assert_runs(SOURCE " --qmp qmp", FAKE_BRIDGE_WAITS, CLI_EXIT_FAILED,
                "--qmp qmp: cannot be connected to: No such file");
}

static void the_destinations_qemu_is_made_to_listen(void **state)
{
    static const struct fake_answer answers[] = {
        {"query-status", STATUS("inmigrate")},
        {"query-status", STATUS("running")},
        {"query-migrate", "{}"},
        {"query-migrate", "{}"},
        {"query-migrate", STATUS("completed")},
        {"query-migrate-parameters", "{\"multifd-channels\": 8}"},
        {"human-monitor-command", TABLE},
        {NULL, NULL}};
    static const struct fake_answer runs[] = {{"query-status", STATUS("running")}, {NULL, NULL}};
    struct fake_qmp *qmp = fake_qmp_start("qmp", FAKE_QMP_GREETING, answers);

    (void)state;
    assert_runs(DESTINATION " --qmp qmp --channels 8 --ram ram=ram", FAKE_BRIDGE_COMPLETES,
                CLI_EXIT_FAILED, "--ram ram: this RAM block of QEMU's is no shared memory");
    fake_qmp_stop(&qmp);
    assert_int_equal(unlink("qmp"), 0);
    qmp = fake_qmp_start("qmp", FAKE_QMP_GREETING, answers);
    assert_runs(DESTINATION " --qmp qmp --channels 8", FAKE_BRIDGE_COMPLETES, CLI_EXIT_DONE,
                "listening on rdma:10.0.0.1:4321");
    assert_int_equal(fake_bridge_told()->channels, 8);
    assert_true(fake_qmp_heard(qmp, "\"migrate-incoming\""));
    assert_true(fake_qmp_heard(qmp, "unix:/run/b"));
    assert_non_null(strstr(out, "the guest is here and running"));
    fake_qmp_stop(&qmp);
    assert_int_equal(unlink("qmp"), 0);
    assert_runs_with(runs, DESTINATION " --qmp qmp", FAKE_BRIDGE_COMPLETES, CLI_EXIT_FAILED,
                     "-incoming defer");
}

static void *interrupt(void *opaque)
{
    (void)opaque;
    while (!fake_bridge_runs()) {
        (void)usleep(10000);
    }
    (void)kill(getpid(), SIGTERM);
    return NULL;
}

static void a_signal_cancels(void **state)
{
    static const struct fake_answer answers[] = {READY,
                                                 {"query-migrate", STATUS("active")},
                                                 {"query-migrate", STATUS("active")},
                                                 {NULL, NULL}};
    struct fake_qmp *qmp = fake_qmp_start("qmp", FAKE_QMP_GREETING, answers);
    pthread_t thread;

    (void)state;
    fake_bridge_reset(FAKE_BRIDGE_WAITS);
    assert_int_equal(pthread_create(&thread, NULL, interrupt, NULL), 0);
    assert_int_equal(run(SOURCE " --qmp qmp --quiet"), CLI_EXIT_FAILED);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_string_equal(fake_bridge_told()->reason, "interrupted by SIGTERM");
    assert_non_null(strstr(complaints, "interrupted by SIGTERM; "));
    assert_true(fake_qmp_heard(qmp, "migrate_cancel"));
    fake_qmp_stop(&qmp);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(runs_without_qmp, enter, leave),
        cmocka_unit_test_setup_teardown(refuses_files, enter, leave),
        cmocka_unit_test_setup_teardown(the_source_is_brought_to_its_end, enter, leave),
        cmocka_unit_test_setup_teardown(the_sources_qemu_says_why, enter, leave),
        cmocka_unit_test_setup_teardown(the_destinations_qemu_is_made_to_listen, enter, leave),
        cmocka_unit_test_setup_teardown(a_signal_cancels, enter, leave),
    };

    signals_block(); /* in every thread of this program, before there is one */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
