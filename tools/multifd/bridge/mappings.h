/* SPDX-License-Identifier: MIT */
/* mappings.h - who has a file in its memory, and how: from /proc/PID/maps and /proc/PID/fd. */
#ifndef MULTIFD_BRIDGE_MAPPINGS_H
#define MULTIFD_BRIDGE_MAPPINGS_H

#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

enum mapping {
    MAPPING_NONE,    /* not at all, or only a part of it, or its maps may not be read */
    MAPPING_PRIVATE, /* a private copy of it */
    MAPPING_SHARED,  /* its first `length` bytes, writable, and all others see what is written */
};

/* How process `pid` has the file mapped. */
enum mapping mappings_of(pid_t pid, const struct stat *file, uint64_t length);

/*
 * The same for any process but this one and other bridges: shared if one has it so. *pid is that
 * process.
 */
enum mapping mappings_of_any(const struct stat *file, uint64_t length, pid_t *pid);

/* The path of a descriptor. */
#define MAPPINGS_PATH 64

/*
 * The one file without a name of its own (a memfd, or removed) of which the process has exactly
 * `length` bytes mapped, shared: `path` is that of its descriptor in /proc. Returns how many such
 * files there are; only if it is one is `path` filled.
 */
unsigned mappings_nameless(pid_t pid, uint64_t length, char path[MAPPINGS_PATH]);

#endif
