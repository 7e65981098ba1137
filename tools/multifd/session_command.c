/* SPDX-License-Identifier: MIT */
#include "session_command.h"

#include "console.h"
#include "fail.h"
#include "report.h"

#include <stdlib.h>

/* Without counters. */
static struct report new_report(const struct session *session)
{
    return (struct report){
        .command = session->command,
        .address = session->args.address,
        .blocks = ram_files_count(session->files),
        .memory = ram_files_total(session->files),
    };
}

int session_show(struct session *session, struct multifd_error *err)
{
    if (session->args.stats_interval_ns != 0) {
        struct report subject = new_report(session);
        session->stats =
            stats_start(&subject, &session->view, session->args.stats_interval_ns, err);
        return session->stats == NULL ? -1 : 0;
    }
    if (!session->args.quiet) {
        session->progress =
            progress_start(session->command, &session->view, ram_files_total(session->files));
    }
    return 0;
}

static int prepare(const struct session_side *side, struct session *session,
                   struct multifd_error *err)
{
    signals_block();
    session->files = ram_files_new(&session->args.rams, session->args.page_size);
    if (session->files == NULL) {
        return tool_fail(err, MULTIFD_ERROR_SYSTEM, "no memory");
    }
    return side->create(session, err);
}

static void cancel(const void *view, const char *reason)
{
    session_view_cancel(view, reason);
}

static int move(const struct session_side *side, struct session *session, struct multifd_error *err)
{
    if (side->open(session, err) != 0) {
        return -1;
    }
    session->signals = signals_start(session->command, cancel, &session->view, err);
    if (session->signals == NULL) {
        return -1;
    }
    int rc = side->transfer(session, err);
    progress_stop(&session->progress);
    return rc;
}

/* The last line of statistics has the report's counters. */
static void print_report(struct session *session, const struct multifd_error *error)
{
    struct report report = new_report(session);
    enum report_form form = !session->args.json                    ? REPORT_TABLE
                            : session->args.stats_interval_ns == 0 ? REPORT_JSON
                                                                   : REPORT_JSON_LINE;

    report.error = error;
    stats_hold(session->stats);
    report_collect(&report, &session->view);
    stats_stop(&session->stats, &report);
    if (error == NULL || session->args.json) {
        report_print(&report, form);
    }
    report_clear(&report);
}

static void print_error(const struct session *session, const struct multifd_error *err)
{
    console_line(session->command, "%s%s", err->message,
                 session->on_failure != NULL ? session->on_failure : "");
}

static int run(const struct session_side *side, struct session *session)
{
    struct multifd_error err = {0};

    if (prepare(side, session, &err) != 0) {
        print_error(session, &err);
        return err.code == MULTIFD_ERROR_INVALID || err.code == MULTIFD_ERROR_ADDRESS
                   ? CLI_EXIT_WRONG
                   : CLI_EXIT_FAILED;
    }
    bool failed = move(side, session, &err) != 0;
    side->cleanup(session);
    if (failed) {
        print_error(session, &err);
    }
    print_report(session, failed ? &err : NULL);
    return failed ? CLI_EXIT_FAILED : CLI_EXIT_DONE;
}

/* The session goes before the memory that it has pinned. */
static void clear(const struct session_side *side, struct session *session)
{
    signals_stop(&session->signals);
    side->destroy(session);
    free(session->blocks);
    ram_files_delete(&session->files);
    session_args_clear(&session->args);
}

int session_command_run(const struct session_side *side, const struct cli_command *command,
                        int argc, char **argv)
{
    struct session session = {.command = command->name};
    struct multifd_error err = {0};
    int status = CLI_EXIT_DONE;
    enum cli_result result = session_args_parse(&session.args, command, argc, argv, &err);

    if (result == CLI_WRONG) {
        print_error(&session, &err);
        status = CLI_EXIT_WRONG;
    } else if (result == CLI_RUN) {
        status = run(side, &session);
    }
    clear(side, &session);
    return status;
}
