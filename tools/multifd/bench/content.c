/* SPDX-License-Identifier: MIT */
#include "content.h"

#include "fail.h"

#include <errno.h>
#include <fcntl.h>
#include <multifd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int read_all(int fd, const struct bench_memory *memory, struct multifd_error *err)
{
    for (uint64_t at = 0; at < memory->length;) {
        ssize_t got = pread(fd, memory->bytes + at, memory->length - at, (off_t)at);

        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return tool_fail(err, MULTIFD_ERROR_SYSTEM, "read: %s",
                             got == 0 ? "the file became shorter" : strerror(errno));
        }
        at += (uint64_t)got;
    }
    return 0;
}

static int load(struct bench_memory *memory, int fd, uint64_t length, uint64_t page_size,
                struct multifd_error *err)
{
    struct stat status;

    if (fstat(fd, &status) != 0) {
        return tool_fail(err, MULTIFD_ERROR_SYSTEM, "fstat: %s", strerror(errno));
    }
    uint64_t size = (uint64_t)status.st_size < length ? (uint64_t)status.st_size : length;
    if (size < page_size) {
        return tool_fail(err, MULTIFD_ERROR_INVALID, "no page in it");
    }
    if (bench_memory_map(memory, size / page_size * page_size, page_size, err) != 0) {
        return -1;
    }
    if (read_all(fd, memory, err) != 0) {
        bench_memory_unmap(memory);
        return -1;
    }
    return 0;
}

int content_load(struct bench_memory *memory, const char *file, uint64_t length, uint64_t page_size,
                 struct multifd_error *err)
{
    struct multifd_error reason;

    if (file[0] == '\0') {
        if (bench_memory_map(memory, length, page_size, err) != 0) {
            return -1;
        }
        bench_memory_fill(memory, 0);
        return 0;
    }
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return tool_fail(err, MULTIFD_ERROR_SYSTEM, "option content: %s: %s", file,
                         strerror(errno));
    }
    int status = load(memory, fd, length, page_size, &reason);
    (void)close(fd);
    return status == 0
               ? 0
               : tool_fail(err, reason.code, "option content: %s: %.120s", file, reason.message);
}

uint64_t *content_pages(const struct bench_memory *memory, size_t *num, struct multifd_error *err)
{
    uint64_t *offsets = calloc(memory->length / memory->page_size, sizeof(*offsets));

    *num = 0;
    if (offsets == NULL) {
        (void)tool_fail(err, MULTIFD_ERROR_SYSTEM, "no memory");
        return NULL;
    }
    for (uint64_t offset = 0; offset < memory->length; offset += memory->page_size) {
        if (!multifd_buffer_is_zero(memory->bytes + offset, memory->page_size)) {
            offsets[(*num)++] = offset;
        }
    }
    if (*num == 0) {
        (void)tool_fail(err, MULTIFD_ERROR_INVALID, "option content: nothing but zero pages");
        free(offsets);
        return NULL;
    }
    return offsets;
}
