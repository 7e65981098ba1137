/* SPDX-License-Identifier: MIT */
#include "ram_files.h"

#include "fail.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Memory for a block that nobody wants. */
struct dropped {
    void *host;
    uint64_t length;
    struct dropped *next;
};

struct ram_files {
    const struct ram_specs *specs;
    uint64_t page_size;
    bool only_new;
    struct dropped *dropped;
    struct ram_file *files[]; /* one for each of specs, NULL until open */
};

struct ram_files *ram_files_new(const struct ram_specs *specs, uint64_t page_size)
{
    struct ram_files *files = calloc(1, sizeof(*files) + specs->count * sizeof(struct ram_file *));

    if (files != NULL) {
        files->specs = specs;
        files->page_size = page_size;
    }
    return files;
}

int ram_files_open_source(struct ram_files *files, struct multifd_error *err)
{
    for (size_t i = 0; i < files->specs->count; i++) {
        files->files[i] = ram_file_open_source(&files->specs->items[i], files->page_size, err);
        if (files->files[i] == NULL) {
            return -1;
        }
    }
    return 0;
}

int ram_files_open_live(struct ram_files *files, bool writable, struct multifd_error *err)
{
    for (size_t i = 0; i < files->specs->count; i++) {
        files->files[i] =
            ram_file_open_live(&files->specs->items[i], writable, files->page_size, err);
        if (files->files[i] == NULL) {
            return -1;
        }
    }
    return 0;
}

static int check_sizes(const struct ram_files *files, struct multifd_error *err)
{
    for (size_t i = 0; i < files->specs->count; i++) {
        const struct ram_spec *spec = &files->specs->items[i];
        if (spec->size % files->page_size != 0) {
            return tool_fail(err, MULTIFD_ERROR_INVALID,
                             "--ram %s: %" PRIu64
                             " bytes are not a multiple of the page size of %" PRIu64,
                             spec->name, spec->size, files->page_size);
        }
    }
    return 0;
}

bool ram_files_are_new(struct ram_files *files)
{
    for (size_t i = 0; i < files->specs->count; i++) {
        if (access(files->specs->items[i].path, F_OK) == 0 || errno != ENOENT) {
            return false;
        }
    }
    files->only_new = true;
    return true;
}

static struct ram_file *open_destination(const struct ram_files *files, const struct ram_spec *spec,
                                         uint64_t length, struct multifd_error *err)
{
    return files->only_new ? ram_file_create(spec, length, files->page_size, err)
                           : ram_file_open_destination(spec, length, files->page_size, err);
}

int ram_files_open_destination(struct ram_files *files, struct multifd_error *err)
{
    if (check_sizes(files, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < files->specs->count; i++) {
        const struct ram_spec *spec = &files->specs->items[i];
        if (spec->size == 0 && access(spec->path, F_OK) != 0) {
            continue;
        }
        files->files[i] = open_destination(files, spec, spec->size, err);
        if (files->files[i] == NULL) {
            return -1;
        }
    }
    return 0;
}

static bool is_named(const struct ram_files *files, const char *name)
{
    for (size_t i = 0; i < files->specs->count; i++) {
        if (strcmp(files->specs->items[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static void *map_dropped(struct ram_files *files, uint64_t length, struct multifd_error *err)
{
    struct dropped *dropped = malloc(sizeof(*dropped));
    void *host = MAP_FAILED;

    if (dropped != NULL) {
        host = mmap(NULL, length, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    }
    if (host == MAP_FAILED) {
        free(dropped);
        (void)tool_fail(err, MULTIFD_ERROR_SYSTEM, "no memory of %" PRIu64 " bytes to drop",
                        length);
        return NULL;
    }
    *dropped = (struct dropped){.host = host, .length = length, .next = files->dropped};
    files->dropped = dropped;
    return host;
}

void *ram_files_offer_or_drop(void *opaque, const char *name, uint64_t length,
                              struct multifd_error *err)
{
    struct ram_files *files = opaque;

    return is_named(files, name) ? ram_files_offer(files, name, length, err)
                                 : map_dropped(files, length, err);
}

void *ram_files_offer(void *opaque, const char *name, uint64_t length, struct multifd_error *err)
{
    struct ram_files *files = opaque;

    for (size_t i = 0; i < files->specs->count; i++) {
        const struct ram_spec *spec = &files->specs->items[i];
        if (files->files[i] != NULL || strcmp(spec->name, name) != 0) {
            continue;
        }
        files->files[i] = open_destination(files, spec, length, err);
        return files->files[i] == NULL ? NULL : ram_file_host(files->files[i]);
    }
    (void)tool_fail(err, MULTIFD_ERROR_MISMATCH,
                    "the source has the RAM block %s, which no --ram of the destination names",
                    name);
    return NULL;
}

size_t ram_files_count(const struct ram_files *files)
{
    return files->specs->count;
}

const char *ram_files_name(const struct ram_files *files, size_t index)
{
    return files->specs->items[index].name;
}

struct ram_file *ram_files_get(const struct ram_files *files, size_t index)
{
    return files->files[index];
}

const char *ram_files_missing(const struct ram_files *files)
{
    for (size_t i = 0; i < files->specs->count; i++) {
        if (files->files[i] == NULL) {
            return files->specs->items[i].name;
        }
    }
    return NULL;
}

uint64_t ram_files_total(const struct ram_files *files)
{
    uint64_t total = 0;

    for (size_t i = 0; i < files->specs->count; i++) {
        total += files->files[i] == NULL ? 0 : ram_file_length(files->files[i]);
    }
    return total;
}

int ram_files_commit(struct ram_files *files, struct multifd_error *err)
{
    for (size_t i = 0; i < files->specs->count; i++) {
        if (files->files[i] != NULL && ram_file_commit(files->files[i], err) != 0) {
            return -1;
        }
    }
    return 0;
}

static void unmap_dropped(struct ram_files *files)
{
    while (files->dropped != NULL) {
        struct dropped *gone = files->dropped;

        files->dropped = gone->next;
        munmap(gone->host, gone->length);
        free(gone);
    }
}

void ram_files_delete(struct ram_files **files)
{
    if (*files == NULL) {
        return;
    }
    unmap_dropped(*files);
    for (size_t i = 0; i < (*files)->specs->count; i++) {
        ram_file_delete(&(*files)->files[i]);
    }
    free(*files);
    *files = NULL;
}
