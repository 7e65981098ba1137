/* SPDX-License-Identifier: MIT */
/*
 * ram_file.h - a file that holds the memory of one RAM block, mapped.
 *
 * What can be mapped how is decided by what the kernel lets an RDMA device pin:
 *  - A source only reads. Since Linux 6.2 a read-only shared mapping can be pinned. Before, the
 * kernel asks for write permission on a shared mapping (tmpfs, hugetlbfs: opened for writing, never
 *    written), or pins a private copy of each page (other file systems, or no permission to write).
 *  - A destination maps files of tmpfs and hugetlbfs shared, so that the guest's memory is where
 * the device writes. Pages of a file on a disk cannot be pinned for writing (refused since
 * Linux 6.5, unsafe before): those are received in anonymous memory and written to the file by
 *    ram_file_commit. Until then the file keeps its old content.
 */
#ifndef MULTIFD_TOOL_RAM_FILE_H
#define MULTIFD_TOOL_RAM_FILE_H

#include "ram_holes.h"
#include "ram_spec.h"

#include <stdbool.h>

struct ram_file;

/* Opens and maps the file of a source's block. NULL on error. */
struct ram_file *ram_file_open_source(const struct ram_spec *spec, uint64_t page_size,
                                      struct multifd_error *err);

/*
 * Opens and maps the file of a destination's block, or creates it with `length` bytes. A file that
 * exists must have exactly `length` bytes; 0 takes it as it is, and does not create it. NULL on
 * error, with nothing created.
 */
struct ram_file *ram_file_open_destination(const struct ram_spec *spec, uint64_t length,
                                           uint64_t page_size, struct multifd_error *err);

/* The same, but of a file that does not exist: what is mapped is zero. */
struct ram_file *ram_file_create(const struct ram_spec *spec, uint64_t length, uint64_t page_size,
                                 struct multifd_error *err);

/*
 * Opens and maps the file that a guest's RAM lies in while the guest may run: always shared, and
 * `writable` or not. NULL on error, also where the kernel would pin a copy of it only.
 */
struct ram_file *ram_file_open_live(const struct ram_spec *spec, bool writable, uint64_t page_size,
                                    struct multifd_error *err);

/* The mapping: ram_file_length bytes, valid until ram_file_delete. */
void *ram_file_host(const struct ram_file *file);
uint64_t ram_file_length(const struct ram_file *file);

/*
 * Source: the pages at or behind `offset` that may hold something else than zeros; up to where they
 * begin, and from where they end, the file has a hole. Begins at ram_file_length when there are no
 * more. `offset` is a multiple of the page size.
 */
struct ram_extent ram_file_next_data(const struct ram_file *file, uint64_t offset,
                                     uint64_t page_size);

/*
 * Source: has the kernel map those bytes at once, where that is known to help: it is faster than a
 * fault for every few pages.
 */
void ram_file_prefault(const struct ram_file *file, struct ram_extent bytes);

/* Destination: what was received becomes the content of the file, and a created file stays. */
int ram_file_commit(struct ram_file *file, struct multifd_error *err);

/* Unmaps, closes, removes a file that was created and not committed. Accepts NULL, sets to NULL. */
void ram_file_delete(struct ram_file **file);

#endif
