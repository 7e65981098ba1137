/* SPDX-License-Identifier: MIT */
#include "cmocka_all.h"

#include "bridge/bridge_ram.h"
#include "bridge/mappings.h"
#include "fail.h"
#include "scratch.h"

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define LENGTH 8192u

static char name[] = "ram";
static char path[] = "file";
static const struct ram_spec spec = {name, path, 0};

static int enter(void **state)
{
    (void)state;
    return scratch_enter_below("/dev/shm");
}

static int leave(void **state)
{
    (void)state;
    return scratch_leave();
}

static int make_file(size_t length)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)length), 0);
    return fd;
}

/* A process that stands for QEMU: has `fd` mapped from `offset` on, and says when. */
static pid_t start_owner(int fd, off_t offset, int protection, int flags)
{
    int ready[2];
    char byte = 0;

    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        void *host = mmap(NULL, LENGTH, protection, flags, fd, offset);
        if (host != MAP_FAILED && write(ready[1], "x", 1) == 1) {
            (void)pause();
        }
        _exit(1);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    (void)close(ready[0]);
    (void)close(ready[1]);
    return pid;
}

static void end_owner(pid_t pid)
{
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* Asks about that process, and about all. */
static void assert_mapped(int fd, off_t offset, int protection, int flags, enum mapping expected)
{
    struct stat file;
    pid_t found = 0;
    pid_t pid = start_owner(fd, offset, protection, flags);

    assert_int_equal(fstat(fd, &file), 0);
    assert_int_equal(mappings_of(pid, &file, LENGTH), expected);
    assert_int_equal(mappings_of_any(&file, LENGTH, &found), expected);
    if (expected != MAPPING_NONE) {
        assert_int_equal(found, pid);
    }
    end_owner(pid);
}

static void tells_how_a_file_is_mapped(void **state)
{
    int fd = make_file(2 * LENGTH);

    (void)state;
    assert_mapped(fd, 0, PROT_READ | PROT_WRITE, MAP_SHARED, MAPPING_SHARED);
    assert_mapped(fd, 0, PROT_READ | PROT_WRITE, MAP_PRIVATE, MAPPING_PRIVATE);
    assert_mapped(fd, 0, PROT_READ, MAP_SHARED, MAPPING_NONE);
    assert_mapped(fd, LENGTH, PROT_READ | PROT_WRITE, MAP_SHARED, MAPPING_NONE);
    (void)close(fd);
}

/* What was cut into pieces since is one mapping all the same; and a part of a file is no file. */
static void counts_the_pieces(void **state)
{
    int fd = make_file(2 * LENGTH);
    struct stat file;
    char *host = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    (void)state;
    assert_ptr_not_equal(host, MAP_FAILED);
    assert_int_equal(madvise(host, LENGTH / 2, MADV_DONTDUMP), 0);
    assert_int_equal(fstat(fd, &file), 0);
    assert_int_equal(mappings_of(getpid(), &file, LENGTH), MAPPING_SHARED);
    assert_int_equal(mappings_of(getpid(), &file, LENGTH + 1), MAPPING_NONE);
    assert_int_equal(munmap(host, LENGTH / 2), 0);
    assert_int_equal(mappings_of(getpid(), &file, LENGTH), MAPPING_NONE);
    assert_int_equal(munmap(host + LENGTH / 2, LENGTH / 2), 0);
    (void)close(fd);
}

static void finds_the_one_file_without_a_name(void **state)
{
    int first = memfd_create("memory-backend-memfd", MFD_CLOEXEC);
    int second = memfd_create("memory-backend-memfd", MFD_CLOEXEC);
    char found[MAPPINGS_PATH] = "";
    struct stat file;
    struct stat other;

    (void)state;
    assert_int_equal(ftruncate(first, LENGTH), 0);
    assert_int_equal(ftruncate(second, LENGTH), 0);
    assert_int_equal(mappings_nameless(getpid(), LENGTH, found), 0);
    void *host = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE, MAP_SHARED, first, 0);
    assert_int_equal(mappings_nameless(getpid(), LENGTH, found), 1);
    assert_int_equal(stat(found, &other), 0);
    assert_int_equal(fstat(first, &file), 0);
    assert_int_equal(file.st_ino, other.st_ino);
    assert_int_equal(mappings_nameless(getpid(), LENGTH / 2, found), 0);
    void *more = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE, MAP_SHARED, second, 0);
    assert_int_equal(mappings_nameless(getpid(), LENGTH, found), 2);
    assert_int_equal(munmap(host, LENGTH), 0);
    assert_int_equal(munmap(more, LENGTH), 0);
    (void)close(first);
    (void)close(second);
}

static void assert_check(int fd, int flags, bool by_process, const char *text)
{
    struct multifd_error err = {0};
    pid_t pid = start_owner(fd, 0, PROT_READ | PROT_WRITE, flags);
    int rc = bridge_ram_check(&spec, LENGTH, by_process ? pid : 0, &err);

    end_owner(pid);
    assert_int_equal(rc, text == NULL ? 0 : -1);
    if (text != NULL && strstr(err.message, text) == NULL) {
        fail_msg("%s", err.message);
    }
}

static void refuses_what_is_no_guests_memory(void **state)
{
    struct multifd_error err = {0};
    int fd = make_file(LENGTH);

    (void)state;
    assert_check(fd, MAP_SHARED, true, NULL);
    assert_check(fd, MAP_SHARED, false, NULL);
    assert_check(fd, MAP_PRIVATE, true, "a private copy");
    assert_check(fd, MAP_PRIVATE, false, "QEMU's backend needs share=on");
    assert_int_equal(bridge_ram_check(&spec, LENGTH, 0, &err), -1);
    assert_non_null(strstr(err.message, "QEMU must run before the bridge"));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(bridge_ram_check(&spec, LENGTH, 0, &err), -1);
    assert_non_null(strstr(err.message, "cannot be examined"));
    (void)close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(tells_how_a_file_is_mapped, enter, leave),
        cmocka_unit_test_setup_teardown(counts_the_pieces, enter, leave),
        cmocka_unit_test(finds_the_one_file_without_a_name),
        cmocka_unit_test_setup_teardown(refuses_what_is_no_guests_memory, enter, leave),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
