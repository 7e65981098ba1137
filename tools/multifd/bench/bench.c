/* SPDX-License-Identifier: MIT */
#include "commands.h"

#include "bench_args.h"
#include "client.h"
#include "console.h"
#include "fail.h"
#include "null_exec.h"
#include "results.h"
#include "server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail(const struct bench_args *args, const struct multifd_error *err, int status)
{
    char name[64];

    (void)snprintf(name, sizeof(name), "bench %s", args->what->name);
    console_line(name, "%s", err->message);
    return status;
}

/* Waits for one client, as perftest's programs do. */
static int serve(const struct bench_args *args, struct multifd_error *err)
{
    uint16_t port = args->port != 0 ? (uint16_t)args->port : BENCH_PORT;

    console_line("bench", "waiting at port %u", port);
    struct peer *peer = server_wait(port, err);
    int status = peer == NULL ? -1 : server_talk(peer, NULL, err);

    peer_delete(&peer);
    return status;
}

static int show(const struct bench_args *args, const json_t *results, struct multifd_error *err)
{
    if (args->json) {
        results_print_json(results);
    } else {
        results_print(results, args->what, args->values);
    }
    return args->plot != NULL ? results_plot(results, args->what, args->values, args->plot, err)
                              : 0;
}

static int measure(const struct bench_args *args, struct multifd_error *err)
{
    json_t *cases = bench_args_cases(args);
    json_t *results = results_new(args->what);
    int status = client_measure(args, cases, results, err);

    if (status == 0) {
        status = show(args, results, err);
    }
    json_decref(cases);
    json_decref(results);
    return status;
}

/* The same command in multifd-null; `argv` begins with the measurement. */
static int measure_there(int argc, char **argv, struct multifd_error *err)
{
    char bench[] = "bench";
    char **all = calloc((size_t)argc + 3, sizeof(*all));

    if (all == NULL) {
        return tool_fail(err, MULTIFD_ERROR_SYSTEM, "no memory");
    }
    all[1] = bench;
    memcpy(all + 2, argv, (size_t)argc * sizeof(*all));
    (void)null_exec(all, err);
    free(all);
    return -1;
}

static int perform(const struct bench_args *args, int argc, char **argv, struct multifd_error *err)
{
    if (args->what->null_device && !null_exec_done()) {
        return measure_there(argc, argv, err);
    }
    return args->what->serve != NULL && args->address == NULL && !args->loopback
               ? serve(args, err)
               : measure(args, err);
}

static int run_measurement(const struct measurement *what, int argc, char **argv)
{
    struct multifd_error err = {0};
    struct bench_args args;
    int status = CLI_EXIT_DONE;

    switch (bench_args_parse(&args, what, argc, argv, &err)) {
    case CLI_RUN:
        if (perform(&args, argc, argv, &err) != 0) {
            status = fail(&args, &err, CLI_EXIT_FAILED);
        }
        break;
    case CLI_ENDED:
        break;
    case CLI_WRONG:
        status = fail(&args, &err, CLI_EXIT_WRONG);
        break;
    }
    bench_args_clear(&args);
    return status;
}

static void print_help(const struct cli_command *command)
{
    printf("Usage: multifd bench %s\n\n%s\n\nMeasurements:\n", command->usage, command->summary);
    for (const struct measurement *const *what = measurements; *what != NULL; what++) {
        printf("  %-11s%s\n", (*what)->name, (*what)->summary);
    }
    printf("\n%s\n  --help    print this help; multifd bench WHAT --help prints a measurement's\n\n"
           "Exit status: 0 done, 1 failed, 2 wrong usage.\n",
           command->text);
}

static int run(const struct cli_command *command, int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "";
    const struct measurement *what = measurement_find(word);

    if (what != NULL) {
        return run_measurement(what, argc - 1, argv + 1);
    }
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        print_help(command);
        return CLI_EXIT_DONE;
    }
    console_line(command->name,
                 word[0] == '\0' ? "nothing to measure given%s%s; see multifd bench --help"
                                 : "unknown measurement \"%s\"%s; see multifd bench --help",
                 word, "");
    return CLI_EXIT_WRONG;
}

const struct cli_command command_bench = {
    .name = "bench",
    .usage = "WHAT [rdma|tcp:HOST[:PORT]] [OPTION]...",
    .summary = "Measures latency and speed, of sessions and of bare verbs.",
    .text =
        "Without an address it is the server: it waits for one client, which measures against it\n"
        "and says what. With --loopback both sides are in one process, at the address if there is\n"
        "one (also unix:), else at that of the first RDMA port.\n",
    .run = run,
};
