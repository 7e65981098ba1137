/* SPDX-License-Identifier: MIT */
#include "bridge/bridge_run.h"

#include "bridge/bridge_progress.h"
#include "bridge/bridge_ram.h"
#include "bridge/bridge_report.h"
#include "bridge/follow.h"
#include "bridge/guard.h"
#include "console.h"
#include "fail.h"
#include "ram_files.h"
#include "ready.h"
#include "signals.h"

/* What QEMU has to end by itself when its bridge was killed; it takes far less. */
#define GRACE_MS 3000

struct run {
    const char *command;
    struct bridge_args *args;
    struct guard *guard;
    struct multifd_bridge *bridge;
    struct qmp *qmp;
    struct ram_files *files;
    struct signals *signals;
    struct follow *follow;
    struct bridge_progress *progress;
    struct outcome outcome;
    bool begun; /* QEMU may have started to migrate */
};

static bool is_source(const struct run *run)
{
    return run->args->role == QEMU_SOURCE;
}

/* ---- Before the migration ------------------------------------------------------------------ */

static struct multifd_bridge *new_bridge(const struct bridge_args *args, struct multifd_error *err)
{
    return args->role == QEMU_SOURCE
               ? multifd_bridge_source_new(args->qemu, args->rdma, args->session.options, err)
               : multifd_bridge_destination_new(args->rdma, args->qemu, args->session.options, err);
}

static int create(struct run *run, struct multifd_error *err)
{
    struct multifd_bridge_observer observer = {
        .connected = guard_connected,
        .handing_over = guard_handing_over,
        .committing = guard_committing,
    };

    signals_block();
    run->guard = guard_start(run->command, GRACE_MS, err); /* before there are threads */
    if (run->guard == NULL) {
        return -1;
    }
    run->bridge = new_bridge(run->args, err);
    if (run->bridge == NULL) {
        return -1;
    }
    observer.opaque = run->guard;
    return multifd_bridge_observe(run->bridge, &observer, err);
}

static int meet_qemu(struct run *run, struct multifd_error *err)
{
    if (run->args->qmp == NULL) {
        return 0;
    }
    run->qmp = qmp_connect(run->args->qmp, QMP_TIMEOUT_MS, err);
    if (run->qmp == NULL || qemu_check(run->qmp, run->args->role, err) != 0) {
        return -1;
    }
    return bridge_ram_find(&run->args->session.rams, run->qmp, run->command, err);
}

static int add_block(struct run *run, const struct ram_spec *spec, const struct ram_file *file,
                     struct multifd_error *err)
{
    uint64_t length = ram_file_length(file);
    pid_t process = run->qmp != NULL ? qmp_process(run->qmp) : 0;

    return bridge_ram_check(spec, length, process, err) != 0
               ? -1
               : multifd_bridge_add_block(run->bridge, spec->name, ram_file_host(file), length,
                                          err);
}

