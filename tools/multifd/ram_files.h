/* SPDX-License-Identifier: MIT */
/* ram_files.h - the files of all RAM blocks that the command line names, in its order. */
#ifndef MULTIFD_TOOL_RAM_FILES_H
#define MULTIFD_TOOL_RAM_FILES_H

#include "ram_file.h"

struct ram_files;

/* An empty set for `specs`, which must outlive it. NULL when there is no memory. */
struct ram_files *ram_files_new(const struct ram_specs *specs, uint64_t page_size);

/* Opens every file of a source. */
int ram_files_open_source(struct ram_files *files, struct multifd_error *err);

/* Opens every file of a guest that may run. */
int ram_files_open_live(struct ram_files *files, bool writable, struct multifd_error *err);

/*
 * Destination: whether no file exists. If so, from now on only files that do not exist are opened,
 * so that what is received into is zero at first.
 */
bool ram_files_are_new(struct ram_files *files);

/* Opens the files of a destination that exist or have a size; others wait for ram_files_offer. */
int ram_files_open_destination(struct ram_files *files, struct multifd_error *err);

/* A multifd_block_fn, with the set as opaque: opens the file of a block that the source offers. */
void *ram_files_offer(void *opaque, const char *name, uint64_t length, struct multifd_error *err);

/* The same, but memory that is dropped in the end for a block that the set does not name. */
void *ram_files_offer_or_drop(void *opaque, const char *name, uint64_t length,
                              struct multifd_error *err);

size_t ram_files_count(const struct ram_files *files);
const char *ram_files_name(const struct ram_files *files, size_t index);

/* NULL while the file of that block is not open. */
struct ram_file *ram_files_get(const struct ram_files *files, size_t index);

/* The name of the first block whose file is not open, NULL when all are. */
const char *ram_files_missing(const struct ram_files *files);

/* Bytes of the open files. */
uint64_t ram_files_total(const struct ram_files *files);

/* ram_file_commit for all. */
int ram_files_commit(struct ram_files *files, struct multifd_error *err);

/* ram_file_delete for all. Accepts NULL, sets to NULL. */
void ram_files_delete(struct ram_files **files);

#endif
