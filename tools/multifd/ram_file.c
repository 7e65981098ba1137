/* SPDX-License-Identifier: MIT */
#include "ram_file.h"

#include "fail.h"
#include "units.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#define COMMIT_CHUNK (64u << 20)

struct ram_file {
    const char *path; /* the spec's */
    int fd;
    void *host;
    uint64_t length;
    bool memory;  /* the file system keeps its files in memory only */
    bool created; /* by this process, and to be removed when it fails */
};

static int fail_path(const struct ram_file *file, const char *what, struct multifd_error *err)
{
    return tool_fail(err, MULTIFD_ERROR_SYSTEM, "%s: %s: %s", file->path, what, strerror(errno));
}

static struct ram_file *file_new(const char *path, struct multifd_error *err)
{
    struct ram_file *file = calloc(1, sizeof(*file));

    if (file == NULL) {
        (void)tool_fail(err, MULTIFD_ERROR_SYSTEM, "no memory");
        return NULL;
    }
    file->path = path;
    file->fd = -1;
    file->host = MAP_FAILED;
    return file;
}

/* Takes over an opened descriptor: asks what it is. */
static int adopt(struct ram_file *file, int fd, struct multifd_error *err)
{
    struct stat status;
    struct statfs system;

    file->fd = fd;
    if (fstat(fd, &status) != 0 || fstatfs(fd, &system) != 0) {
        return fail_path(file, "cannot be examined", err);
    }
    if (!S_ISREG(status.st_mode)) {
        return tool_fail(err, MULTIFD_ERROR_INVALID, "%s: not a regular file", file->path);
    }
    file->length = (uint64_t)status.st_size;
    file->memory = system.f_type == TMPFS_MAGIC || system.f_type == (__fsword_t)HUGETLBFS_MAGIC ||
                   system.f_type == (__fsword_t)RAMFS_MAGIC;
    return 0;
}

static int check_length(const struct ram_file *file, uint64_t wanted, uint64_t page_size,
                        struct multifd_error *err)
{
    if (file->length == 0) {
        return tool_fail(err, MULTIFD_ERROR_INVALID, "%s: the file is empty", file->path);
    }
    if (wanted != 0 && file->length != wanted) {
        return tool_fail(err, MULTIFD_ERROR_MISMATCH,
                         "%s: the file has %" PRIu64 " bytes, the RAM block has %" PRIu64,
                         file->path, file->length, wanted);
    }
    if (file->length % page_size != 0) {
        return tool_fail(err, MULTIFD_ERROR_INVALID,
                         "%s: %" PRIu64 " bytes are not a multiple of the page size of %" PRIu64,
                         file->path, file->length, page_size);
    }
    return 0;
}

static int map(struct ram_file *file, int protection, int flags, struct multifd_error *err)
{
    int fd = (flags & MAP_ANONYMOUS) != 0 ? -1 : file->fd;

    if (file->length > SIZE_MAX) {
        return tool_fail(err, MULTIFD_ERROR_LIMIT, "%s: too large for this machine", file->path);
    }
    file->host = mmap(NULL, (size_t)file->length, protection, flags, fd, 0);
    if (file->host == MAP_FAILED) {
        return errno == ENOMEM ? tool_fail(err, MULTIFD_ERROR_SYSTEM,
                                           "%s: not enough memory (or free huge pages) to map "
                                           "%" PRIu64 " bytes",
                                           file->path, file->length)
                               : fail_path(file, "cannot be mapped", err);
    }
    return 0;
}

static bool kernel_pins_read_only_mappings(void)
{
    struct utsname name;
    char *end;

    if (uname(&name) != 0) {
        return false;
    }
    unsigned long major = strtoul(name.release, &end, 10);
    unsigned long minor = *end == '.' ? strtoul(end + 1, NULL, 10) : 0;
    return major > 6 || (major == 6 && minor >= 2);
}

/* Only where it is needed; keeps the read-only descriptor when the file may not be written. */
static bool reopen_for_writing(struct ram_file *file)
{
    int fd = open(file->path, O_RDWR | O_CLOEXEC);

    if (fd < 0) {
        return false;
    }
    (void)close(file->fd);
    file->fd = fd;
    return true;
}

