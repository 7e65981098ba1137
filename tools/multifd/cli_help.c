/* SPDX-License-Identifier: MIT */
#include "cli_table.h"

#include <stdio.h>
#include <string.h>

#define HELP_COLUMN 32
#define HELP_WIDTH  96

/* Prints `text` broken at blanks; the cursor stands at HELP_COLUMN. */
static void print_wrapped(const char *text)
{
    size_t column = HELP_COLUMN;

    while (*text != '\0') {
        size_t word = strcspn(text, " ");
        if (column > HELP_COLUMN && column + 1 + word > HELP_WIDTH) {
            printf("\n%*s", HELP_COLUMN, "");
            column = HELP_COLUMN;
        } else if (column > HELP_COLUMN) {
            putchar(' ');
            column++;
        }
        printf("%.*s", (int)word, text);
        column += word;
        text += word;
        text += strspn(text, " ");
    }
    putchar('\n');
}

static void print_option(const struct cli_option *option)
{
    char left[96];
    char help[512];
    char letter[] = {'-', option->letter, ',', ' ', '\0'};
    bool valued = option->argument != NULL;
    bool shown = option->initial != NULL && option->initial[0] != '\0';

    (void)snprintf(left, sizeof(left), "  %s--%s%s%s%s", option->letter != 0 ? letter : "    ",
                   option->name, !valued ? "" : (option->no_value != NULL ? "[=" : " "),
                   valued ? option->argument : "", valued && option->no_value != NULL ? "]" : "");
    (void)snprintf(help, sizeof(help), "%s%s%s%s", option->help, shown ? " [" : "",
                   shown ? option->initial : "", shown ? "]" : "");
    if (strlen(left) + 2 > HELP_COLUMN) {
        printf("%s\n%*s", left, HELP_COLUMN, "");
    } else {
        printf("%-*s", HELP_COLUMN, left);
    }
    print_wrapped(help);
}

void cli_help(const struct cli_command *command, const struct cli_option *table, size_t own_count)
{
    printf("Usage: multifd %s %s\n\n%s\n", command->name, command->usage, command->summary);
    if (command->text != NULL) {
        printf("\n%s", command->text);
    }
    printf("\nOptions:\n");
    for (size_t i = 0; table[i].name != NULL; i++) {
        if (i == own_count && command->set_library != NULL) {
            printf("\nSession and device, with their defaults in brackets:\n");
        }
        if (table[i].set == NULL && i > 0 && table[i - 1].set != NULL &&
            command->set_library != NULL) {
            printf("\nHelp:\n");
        }
        print_option(&table[i]);
    }
    printf("\nExit status: 0 done, 1 failed, 2 wrong usage.\n");
}

void cli_list(const struct cli_option *table)
{
    for (; table->name != NULL; table++) {
        printf("--%s%s\n", table->name,
               table->argument != NULL && table->no_value == NULL ? "=" : "");
    }
}
