/* SPDX-License-Identifier: MIT */
#include "cmocka_all.h"

#include "null_exec.h"
#include "scratch.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

static char program[PATH_MAX]; /* where this one is said to lie; empty: nobody can tell */
static char executed[PATH_MAX];
static char *first_argument;

ssize_t __wrap_readlink(const char *path, char *buffer, size_t size);
int __wrap_execv(const char *path, char *const argv[]);

ssize_t __wrap_readlink(const char *path, char *buffer, size_t size)
{
    size_t length = strlen(program);

    assert_string_equal(path, "/proc/self/exe");
    assert_true(length < size);
    memcpy(buffer, program, length); /* without a final NUL, as it is */
    errno = EACCES;
    return length == 0 ? -1 : (ssize_t)length;
}

int __wrap_execv(const char *path, char *const argv[])
{
    (void)snprintf(executed, sizeof(executed), "%s", path);
    assert_string_equal(argv[0], path);
    first_argument = argv[1];
    errno = ENOEXEC;
    return -1;
}

static int enter(void **state)
{
    (void)state;
    if (scratch_enter_below("/var/tmp") != 0 || mkdir("bin", 0777) != 0) {
        return -1;
    }
    (void)snprintf(program, sizeof(program), "%s/bin/multifd", scratch_directory);
    return 0;
}

static int leave(void **state)
{
    (void)state;
    return scratch_leave();
}

static void make_program(const char *path)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0755), 0);
}

static void assert_found(const char *wanted)
{
    struct multifd_error err;
    char path[PATH_MAX], whole[PATH_MAX];

    (void)snprintf(whole, sizeof(whole), "%s/bin/%s", scratch_directory, wanted);
    assert_int_equal(null_exec_find(path, sizeof(path), &err), 0);
    assert_string_equal(path, whole);
}

static void it_is_found_beside_and_below_the_prefix(void **state)
{
    (void)state;
    assert_int_equal(system("mkdir -p bin/" NULL_EXEC_FROM_BINDIR), 0);
    make_program("bin/" NULL_EXEC_FROM_BINDIR "/multifd-null");
    assert_found(NULL_EXEC_FROM_BINDIR "/multifd-null");
    make_program("bin/multifd-null");
    assert_found("multifd-null");
}

static void it_is_run_with_the_arguments(void **state)
{
    char name[] = "multifd", command[] = "bench";
    char *argv[] = {name, command, NULL};
    struct multifd_error err;

    (void)state;
    make_program("bin/multifd-null");
    assert_int_equal(null_exec(argv, &err), -1);
    assert_non_null(strstr(err.message, "cannot run /var/tmp/"));
    assert_non_null(strstr(executed, "/bin/multifd-null"));
    assert_ptr_equal(first_argument, command);
    assert_false(null_exec_done());
}

static void it_is_missing(void **state)
{
    struct multifd_error err;
    char path[PATH_MAX];

    (void)state;
    assert_int_equal(null_exec_find(path, sizeof(path), &err), -1);
    assert_non_null(strstr(err.message, "there is no multifd-null"));
    assert_non_null(strstr(err.message, scratch_directory));
    program[0] = '\0';
    assert_int_equal(null_exec_find(path, sizeof(path), &err), -1);
    assert_non_null(strstr(err.message, "Permission denied"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_is_found_beside_and_below_the_prefix, enter, leave),
        cmocka_unit_test_setup_teardown(it_is_run_with_the_arguments, enter, leave),
        cmocka_unit_test_setup_teardown(it_is_missing, enter, leave),
    };

    return cmocka_run_group_tests_name("null_exec", tests, NULL, NULL);
}
