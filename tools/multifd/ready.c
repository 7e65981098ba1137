/* SPDX-License-Identifier: MIT */
#include "ready.h"

#include "console.h"
#include "fail.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail_path(const char *path, struct multifd_error *err)
{
    return tool_fail(err, MULTIFD_ERROR_SYSTEM, "--ready %s: cannot be written: %s", path,
                     strerror(errno));
}

int ready_clear(const char *path, struct multifd_error *err)
{
    struct stat status;

    /* A pipe holds nothing, and to open it would wait for its reader. */
    if (stat(path, &status) == 0 && !S_ISREG(status.st_mode)) {
        return 0;
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) {
        return fail_path(path, err);
    }
    (void)close(fd);
    return 0;
}

int ready_write(const char *path, unsigned port, struct multifd_error *err)
{
    char text[16];
    int length = snprintf(text, sizeof(text), "%u\n", port);
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd < 0) {
        return fail_path(path, err);
    }
    int rc = write(fd, text, (size_t)length) == length ? 0 : fail_path(path, err);
    (void)close(fd);
    return rc;
}

void ready_print(const char *command, const char *address, unsigned port)
{
    const char *colon = strrchr(address, ':');

    if (port == 0 || colon == NULL) {
        console_line(command, "listening on %s", address);
    } else {
        console_line(command, "listening on %.*s:%u", (int)(colon - address), address, port);
    }
}
