/* SPDX-License-Identifier: MIT */
/* cli_table.h - all options of one subcommand in one list. */
#ifndef MULTIFD_TOOL_CLI_TABLE_H
#define MULTIFD_TOOL_CLI_TABLE_H

#include "cli.h"

/*
 * The command's own options, then the library's, then --help and --version; ended by a NULL name.
 * `own_count` receives the number of the first. The caller frees it; NULL when there is no memory.
 */
struct cli_option *cli_table_new(const struct cli_command *command, size_t *own_count);

/* Whether a list of names, ended by NULL, has this one; NULL for an empty list. */
bool cli_is_among(const char *const *names, const char *name);

/* The value of that name in a list, ended by a NULL name or NULL for none; else `otherwise`. */
const char *cli_initial(const struct initial_value *initials, const char *name,
                        const char *otherwise);

/* --help and --version have no set function; the parser acts on their letters. */
#define CLI_LETTER_HELP    'h'
#define CLI_LETTER_VERSION 'V'

/* Prints the whole help of a subcommand to stdout. */
void cli_help(const struct cli_command *command, const struct cli_option *table, size_t own_count);

/* Prints "--NAME" or "--NAME=" for each option to stdout, for completion in shells. */
void cli_list(const struct cli_option *table);

#endif
