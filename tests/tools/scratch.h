/* SPDX-License-Identifier: MIT */
/* scratch.h - a directory of a test's own, made and removed around each test. */
#ifndef MULTIFD_TESTS_SCRATCH_H
#define MULTIFD_TESTS_SCRATCH_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* The test runs in the directory, so that files have short names. */
static char scratch_directory[64];

static inline int scratch_enter_below(const char *parent)
{
    (void)snprintf(scratch_directory, sizeof(scratch_directory), "%s/multifd-test-XXXXXX", parent);
    return mkdtemp(scratch_directory) != NULL ? chdir(scratch_directory) : -1;
}

static inline int scratch_leave(void)
{
    char command[96];

    (void)snprintf(command, sizeof(command), "rm -rf -- %s", scratch_directory);
    return chdir("/") == 0 ? system(command) : -1;
}

#endif
