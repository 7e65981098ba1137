/* SPDX-License-Identifier: MIT */
#include "commands.h"
#include "console.h"

#include <stdio.h>
#include <string.h>

static const struct cli_command *const commands[] = {
    &command_send, &command_recv, &command_devices, &command_bench, &command_bridge,
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void print_help(void)
{
    printf("Usage: multifd COMMAND [ARGUMENT]...\n\n"
           "Moves a guest's memory between hosts over many RDMA queue pairs at once.\n\n"
           "Commands:\n");
    for (size_t i = 0; i < COMMANDS; i++) {
        printf("  %-10s%s\n", commands[i]->name, commands[i]->summary);
    }
    printf("\n"
           "  --help    print this help; multifd COMMAND --help prints a command's\n"
           "  --version print the version\n\n"
           "Exit status: 0 done, 1 failed, 2 wrong usage.\n");
}

int main(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "";

    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(word, commands[i]->name) == 0) {
            return commands[i]->run(commands[i], argc - 1, argv + 1);
        }
    }
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        print_help();
        return CLI_EXIT_DONE;
    }
    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) {
        printf("multifd %s\n", multifd_version());
        return CLI_EXIT_DONE;
    }
    if (word[0] == '\0') {
        console_line("",
                     "no command given: send, recv, devices, bench or bridge; see multifd --help");
    } else {
        console_line("", "unknown command \"%s\"; see multifd --help", word);
    }
    return CLI_EXIT_WRONG;
}