static int add_blocks(struct run *run, struct multifd_error *err)
{
    const struct ram_specs *specs = &run->args->session.rams;

    run->files = ram_files_new(specs, run->args->session.page_size);
    if (run->files == NULL) {
        return tool_fail(err, MULTIFD_ERROR_SYSTEM, "no memory");
    }
    if (ram_files_open_live(run->files, !is_source(run), err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < specs->count; i++) {
        if (add_block(run, &specs->items[i], ram_files_get(run->files, i), err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int set_up(struct run *run, struct multifd_error *err)
{
    const struct qemu_settings *settings = &run->args->settings;
    unsigned channels = settings->channels == QEMU_KEEP ? 0 : (unsigned)settings->channels;

    if (run->qmp != NULL && qemu_set_up(run->qmp, settings, &channels, err) != 0) {
        return -1;
    }
    return multifd_bridge_expect_channels(run->bridge, channels, err);
}

static void cancel(const void *bridge, const char *reason)
{
    multifd_bridge_cancel((struct multifd_bridge *)(uintptr_t)bridge, reason);
}

static int listen_for_other(struct run *run, struct multifd_error *err)
{
    const struct bridge_args *args = run->args;
    const char *ready = args->session.ready;

    if ((ready != NULL && ready_clear(ready, err) != 0) ||
        multifd_bridge_listen(run->bridge, err) != 0) {
        return -1;
    }
    unsigned port = multifd_bridge_port(run->bridge);
    ready_print(run->command, is_source(run) ? args->qemu : args->rdma, port);
    return ready != NULL ? ready_write(ready, port, err) : 0;
}

static int start(struct run *run, struct multifd_error *err)
{
    if (meet_qemu(run, err) != 0 || add_blocks(run, err) != 0 || set_up(run, err) != 0) {
        return -1;
    }
    /* Behind QEMU's set-up, so that it waits when the source comes. */
    if (run->qmp != NULL && !is_source(run) && qemu_listen(run->qmp, run->args->qemu, err) != 0) {
        return -1;
    }
    run->signals = signals_start(run->command, cancel, run->bridge, err);
    return run->signals == NULL ? -1 : listen_for_other(run, err);
}

/* ---- The migration ------------------------------------------------------------------------- */

static int begin(struct run *run, struct multifd_error *err)
{
    run->begun = true;
    if (run->qmp == NULL) {
        return 0;
    }
    if (is_source(run) && qemu_migrate(run->qmp, run->args->qemu, err) != 0) {
        return -1;
    }
    run->follow = follow_start(run->command, run->qmp, run->bridge, run->args->session.quiet, err);
    return run->follow == NULL ? -1 : 0;
}

static int migrate(struct run *run, struct multifd_error *err)
{
    int rc = -1;

    if (begin(run, err) == 0) {
        if (!run->args->session.quiet) {
            run->progress = bridge_progress_start(run->command, run->bridge, run->follow);
        }
        rc = multifd_bridge_run(run->bridge, err);
    }
    bridge_progress_stop(&run->progress);
    follow_stop(&run->follow);
    return rc;
}

static enum multifd_bridge_phase phase_of(const struct run *run, bool failed)
{
    struct multifd_bridge_statistics statistics;

    if (!failed) {
        return MULTIFD_BRIDGE_COMPLETED;
    }
    multifd_bridge_statistics(run->bridge, &statistics);
    return statistics.phase == MULTIFD_BRIDGE_UNDECIDED ? MULTIFD_BRIDGE_UNDECIDED
                                                        : MULTIFD_BRIDGE_FAILED;
}

/* Asks QEMU; its word is the last one. Returns -1 with *err unless the guest has moved. */
static int conclude(struct run *run, bool failed, struct multifd_error *err)
{
    bool asked = run->qmp != NULL && run->begun;

    if (asked) {
        outcome_find(&run->outcome, run->qmp, run->args->role, phase_of(run, failed));
    }
    if (run->outcome.contrary) {
        (void)tool_fail(err, MULTIFD_ERROR_PEER,
                        "the bridges have brought everything over, but QEMU's migration is %s",
                        run->outcome.migration.status);
        failed = true;
    }
    if (failed) {
        console_line(run->command, "%s%s%s", err->message, asked ? "; " : "", run->outcome.text);
    }
    return failed ? -1 : 0;
}

static void print_report(const struct run *run, const struct multifd_error *error)
{
    const struct bridge_args *args = run->args;
    struct bridge_report report = {
        .command = run->command,
        .qemu = args->qemu,
        .rdma = args->rdma,
        .blocks = args->session.rams.count,
        .memory = run->files != NULL ? ram_files_total(run->files) : 0,
        .version = run->qmp != NULL ? qmp_version(run->qmp) : NULL,
        .outcome = run->qmp != NULL && run->begun ? &run->outcome : NULL,
        .error = error,
    };

    bridge_report_collect(&report, run->bridge);
    if (error == NULL || args->session.json) {
        bridge_report_print(&report, args->session.json);
    }
    bridge_report_clear(&report);
}

/* The bridge goes before the memory that it has pinned, and behind all that may cancel it. */
static void clear(struct run *run)
{
    signals_stop(&run->signals);
    multifd_bridge_delete(&run->bridge);
    ram_files_delete(&run->files);
    qmp_delete(&run->qmp);
    guard_stop(&run->guard);
}

int bridge_run(struct bridge_args *args, const char *command)
{
    struct run run = {.command = command, .args = args};
    struct multifd_error err = {0};

    if (create(&run, &err) != 0) {
        console_line(command, "%s", err.message);
        clear(&run);
        return err.code == MULTIFD_ERROR_INVALID || err.code == MULTIFD_ERROR_ADDRESS
                   ? CLI_EXIT_WRONG
                   : CLI_EXIT_FAILED;
    }
    bool failed = start(&run, &err) != 0 || migrate(&run, &err) != 0;
    failed = conclude(&run, failed, &err) != 0;
    print_report(&run, failed ? &err : NULL);
    clear(&run);
    return failed ? CLI_EXIT_FAILED : CLI_EXIT_DONE;
}
