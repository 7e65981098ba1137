/* SPDX-License-Identifier: MIT */
#include "null_exec.h"

#include "fail.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PROGRAM "multifd-null"

__attribute__((weak)) bool null_exec_done(void)
{
    return false;
}

/* The folder that this program lies in, ending with '/'. */
static int own_folder(char folder[PATH_MAX], struct multifd_error *err)
{
    ssize_t length = readlink("/proc/self/exe", folder, PATH_MAX - 1);

    if (length < 0) {
        return tool_fail(err, MULTIFD_ERROR_SYSTEM, "cannot tell where multifd lies: %s",
                         strerror(errno));
    }
    folder[length] = '\0';
    strrchr(folder, '/')[1] = '\0'; /* an absolute path */
    return 0;
}

int null_exec_find(char *path, size_t size, struct multifd_error *err)
{
    static const char *const relative[] = {PROGRAM, NULL_EXEC_FROM_BINDIR "/" PROGRAM};
    char folder[PATH_MAX];

    if (own_folder(folder, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < sizeof(relative) / sizeof(relative[0]); i++) {
        if (snprintf(path, size, "%s%s", folder, relative[i]) < (int)size &&
            access(path, X_OK) == 0) {
            return 0;
        }
    }
    if (snprintf(path, size, "%s/%s", NULL_EXEC_CONFIGURED, PROGRAM) < (int)size &&
        access(path, X_OK) == 0) {
        return 0;
    }
    return tool_fail(err, MULTIFD_ERROR_SYSTEM,
                     "there is no " PROGRAM ", which measures without a device: neither in %s nor "
                     "in %s" NULL_EXEC_FROM_BINDIR " nor in " NULL_EXEC_CONFIGURED,
                     folder, folder);
}

int null_exec(char **argv, struct multifd_error *err)
{
    char path[PATH_MAX];

    if (null_exec_find(path, sizeof(path), err) != 0) {
        return -1;
    }
    argv[0] = path;
    (void)execv(path, argv);
    return tool_fail(err, MULTIFD_ERROR_SYSTEM, "cannot run %s: %s", path, strerror(errno));
}
