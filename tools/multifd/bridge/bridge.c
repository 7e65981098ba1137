/* SPDX-License-Identifier: MIT */
#include "commands.h"

#include "bridge/bridge_run.h"
#include "console.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *word;
    enum qemu_role role;
    const struct cli_command *command;
} sides[] = {
    {"source", QEMU_SOURCE, &bridge_source},
    {"destination", QEMU_DESTINATION, &bridge_destination},
};

#define SIDES (sizeof(sides) / sizeof(sides[0]))

static int run_side(size_t side, int argc, char **argv)
{
    const char *command = sides[side].command->name;
    struct bridge_args args;
    struct multifd_error err = {0};
    int status = CLI_EXIT_DONE;
    enum cli_result result = bridge_args_parse(&args, sides[side].role, argc, argv, &err);

    if (result == CLI_WRONG) {
        console_line(command, "%s", err.message);
        status = CLI_EXIT_WRONG;
    } else if (result == CLI_RUN) {
        status = bridge_run(&args, command);
    }
    bridge_args_clear(&args);
    return status;
}

static void print_help(const struct cli_command *command)
{
    printf("Usage: multifd bridge %s\n\n%s\n\n%s\nSides:\n", command->usage, command->summary,
           command->text);
    for (size_t i = 0; i < SIDES; i++) {
        printf("  %-13s%s\n", sides[i].word, sides[i].command->summary);
    }
    printf("\n  --help    print this help; multifd bridge SIDE --help prints a side's\n\n"
           "Exit status: 0 done, 1 failed, 2 wrong usage.\n");
}

static int run(const struct cli_command *command, int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "";

    for (size_t i = 0; i < SIDES; i++) {
        if (strcmp(word, sides[i].word) == 0) {
            return run_side(i, argc - 1, argv + 1);
        }
    }
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        print_help(command);
        return CLI_EXIT_DONE;
    }
    if (word[0] == '\0') {
        console_line(command->name, "which side: source or destination; see multifd bridge --help");
    } else {
        console_line(command->name,
                     "\"%s\" is no side: source or destination; see multifd bridge --help", word);
    }
    return CLI_EXIT_WRONG;
}

const struct cli_command command_bridge = {
    .name = "bridge",
    .usage = "source|destination ADDRESS ADDRESS [OPTION]...",
    .summary = "Migrates guests of an unmodified QEMU over RDMA, one process on each host.",
    .text = "Start QEMU's destination with -incoming defer, its bridge, and then the source's:\n"
            "  destination# multifd bridge destination rdma:HOST:PORT unix:PATH --qmp PATH\n"
            "  source#      multifd bridge source unix:PATH rdma:HOST:PORT --qmp PATH\n",
    .run = run,
};
