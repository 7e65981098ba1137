/* SPDX-License-Identifier: MIT */
#include "session_command.h"

#include "console.h"
#include "fail.h"
#include "report.h"

#include <stdlib.h>

void session_show_progress(struct session *session)
{
    if (!session->args.quiet) {
        session->progress =
            progress_start(session->command, &session->view, ram_files_total(session->files));
    }
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

static int move(const struct session_side *side, struct session *session, struct multifd_error *err)
{
    if (side->open(session, err) != 0) {
        return -1;
    }
    session->signals = signals_start(session->command, &session->view, err);
    if (session->signals == NULL) {
        return -1;
    }
    int rc = side->transfer(session, err);
    progress_stop(&session->progress);
    return rc;
}

static void print_report(const struct session *session, const struct multifd_error *error)
{
    struct report report = {
        .command = session->command,
        .address = session->args.address,
        .blocks = ram_files_count(session->files),
        .memory = ram_files_total(session->files),
        .error = error,
    };

    report_collect(&report, &session->view);
    report_print(&report, session->args.json);
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
    if (!failed || session->args.json) {
        print_report(session, failed ? &err : NULL);
    }
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