static int map_as_pinnable(struct ram_file *file, struct multifd_error *err)
{
    if (kernel_pins_read_only_mappings()) {
        return map(file, PROT_READ, MAP_SHARED, err);
    }
    if (file->memory && reopen_for_writing(file)) {
        return map(file, PROT_READ | PROT_WRITE, MAP_SHARED, err);
    }
    return map(file, PROT_READ, MAP_PRIVATE, err);
}

static int map_source(struct ram_file *file, struct multifd_error *err)
{
    if (map_as_pinnable(file, err) != 0) {
        return -1;
    }
    if (file->memory) {
        ram_holes_cover(file->fd, file->host, file->length);
    }
    return 0;
}

/* A file that has its length, not yet mapped. */
static struct ram_file *open_filled(const struct ram_spec *spec, uint64_t page_size,
                                    struct multifd_error *err)
{
    struct ram_file *file = file_new(spec->path, err);

    if (file == NULL) {
        return NULL;
    }
    int fd = open(spec->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        (void)fail_path(file, "cannot be opened", err);
    } else if (adopt(file, fd, err) == 0 && check_length(file, spec->size, page_size, err) == 0) {
        return file;
    }
    ram_file_delete(&file);
    return NULL;
}

struct ram_file *ram_file_open_source(const struct ram_spec *spec, uint64_t page_size,
                                      struct multifd_error *err)
{
    struct ram_file *file = open_filled(spec, page_size, err);

    if (file != NULL && map_source(file, err) != 0) {
        ram_file_delete(&file);
    }
    return file;
}

/* Writing to a hole of a full tmpfs kills with SIGBUS, so the room is looked at first. */
static int check_room(const struct ram_file *file, uint64_t length, struct multifd_error *err)
{
    struct statfs system;

    if (fstatfs(file->fd, &system) != 0) {
        return fail_path(file, "cannot be examined", err);
    }
    /* A limitless tmpfs or hugetlbfs reports no blocks at all. */
    uint64_t room = (uint64_t)system.f_bavail * (uint64_t)system.f_bsize;
    if (system.f_blocks != 0 && room < length) {
        return tool_fail(err, MULTIFD_ERROR_SYSTEM,
                         "%s: %" PRIu64 " bytes are needed, its file system has room for %" PRIu64,
                         file->path, length, room);
    }
    return 0;
}

static int check_huge_page(const struct ram_file *file, uint64_t length, struct multifd_error *err)
{
    struct statfs system;

    if (fstatfs(file->fd, &system) == 0 && system.f_type == (__fsword_t)HUGETLBFS_MAGIC &&
        length % (uint64_t)system.f_bsize != 0) {
        return tool_fail(err, MULTIFD_ERROR_INVALID,
                         "%s: %" PRIu64
                         " bytes are not a multiple of the huge page size of %" PRIu64,
                         file->path, length, (uint64_t)system.f_bsize);
    }
    return 0;
}

static int create(struct ram_file *file, uint64_t length, struct multifd_error *err)
{
    int fd = open(file->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0) {
        return fail_path(file, "cannot be created", err);
    }
    file->created = true;
    if (adopt(file, fd, err) != 0 || check_room(file, length, err) != 0 ||
        check_huge_page(file, length, err) != 0) {
        return -1;
    }
    if (ftruncate(fd, (off_t)length) != 0) {
        return fail_path(file, "cannot be made as large as its RAM block", err);
    }
    file->length = length;
    return 0;
}

static int open_or_create(struct ram_file *file, uint64_t length, struct multifd_error *err)
{
    int fd = open(file->path, O_RDWR | O_CLOEXEC);

    if (fd >= 0) {
        return adopt(file, fd, err);
    }
    if (errno != ENOENT || length == 0) {
        return fail_path(file, "cannot be opened", err);
    }
    return create(file, length, err);
}

static int map_destination(struct ram_file *file, struct multifd_error *err)
{
    if (file->memory) {
        return map(file, PROT_READ | PROT_WRITE, MAP_SHARED, err);
    }
    /* Room on the disk is taken now: when the guest has arrived it is too late to find none. */
    if (fallocate(file->fd, 0, 0, (off_t)file->length) != 0 && errno != EOPNOTSUPP) {
        return fail_path(file, "no room for its RAM block", err);
    }
    return map(file, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, err);
}

