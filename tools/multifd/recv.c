/* SPDX-License-Identifier: MIT */
#include "commands.h"

#include "fail.h"
#include "ready.h"
#include "session_command.h"

#include <string.h>

static const struct cli_option own_options[] = {
    SESSION_ARGS_OPTIONS,
    {.name = "ready",
     .argument = "FILE",
     .help = "empty FILE at the start, and write the port there when a source can connect",
     .set = session_args_set},
    {.name = NULL},
};

/* The source decides these. */
static const char *const source_only[] = {"zlib-level",    "zstd-level", "zero-page-detection",
                                          "max-bandwidth", "verify",     "registration",
                                          "piece-size",    NULL};

/* QEMU says nothing of its settings; any other source decides these too. */
static int check_agreed(const struct session_args *args, struct multifd_error *err)
{
    if (args->qemu || args->agreed == NULL) {
        return 0;
    }
    return tool_fail(err, MULTIFD_ERROR_INVALID,
                     "--%s is the source's to decide, unless that is QEMU (--qemu)", args->agreed);
}

static int create(struct session *session, struct multifd_error *err)
{
    if (check_agreed(&session->args, err) != 0) {
        return -1;
    }
    if (!session->args.fresh_memory_given && ram_files_are_new(session->files) &&
        multifd_options_set(session->args.options, "fresh-memory", "on", err) != 0) {
        return -1;
    }
    session->view.destination =
        multifd_destination_new(session->args.address, session->args.options, err);
    return session->view.destination == NULL ? -1 : 0;
}

static int open_files(struct session *session, struct multifd_error *err)
{
    struct multifd_destination *destination = session->view.destination;

    if (ram_files_open_destination(session->files, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < ram_files_count(session->files); i++) {
        const struct ram_file *file = ram_files_get(session->files, i);
        if (file != NULL &&
            multifd_destination_add_block(destination, ram_files_name(session->files, i),
                                          ram_file_host(file), ram_file_length(file), err) != 0) {
            return -1;
        }
    }
    multifd_destination_on_block(destination,
                                 session->args.qemu ? ram_files_offer_or_drop : ram_files_offer,
                                 session->files);
    return 0;
}

static int listen_for_source(struct session *session, struct multifd_error *err)
{
    struct multifd_destination *destination = session->view.destination;
    const char *ready = session->args.ready;

    if (ready != NULL && ready_clear(ready, err) != 0) {
        return -1;
    }
    if (multifd_load_setup(destination, err) != 0) {
        return -1;
    }
    session->on_failure = "; the destination's memory must not be used";
    unsigned port = multifd_destination_port(destination);
    ready_print(session->command, session->args.address, port);
    return ready == NULL ? 0 : ready_write(ready, port, err);
}

static int accept_channels(struct session *session, struct multifd_error *err)
{
    struct multifd_destination *destination = session->view.destination;

    while (!multifd_recv_all_channels_created(destination)) {
        if (multifd_recv_new_channel(destination, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int check_files(struct session *session, struct multifd_error *err)
{
    const char *missing = ram_files_missing(session->files);

    if (missing == NULL) {
        return 0;
    }
    (void)tool_fail(err, MULTIFD_ERROR_MISMATCH,
                    "the destination has the RAM block %s, the source has not", missing);
    multifd_destination_cancel(session->view.destination, err->message);
    return -1;
}

static int transfer(struct session *session, struct multifd_error *err)
{
    int rc = 1;

    if (listen_for_source(session, err) != 0 || accept_channels(session, err) != 0) {
        return -1;
    }
    if (session->args.qemu) { /* which names its RAM blocks in what is a round of its own */
        rc = multifd_recv_sync_main(session->view.destination, err);
    }
    if (rc < 0 || check_files(session, err) != 0 || session_show(session, err) != 0) {
        return -1;
    }
    while (rc == 1) {
        rc = multifd_recv_sync_main(session->view.destination, err);
    }
    return rc == 0 ? ram_files_commit(session->files, err) : -1;
}

static void cleanup(struct session *session)
{
    multifd_load_cleanup(session->view.destination);
}

static void delete_destination(struct session *session)
{
    multifd_destination_delete(&session->view.destination);
}

static int run(const struct cli_command *command, int argc, char **argv)
{
    static const struct session_side side = {
        .create = create,
        .open = open_files,
        .transfer = transfer,
        .cleanup = cleanup,
        .destroy = delete_destination,
    };

    return session_command_run(&side, command, argc, argv);
}

const struct cli_command command_recv = {
    .name = "recv",
    .usage = "rdma|tcp:HOST:PORT|unix:PATH --ram NAME=PATH[,size=SIZE]... [OPTION]...",
    .summary = "Listens for one multifd send and puts the guest memory that it sends into files.",
    .text =
        "HOST is an address of this host, PORT 0 takes a free port. Files may be plain files, in\n"
        "/dev/shm, or on a hugetlbfs. A file that does not exist is created: at once with "
        "size=SIZE,\n"
        "otherwise when the source offers its RAM block, and is removed again when the session\n"
        "fails. After any failure the destination's memory must not be used.\n"
        "With --qemu, tell --channels and --method as they are set in QEMU; RAM blocks that no\n"
        "--ram names are taken and dropped, and so is the state of the devices.\n"
        "Sizes take K, M, G and T (powers of 1024), times take us, ms, s and min.\n",
    .own = own_options,
    .set_library = session_args_set_library,
    .without = source_only,
    .run = run,
};
