/* SPDX-License-Identifier: MIT */
/* session_args.h - what the command lines of send and recv say. */
#ifndef MULTIFD_TOOL_SESSION_ARGS_H
#define MULTIFD_TOOL_SESSION_ARGS_H

#include "cli.h"
#include "ram_spec.h"

struct session_args {
    const char *address;
    const char *ready; /* file to write the port to, NULL for none (recv) */
    struct ram_specs rams;
    struct multifd_options *options;
    uint64_t page_size;
    bool qemu;                  /* the source is QEMU (recv) */
    const char *agreed;         /* an option that is agreed on with no source but QEMU (recv) */
    bool fresh_memory_given;    /* the option; otherwise it depends on the files (recv) */
    uint64_t stats_interval_ns; /* 0 for no statistics */
    bool json;
    bool quiet;
    bool verbose;
};

/* The options that send and recv share, for their tables. */
#define SESSION_ARGS_OPTIONS                                                                       \
    {.name = "ram",                                                                                \
     .argument = "NAME=PATH[,size=SIZE]",                                                          \
     .help = "a RAM block and the file that holds it; once for each block",                        \
     .set = session_args_set},                                                                     \
        {.name = "json", .help = "print the report as one JSON object", .set = session_args_set},  \
        {.name = "stats-interval",                                                                 \
         .argument = "TIME",                                                                       \
         .help = "instead of progress, print the counters as a line of JSON so often",             \
         .set = session_args_set},                                                                 \
        {.name = "quiet", .help = "show no progress", .set = session_args_set},                    \
    {                                                                                              \
        .name = "verbose", .letter = 'v', .help = "print the library's log to stderr",             \
        .set = session_args_set                                                                    \
    }

/* cli_set_fn for those options and "ready", with a struct session_args as opaque. */
cli_set_fn session_args_set;

/* cli_set_fn for the library's options. */
cli_set_fn session_args_set_library;

/* Fills *args with what stands in no command line. session_args_clear whatever is returned. */
int session_args_init(struct session_args *args, struct multifd_error *err);

/* With --verbose, has the library's log printed. */
void session_args_log(const struct session_args *args, const char *command);

/* Parses argv into *args, which the caller clears with session_args_clear whatever is returned. */
enum cli_result session_args_parse(struct session_args *args, const struct cli_command *command,
                                   int argc, char **argv, struct multifd_error *err);

void session_args_clear(struct session_args *args);

#endif
