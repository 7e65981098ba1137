/* SPDX-License-Identifier: MIT */
/* session_command.h - the frame of send and recv: from the command line to the report. */
#ifndef MULTIFD_TOOL_SESSION_COMMAND_H
#define MULTIFD_TOOL_SESSION_COMMAND_H

#include "progress.h"
#include "ram_files.h"
#include "session_args.h"
#include "session_view.h"
#include "signals.h"
#include "stats.h"

/* One run of send or recv. */
struct session {
    const char *command;
    struct session_args args;
    struct ram_files *files;
    struct session_view view;
    struct multifd_ram_block **blocks; /* one for each file, owned by the source; NULL in recv */
    struct signals *signals;
    struct progress *progress;
    struct stats *stats;
    const char *on_failure; /* appended to the error's text; NULL for nothing */
};

/* What differs between the two; each returns 0, or -1 with *err filled. */
struct session_side {
    /* Makes the library's object in session->view: checks address and options. */
    int (*create)(struct session *session, struct multifd_error *err);
    /* Opens the files and adds their RAM blocks. */
    int (*open)(struct session *session, struct multifd_error *err);
    /* The whole transfer; signals cancel it. */
    int (*transfer)(struct session *session, struct multifd_error *err);
    /* Ends the session, on success and failure; the object stays for its statistics. */
    void (*cleanup)(struct session *session);
    /* Frees the library's object; accepts one that was never made. */
    void (*destroy)(struct session *session);
};

/* Runs the subcommand and returns the exit status. */
int session_command_run(const struct session_side *side, const struct cli_command *command,
                        int argc, char **argv);

/*
 * Pages are about to move: starts to print statistics if --stats-interval is given, which tell more
 * than progress, or else to show progress unless --quiet. The frame stops both.
 */
int session_show(struct session *session, struct multifd_error *err);

#endif
