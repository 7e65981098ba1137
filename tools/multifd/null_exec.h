/* SPDX-License-Identifier: MIT */
/*
 * null_exec - running this command again as multifd-null, which has an RDMA device that moves
 * nothing in the place of libibverbs and librdmacm.
 */
#ifndef MULTIFD_TOOL_NULL_EXEC_H
#define MULTIFD_TOOL_NULL_EXEC_H

#include <multifd_error.h>
#include <stdbool.h>
#include <stddef.h>

/* Whether this program is multifd-null already, which defines it once more. */
bool null_exec_done(void);

/*
 * The path of multifd-null: beside this program as in a build tree, else where it was installed
 * with it, else where it was configured to be installed. 0, or -1 with *err.
 */
int null_exec_find(char *path, size_t size, struct multifd_error *err);

/* Runs multifd-null with these arguments (argv[0] is replaced). Returns -1 with *err, or never. */
int null_exec(char **argv, struct multifd_error *err);

#endif
