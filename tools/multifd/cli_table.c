/* SPDX-License-Identifier: MIT */
#include "cli_table.h"

#include <stdlib.h>
#include <string.h>

/* The letters that perftest's users know. */
static const struct {
    const char *name;
    char letter;
} letters[] = {
    {"ib-dev", 'd'}, {"ib-port", 'i'},    {"gid-index", 'x'}, {"sl", 'S'},
    {"mtu", 'm'},    {"qp-timeout", 'u'}, {"tx-depth", 't'},  {"channels", 'q'},
};

static const struct cli_option common[] = {
    {.name = "help", .letter = CLI_LETTER_HELP, .help = "print this help"},
    {.name = "version", .letter = CLI_LETTER_VERSION, .help = "print the version"},
};

static char letter_of(const char *name)
{
    for (size_t i = 0; i < sizeof(letters) / sizeof(letters[0]); i++) {
        if (strcmp(letters[i].name, name) == 0) {
            return letters[i].letter;
        }
    }
    return 0;
}

bool cli_is_among(const char *const *names, const char *name)
{
    for (; names != NULL && *names != NULL; names++) {
        if (strcmp(*names, name) == 0) {
            return true;
        }
    }
    return false;
}

static bool lacks(const struct cli_command *command, const char *name)
{
    return cli_is_among(command->without, name) ||
           (command->only != NULL && !cli_is_among(command->only, name));
}

const char *cli_initial(const struct initial_value *initials, const char *name,
                        const char *otherwise)
{
    for (; initials != NULL && initials->name != NULL; initials++) {
        if (strcmp(initials->name, name) == 0) {
            return initials->value;
        }
    }
    return otherwise;
}

static struct cli_option from_library(const struct cli_command *command,
                                      const struct multifd_option_info *info)
{
    struct cli_option option = {
        .name = info->name,
        .letter = letter_of(info->name),
        .argument = info->argument,
        .initial = cli_initial(command->initials, info->name, info->initial),
        .help = info->help,
        .set = command->set_library,
    };

    if (strcmp(info->argument, "on|off") == 0) {
        option.no_value = "on";
    }
    return option;
}

static size_t count_own(const struct cli_option *own)
{
    size_t count = 0;

    while (own[count].name != NULL) {
        count++;
    }
    return count;
}

static size_t count_library(void)
{
    size_t count = 0;

    while (multifd_options_list()[count].name != NULL) {
        count++;
    }
    return count;
}

struct cli_option *cli_table_new(const struct cli_command *command, size_t *own_count)
{
    size_t used = count_own(command->own);
    size_t room = used + count_library() + sizeof(common) / sizeof(common[0]) + 1;
    struct cli_option *table = calloc(room, sizeof(*table));

    if (table == NULL) {
        return NULL;
    }
    *own_count = used;
    memcpy(table, command->own, used * sizeof(*table));
    for (const struct multifd_option_info *info = multifd_options_list();
         command->set_library != NULL && info->name != NULL; info++) {
        if (!lacks(command, info->name)) {
            table[used++] = from_library(command, info);
        }
    }
    memcpy(table + used, common, sizeof(common));
    return table;
}
