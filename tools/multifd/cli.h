/* SPDX-License-Identifier: MIT */
/*
 * cli.h - the command line of one subcommand, driven by tables: its own options and, where it has
 * a session, those of the library.
 */
#ifndef MULTIFD_TOOL_CLI_H
#define MULTIFD_TOOL_CLI_H

#include <multifd.h>

struct cli_option;

/* Takes one option's value (NULL for a flag) into *opaque. */
typedef int cli_set_fn(void *opaque, const struct cli_option *option, const char *value,
                       struct multifd_error *err);

struct cli_option {
    const char *name;     /* the long option, without dashes */
    char letter;          /* the short option, 0 for none */
    const char *argument; /* what the value is; NULL for a flag */
    const char *no_value; /* value when only the name is given; NULL when a value must follow */
    const char *initial;  /* shown as the default; NULL or empty for none */
    const char *help;     /* one sentence, as in the library lower case and without a full stop */
    cli_set_fn *set;
};

/* A library option's value in a command where it is not the library's own initial one. */
struct initial_value {
    const char *name;
    const char *value;
};

/* One subcommand. */
struct cli_command {
    const char *name;
    const char *usage;            /* what follows "multifd NAME " */
    const char *summary;          /* one line */
    const char *text;             /* further help, lines that are already broken; may be NULL */
    const struct cli_option *own; /* its own options, ended by a NULL name */
    cli_set_fn *set_library;      /* takes the library's options; NULL when it has none */
    const char *const *without;   /* names of library options that it lacks; NULL for none */
    const char *const *only;      /* names of those that it has; NULL for all others */
    const struct initial_value *initials; /* ended by a NULL name; NULL for none */
    int (*run)(const struct cli_command *command, int argc, char **argv);
};

enum cli_result {
    CLI_RUN,   /* everything was taken: go on */
    CLI_ENDED, /* help was printed: end with status 0 */
    CLI_WRONG, /* *err says what is wrong: end with status 2 */
};

/* Exit statuses. */
#define CLI_EXIT_DONE   0
#define CLI_EXIT_FAILED 1
#define CLI_EXIT_WRONG  2

/*
 * Parses argv (argv[0] is the subcommand) into *opaque. What is no option goes to `operands`, which
 * takes at most `allowed`; those that are not given stay as they are. Texts keep pointing into
 * argv.
 */
enum cli_result cli_parse(const struct cli_command *command, int argc, char **argv, void *opaque,
                          const char **operands, int allowed, struct multifd_error *err);

#endif
