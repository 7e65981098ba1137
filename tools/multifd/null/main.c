/* SPDX-License-Identifier: MIT */
/*
 * multifd-null - the commands of multifd that measure, linked with the null device. Those that
 * would move a guest are not here: nothing arrives.
 */
#include "commands.h"
#include "console.h"
#include "null_exec.h"

#include <stdio.h>
#include <string.h>

static const struct cli_command *const commands[] = {
    &command_bench, NULL, /* ends them */
};

static const char *const refused[] = {"send", "recv"};

bool null_exec_done(void)
{
    return true;
}

int main(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "";

    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) {
        printf("multifd-null %s (null device: no data is moved)\n", multifd_version());
        return CLI_EXIT_DONE;
    }
    for (size_t i = 0; commands[i] != NULL; i++) {
        if (strcmp(word, commands[i]->name) == 0) {
            return commands[i]->run(commands[i], argc - 1, argv + 1);
        }
    }
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        if (strcmp(word, refused[i]) == 0) {
            console_line(word, "multifd-null moves no data, so the guest's memory would be lost; "
                               "use multifd");
            return CLI_EXIT_WRONG;
        }
    }
    console_line("", "multifd-null is run by multifd bench overhead; it has no command \"%s\"",
                 word);
    return CLI_EXIT_WRONG;
}