typedef int opener(struct ram_file *file, uint64_t length, struct multifd_error *err);

static struct ram_file *open_destination(const struct ram_spec *spec, opener *open_file,
                                         uint64_t length, uint64_t page_size,
                                         struct multifd_error *err)
{
    struct ram_file *file = file_new(spec->path, err);

    if (file == NULL) {
        return NULL;
    }
    if (open_file(file, length, err) == 0 && check_length(file, length, page_size, err) == 0 &&
        map_destination(file, err) == 0) {
        return file;
    }
    ram_file_delete(&file);
    return NULL;
}

struct ram_file *ram_file_open_destination(const struct ram_spec *spec, uint64_t length,
                                           uint64_t page_size, struct multifd_error *err)
{
    return open_destination(spec, open_or_create, length, page_size, err);
}

struct ram_file *ram_file_create(const struct ram_spec *spec, uint64_t length, uint64_t page_size,
                                 struct multifd_error *err)
{
    return open_destination(spec, create, length, page_size, err);
}

/* Pages of a file on a disk cannot be pinned for writing; see ram_file.h. */
static int map_live(struct ram_file *file, bool writable, struct multifd_error *err)
{
    if (!writable && kernel_pins_read_only_mappings()) {
        return map(file, PROT_READ, MAP_SHARED, err);
    }
    if (!file->memory) {
        return tool_fail(err, MULTIFD_ERROR_INVALID,
                         "%s: lies on a disk, where a device cannot reach the guest's RAM; it must "
                         "be in /dev/shm, on a hugetlbfs, or a memfd",
                         file->path);
    }
    if (!reopen_for_writing(file)) {
        return fail_path(file, "cannot be opened for writing", err);
    }
    return map(file, PROT_READ | PROT_WRITE, MAP_SHARED, err);
}

struct ram_file *ram_file_open_live(const struct ram_spec *spec, bool writable, uint64_t page_size,
                                    struct multifd_error *err)
{
    struct ram_file *file = open_filled(spec, page_size, err);

    if (file != NULL && map_live(file, writable, err) != 0) {
        ram_file_delete(&file);
    }
    return file;
}

void *ram_file_host(const struct ram_file *file)
{
    return file->host;
}

uint64_t ram_file_length(const struct ram_file *file)
{
    return file->length;
}

struct ram_extent ram_file_next_data(const struct ram_file *file, uint64_t offset,
                                     uint64_t page_size)
{
    struct ram_extent data = {.begin = offset, .end = file->length};

    if (file->memory) {
        data = ram_holes_next_data(file->fd, offset, file->length);
        data.begin = data.begin / page_size * page_size;
        data.end = (data.end + page_size - 1) / page_size * page_size;
    }
    return data;
}

void ram_file_prefault(const struct ram_file *file, struct ram_extent bytes)
{
    /* Pages of a disk are better read by several threads. Kernels before 5.14 refuse. */
    if (file->memory) {
        (void)madvise((uint8_t *)file->host + bytes.begin, (size_t)(bytes.end - bytes.begin),
                      MADV_POPULATE_READ);
    }
}

static int write_back(struct ram_file *file, struct multifd_error *err)
{
    const char *host = file->host;
    uint64_t done = 0;

    while (done < file->length) {
        uint64_t left = file->length - done;
        ssize_t written =
            pwrite(file->fd, host + done, left < COMMIT_CHUNK ? left : COMMIT_CHUNK, (off_t)done);
        if (written < 0 && errno != EINTR) {
            return fail_path(file, "cannot be written", err);
        }
        done += written > 0 ? (uint64_t)written : 0;
    }
    return 0;
}

int ram_file_commit(struct ram_file *file, struct multifd_error *err)
{
    if (!file->memory && write_back(file, err) != 0) {
        return -1;
    }
    file->created = false;
    return 0;
}

void ram_file_delete(struct ram_file **file)
{
    if (*file == NULL) {
        return;
    }
    if ((*file)->host != MAP_FAILED) {
        (void)munmap((*file)->host, (size_t)(*file)->length);
    }
    if ((*file)->fd >= 0) {
        (void)close((*file)->fd);
    }
    if ((*file)->created) {
        (void)unlink((*file)->path);
    }
    free(*file);
    *file = NULL;
}
