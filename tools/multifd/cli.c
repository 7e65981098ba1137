/* SPDX-License-Identifier: MIT */
#include "cli.h"

#include "cli_table.h"
#include "fail.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* getopt's values: a letter, or this and the index in the table. */
#define INDEX_BASE 256

/* For completion in shells; not in any help. */
#define LIST_OPTION "--list-options"

struct parser {
    const struct cli_command *command;
    struct cli_option *table;
    size_t own_count;
    struct option *longs;
    char *shorts;
};

static void parser_clear(struct parser *parser)
{
    free(parser->table);
    free(parser->longs);
    free(parser->shorts);
}

static void fill(struct parser *parser)
{
    char *end = parser->shorts;

    *end++ = ':'; /* a missing value is told from an unknown option */
    for (size_t i = 0; parser->table[i].name != NULL; i++) {
        const struct cli_option *option = &parser->table[i];
        bool optional = option->no_value != NULL;
        parser->longs[i].name = option->name;
        parser->longs[i].val = INDEX_BASE + (int)i;
        if (option->argument != NULL) {
            parser->longs[i].has_arg = optional ? optional_argument : required_argument;
        }
        if (option->letter != 0) {
            *end++ = option->letter;
        }
        if (option->letter != 0 && option->argument != NULL && !optional) {
            *end++ = ':';
        }
    }
    *end = '\0';
}

static int parser_init(struct parser *parser, const struct cli_command *command)
{
    size_t count = 0;

    *parser = (struct parser){.command = command};
    parser->table = cli_table_new(command, &parser->own_count);
    if (parser->table == NULL) {
        return -1;
    }
    while (parser->table[count].name != NULL) {
        count++;
    }
    parser->longs = calloc(count + 1, sizeof(*parser->longs));
    parser->shorts = calloc(2 * count + 2, 1);
    if (parser->longs == NULL || parser->shorts == NULL) {
        return -1;
    }
    fill(parser);
    return 0;
}

static const struct cli_option *find(const struct parser *parser, int value)
{
    if (value >= INDEX_BASE) {
        return &parser->table[value - INDEX_BASE];
    }
    for (size_t i = 0; parser->table[i].name != NULL; i++) {
        if (value != 0 && parser->table[i].letter == value) {
            return &parser->table[i];
        }
    }
    return NULL;
}

static size_t count_matches(const struct parser *parser, const char *word)
{
    size_t length = strcspn(word, "=");
    size_t matches = 0;

    for (size_t i = 0; parser->table[i].name != NULL; i++) {
        matches += strncmp(parser->table[i].name, word, length) == 0;
    }
    return matches;
}

static int fail_option(const struct parser *parser, int got, const char *word,
                       struct multifd_error *err)
{
    const char *command = parser->command->name;
    const struct cli_option *option = find(parser, optopt);

    if (got == ':' && option != NULL) {
        return tool_fail(err, MULTIFD_ERROR_INVALID, "--%s needs a value: %s", option->name,
                         option->argument);
    }
    if (option != NULL) {
        return tool_fail(err, MULTIFD_ERROR_INVALID, "--%s takes no value", option->name);
    }
    if (optopt != 0) {
        return tool_fail(err, MULTIFD_ERROR_INVALID, "unknown option -%c; see multifd %s --help",
                         optopt, command);
    }
    if (count_matches(parser, word + 2) > 1) {
        return tool_fail(err, MULTIFD_ERROR_INVALID,
                         "%s fits several options; see multifd %s --help", word, command);
    }
    return tool_fail(err, MULTIFD_ERROR_INVALID, "unknown option %s; see multifd %s --help", word,
                     command);
}

static enum cli_result take(const struct parser *parser, int got, char **argv, void *opaque,
                            struct multifd_error *err)
{
    if (got == ':' || got == '?') {
        (void)fail_option(parser, got, argv[optind - 1], err);
        return CLI_WRONG;
    }
    const struct cli_option *option = find(parser, got);
    if (option->set == NULL) {
        if (option->letter == CLI_LETTER_HELP) {
            cli_help(parser->command, parser->table, parser->own_count);
        } else {
            printf("multifd %s\n", multifd_version());
        }
        return CLI_ENDED;
    }
    const char *value = optarg != NULL ? optarg : option->no_value;
    return option->set(opaque, option, value, err) == 0 ? CLI_RUN : CLI_WRONG;
}

static enum cli_result take_operands(int argc, char **argv, const char **operands, int allowed,
                                     struct multifd_error *err)
{
    if (argc - optind > allowed) {
        (void)tool_fail(err, MULTIFD_ERROR_INVALID, "unexpected argument \"%s\"",
                        argv[optind + allowed]);
        return CLI_WRONG;
    }
    for (int i = 0; optind + i < argc; i++) {
        operands[i] = argv[optind + i];
    }
    return CLI_RUN;
}

static enum cli_result parse(const struct parser *parser, int argc, char **argv, void *opaque,
                             const char **operands, int allowed, struct multifd_error *err)
{
    enum cli_result result = CLI_RUN;

    if (argc == 2 && strcmp(argv[1], LIST_OPTION) == 0) {
        cli_list(parser->table);
        return CLI_ENDED;
    }
    optind = 0; /* makes glibc start anew */
    opterr = 0;
    while (result == CLI_RUN) {
        int got = getopt_long(argc, argv, parser->shorts, parser->longs, NULL);
        if (got == -1) {
            return take_operands(argc, argv, operands, allowed, err);
        }
        result = take(parser, got, argv, opaque, err);
    }
    return result;
}

enum cli_result cli_parse(const struct cli_command *command, int argc, char **argv, void *opaque,
                          const char **operands, int allowed, struct multifd_error *err)
{
    struct parser parser;
    enum cli_result result = CLI_WRONG;

    if (parser_init(&parser, command) == 0) {
        result = parse(&parser, argc, argv, opaque, operands, allowed, err);
    } else {
        (void)tool_fail(err, MULTIFD_ERROR_SYSTEM, "no memory");
    }
    parser_clear(&parser);
    return result;
}
