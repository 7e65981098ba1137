/* SPDX-License-Identifier: MIT */
#include "commands.h"

#include "fail.h"
#include "session_command.h"

#include <stdlib.h>

#define PREFAULT_BYTES (UINT64_C(4) << 20)

static const struct cli_option own_options[] = {SESSION_ARGS_OPTIONS, {.name = NULL}};

static int create(struct session *session, struct multifd_error *err)
{
    session->view.source = multifd_source_new(session->args.address, session->args.options, err);
    return session->view.source == NULL ? -1 : 0;
}

static int open_files(struct session *session, struct multifd_error *err)
{
    size_t count = ram_files_count(session->files);

    if (ram_files_open_source(session->files, err) != 0) {
        return -1;
    }
    session->blocks = calloc(count, sizeof(struct multifd_ram_block *));
    if (session->blocks == NULL) {
        return tool_fail(err, MULTIFD_ERROR_SYSTEM, "no memory");
    }
    for (size_t i = 0; i < count; i++) {
        const struct ram_file *file = ram_files_get(session->files, i);
        session->blocks[i] =
            multifd_source_add_block(session->view.source, ram_files_name(session->files, i),
                                     ram_file_host(file), ram_file_length(file), err);
        if (session->blocks[i] == NULL) {
            return -1;
        }
    }
    return 0;
}

typedef int queue_fn(struct multifd_source *source, struct multifd_ram_block *block,
                     uint64_t offset, struct multifd_error *err);

static int queue(struct session *session, size_t index, struct ram_extent pages,
                 queue_fn *queue_one, struct multifd_error *err)
{
    for (uint64_t offset = pages.begin; offset < pages.end; offset += session->args.page_size) {
        if (queue_one(session->view.source, session->blocks[index], offset, err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* Just before they are looked at, so that what has been mapped is still at hand. */
static int queue_data(struct session *session, size_t index, struct ram_extent pages,
                      struct multifd_error *err)
{
    const uint64_t step =
        session->args.page_size > PREFAULT_BYTES ? session->args.page_size : PREFAULT_BYTES;
    struct ram_extent part = {.end = pages.begin};

    while (part.end < pages.end) {
        part.begin = part.end;
        part.end = pages.end - part.begin < step ? pages.end : part.begin + step;
        ram_file_prefault(ram_files_get(session->files, index), part);
        if (queue(session, index, part, multifd_queue_page, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int queue_block(struct session *session, size_t index, struct multifd_error *err)
{
    const struct ram_file *file = ram_files_get(session->files, index);
    uint64_t page_size = session->args.page_size;
    struct ram_extent hole = {0};

    while (hole.begin < ram_file_length(file)) {
        struct ram_extent data = ram_file_next_data(file, hole.begin, page_size);

        hole.end = data.begin;
        if (queue(session, index, hole, multifd_queue_zero_page, err) != 0 ||
            queue_data(session, index, data, err) != 0) {
            return -1;
        }
        hole.begin = data.end;
    }
    return 0;
}

static int transfer(struct session *session, struct multifd_error *err)
{
    struct multifd_source *source = session->view.source;

    if (session_show(session, err) != 0 || multifd_save_setup(source, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < ram_files_count(session->files); i++) {
        if (queue_block(session, i, err) != 0) {
            return -1;
        }
    }
    return multifd_send_sync_main(source, err) != 0 ? -1 : multifd_source_finish(source, err);
}

static void cleanup(struct session *session)
{
    multifd_save_cleanup(session->view.source);
}

static void delete_source(struct session *session)
{
    multifd_source_delete(&session->view.source);
}

/* What only the destination knows. */
static const char *const destination_only[] = {"fresh-memory", "qemu", NULL};

static int run(const struct cli_command *command, int argc, char **argv)
{
    static const struct session_side side = {
        .create = create,
        .open = open_files,
        .transfer = transfer,
        .cleanup = cleanup,
        .destroy = delete_source,
    };

    return session_command_run(&side, command, argc, argv);
}

const struct cli_command command_send = {
    .name = "send",
    .usage = "rdma|tcp:HOST:PORT|unix:PATH --ram NAME=PATH... [OPTION]...",
    .summary = "Sends the guest memory in files to a host where multifd recv listens.",
    .text =
        "Files may be plain files, in /dev/shm, or on a hugetlbfs, and are never written to. "
        "Their\n"
        "size is a multiple of the page size. Names and sizes must be those of the other side.\n"
        "Sizes take K, M, G and T (powers of 1024), times take us, ms, s and min.\n",
    .own = own_options,
    .set_library = session_args_set_library,
    .without = destination_only,
    .run = run,
};
