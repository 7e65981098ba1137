/* SPDX-License-Identifier: MIT */
#include "cmocka_all.h"

#include "ram_file.h"
#include "ram_files.h"
#include "scratch.h"

#include <string.h>
#include <sys/stat.h>

#define PAGE 4096u

static char name[] = "ram";
static char path[] = "file";
static struct ram_spec spec = {name, path, 0};

static int enter_disk(void **state)
{
    (void)state;
    return scratch_enter_below("/var/tmp");
}

static int enter_memory(void **state)
{
    (void)state;
    return scratch_enter_below("/dev/shm");
}

static int leave(void **state)
{
    (void)state;
    return scratch_leave();
}

static void write_file(const char *where, char fill, size_t length)
{
    FILE *file = fopen(where, "w");

    assert_non_null(file);
    for (size_t i = 0; i < length; i++) {
        assert_int_equal(fputc(fill, file), fill);
    }
    assert_int_equal(fclose(file), 0);
}

static void assert_content(const char *where, char fill, size_t length)
{
    FILE *file = fopen(where, "r");

    assert_non_null(file);
    for (size_t i = 0; i < length; i++) {
        assert_int_equal(fgetc(file), fill);
    }
    assert_int_equal(fgetc(file), EOF);
    assert_int_equal(fclose(file), 0);
}

static bool exists(const char *where)
{
    return access(where, F_OK) == 0;
}

static void source_maps_what_is_there(void **state)
{
    struct multifd_error err = {0};

    (void)state;
    write_file(path, 's', 2 * PAGE);
    struct ram_file *file = ram_file_open_source(&spec, PAGE, &err);
    assert_non_null(file);
    assert_int_equal(ram_file_length(file), 2 * PAGE);
    assert_int_equal(((char *)ram_file_host(file))[2 * PAGE - 1], 's');
    ram_file_delete(&file);
    assert_null(file);
    assert_content(path, 's', 2 * PAGE);
}

static void assert_source_refused(uint64_t size, const char *reason)
{
    struct multifd_error err = {0};
    struct ram_spec sized = {name, path, size};

    assert_null(ram_file_open_source(&sized, PAGE, &err));
    assert_non_null(strstr(err.message, reason));
}

static void source_refuses(void **state)
{
    (void)state;
    assert_source_refused(0, "No such file");
    write_file(path, 's', 0);
    assert_source_refused(0, "empty");
    write_file(path, 's', PAGE + 1);
    assert_source_refused(0, "4097 bytes are not a multiple of the page size of 4096");
    write_file(path, 's', PAGE);
    assert_source_refused(2 * PAGE, "the file has 4096 bytes, the RAM block has 8192");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_source_refused(0, "not a regular file");
}

static void destination_creates_and_commits(void **state)
{
    struct multifd_error err = {0};

    (void)state;
    struct ram_file *file = ram_file_open_destination(&spec, 2 * PAGE, PAGE, &err);
    assert_non_null(file);
    memset(ram_file_host(file), 'd', 2 * PAGE);
    assert_int_equal(ram_file_commit(file, &err), 0);
    ram_file_delete(&file);
    assert_content(path, 'd', 2 * PAGE);
}

static void destination_removes_what_it_created(void **state)
{
    struct multifd_error err = {0};

    (void)state;
    struct ram_file *file = ram_file_open_destination(&spec, PAGE, PAGE, &err);
    assert_non_null(file);
    assert_true(exists(path));
    ram_file_delete(&file);
    assert_false(exists(path));
}

static void destination_keeps_what_was_there(void **state)
{
    struct multifd_error err = {0};

    (void)state;
    write_file(path, 'o', PAGE);
    struct ram_file *file = ram_file_open_destination(&spec, 0, PAGE, &err);
    assert_non_null(file);
    memset(ram_file_host(file), 'n', PAGE);
    ram_file_delete(&file);
    assert_true(exists(path));
    file = ram_file_open_destination(&spec, PAGE, PAGE, &err);
    assert_non_null(file);
    memset(ram_file_host(file), 'n', PAGE);
    assert_int_equal(ram_file_commit(file, &err), 0);
    ram_file_delete(&file);
    assert_content(path, 'n', PAGE);
}

static void disk_keeps_its_content_until_commit(void **state)
{
    struct multifd_error err = {0};

    (void)state;
    write_file(path, 'o', PAGE);
    struct ram_file *file = ram_file_open_destination(&spec, PAGE, PAGE, &err);
    assert_non_null(file);
    memset(ram_file_host(file), 'n', PAGE);
    assert_content(path, 'o', PAGE);
    ram_file_delete(&file);
    assert_content(path, 'o', PAGE);
}

static void memory_is_shared(void **state)
{
    struct multifd_error err = {0};

    (void)state;
    struct ram_file *file = ram_file_open_destination(&spec, PAGE, PAGE, &err);
    assert_non_null(file);
    memset(ram_file_host(file), 'n', PAGE);
    assert_content(path, 'n', PAGE);
    ram_file_delete(&file);
}

static void assert_destination_refused(uint64_t length, const char *reason)
{
    struct multifd_error err = {0};

    assert_null(ram_file_open_destination(&spec, length, PAGE, &err));
    assert_non_null(strstr(err.message, reason));
}

static void destination_refuses(void **state)
{
    (void)state;
    assert_destination_refused(0, "No such file");
    assert_destination_refused(UINT64_C(1) << 50, "file system has room for");
    assert_false(exists(path));
    assert_destination_refused(PAGE + 1, "not a multiple of the page size");
    assert_false(exists(path));
    write_file(path, 'o', PAGE);
    assert_destination_refused(2 * PAGE, "the file has 4096 bytes, the RAM block has 8192");
    assert_content(path, 'o', PAGE);
}

static void files_wait_for_the_offer(void **state)
{
    struct ram_specs specs = {0};
    struct multifd_error err = {0};

    (void)state;
    assert_int_equal(ram_specs_add(&specs, "now=n,size=8K", &err), 0);
    assert_int_equal(ram_specs_add(&specs, "later=l", &err), 0);
    struct ram_files *files = ram_files_new(&specs, PAGE);
    assert_non_null(files);
    assert_int_equal(ram_files_open_destination(files, &err), 0);
    assert_true(exists("n"));
    assert_false(exists("l"));
    assert_string_equal(ram_files_missing(files), "later");
    assert_null(ram_files_offer(files, "other", PAGE, &err));
    assert_non_null(strstr(err.message, "RAM block other"));
    assert_non_null(ram_files_offer(files, "later", PAGE, &err));
    assert_null(ram_files_missing(files));
    assert_int_equal(ram_files_total(files), 3 * PAGE);
    assert_int_equal(ram_files_commit(files, &err), 0);
    ram_files_delete(&files);
    ram_specs_clear(&specs);
    assert_content("l", 0, PAGE);
}

static void one_bad_file_leaves_none(void **state)
{
    struct ram_specs specs = {0};
    struct multifd_error err = {0};

    (void)state;
    assert_int_equal(ram_specs_add(&specs, "a=a,size=8K", &err), 0);
    assert_int_equal(ram_specs_add(&specs, "b=none/b,size=8K", &err), 0);
    struct ram_files *files = ram_files_new(&specs, PAGE);
    assert_non_null(files);
    assert_int_equal(ram_files_open_destination(files, &err), -1);
    ram_files_delete(&files);
    ram_specs_clear(&specs);
    assert_false(exists("a"));
}

static void only_files_that_are_new(void **state)
{
    static char later[] = "later";
    struct ram_spec items[] = {{name, path, 0}, {later, later, 0}};
    const struct ram_specs specs = {items, 2};
    struct multifd_error err = {0};

    (void)state;
    write_file(later, 'x', PAGE);
    struct ram_files *files = ram_files_new(&specs, PAGE);
    assert_false(ram_files_are_new(files));
    assert_int_equal(unlink(later), 0);
    assert_true(ram_files_are_new(files));
    assert_int_equal(ram_files_open_destination(files, &err), 0);
    write_file(path, 'x', PAGE); /* somebody was faster */
    assert_null(ram_files_offer(files, name, PAGE, &err));
    assert_non_null(strstr(err.message, "File exists"));
    assert_non_null(ram_files_offer(files, later, PAGE, &err));
    ram_files_delete(&files);
    assert_content(path, 'x', PAGE); /* and keeps his */
    assert_false(exists(later));
}

static uint64_t bytes_of(const char *where)
{
    struct stat status;

    assert_int_equal(stat(where, &status), 0);
    return (uint64_t)status.st_blocks * 512;
}

static void write_byte(const char *where, long offset, char byte)
{
    FILE *file = fopen(where, "r+");

    assert_non_null(file);
    assert_int_equal(fseek(file, offset, SEEK_SET), 0);
    assert_int_equal(fputc(byte, file), byte);
    assert_int_equal(fclose(file), 0);
}

static void assert_next_data(const struct ram_file *file, uint64_t from, uint64_t begin,
                             uint64_t end)
{
    struct ram_extent data = ram_file_next_data(file, from, PAGE);

    assert_int_equal(data.begin, begin);
    assert_int_equal(data.end, end);
}

/* Pages that are larger than those of the system; small holes at the edges are data. */
static void data_is_whole_pages(void **state)
{
    const uint64_t page = 64 << 10;
    const uint64_t at = (3 << 20) + PAGE;
    const uint64_t length = 4 << 20;
    struct multifd_error err = {0};

    (void)state;
    write_file(path, 'g', 0);
    assert_int_equal(truncate(path, (off_t)length), 0);
    write_byte(path, (long)at, 'x');
    struct ram_file *file = ram_file_open_source(&spec, page, &err);
    assert_non_null(file);
    struct ram_extent data = ram_file_next_data(file, 0, page);
    assert_int_equal(data.begin, 3 << 20);
    assert_int_equal(data.end, length);
    data = ram_file_next_data(file, 5 * page, page);
    assert_int_equal(data.begin, 3 << 20);
    ram_file_delete(&file);
}

/* A hole on a disk is no knowledge: what is not yet written out may count as one. */
static void files_on_a_disk_are_all_data(void **state)
{
    struct multifd_error err = {0};

    (void)state;
    write_file(path, 'g', 0);
    assert_int_equal(truncate(path, 8 << 20), 0);
    struct ram_file *file = ram_file_open_source(&spec, PAGE, &err);
    assert_non_null(file);
    assert_next_data(file, 0, 0, 8 << 20);
    ram_file_delete(&file);
}

/* Data, a large hole, data, a hole too small, data, a hole to the end. */
static void holes_of_a_source_stay_holes(void **state)
{
    const uint64_t data[] = {0, 5 << 20, (5 << 20) + 64 * PAGE};
    const uint64_t length = 9 << 20;
    struct multifd_error err = {0};

    (void)state;
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    for (size_t i = 0; i < sizeof(data) / sizeof(data[0]); i++) {
        assert_int_equal(fseek(out, (long)data[i], SEEK_SET), 0);
        assert_int_equal(fputc((int)i + 1, out), (int)i + 1);
    }
    assert_int_equal(fclose(out), 0);
    assert_int_equal(truncate(path, (off_t)length), 0);
    struct ram_file *file = ram_file_open_source(&spec, PAGE, &err);
    assert_non_null(file);
    const char *host = ram_file_host(file);
    for (uint64_t at = 0; at < length; at++) {
        bool is_data = at == data[0] || at == data[1] || at == data[2];
        assert_int_equal(host[at] != 0, is_data);
    }
    assert_next_data(file, 0, 0, PAGE);
    assert_next_data(file, PAGE, data[1], data[2] + PAGE);
    assert_next_data(file, data[2] + PAGE, length, length);
    assert_next_data(file, length, length, length);
    ram_file_delete(&file);
    assert_in_range(bytes_of(path), 3 * PAGE, 65 * PAGE + (1 << 20));
}

/* What a guest writes is seen at once, also in what was a hole, and what arrives is in its RAM. */
static void live_files_are_the_guests_memory(void **state)
{
    struct multifd_error err = {0};

    (void)state;
    write_file(path, 'g', 0);
    assert_int_equal(truncate(path, 4 << 20), 0);
    struct ram_file *source = ram_file_open_live(&spec, false, PAGE, &err);
    struct ram_file *destination = ram_file_open_live(&spec, true, PAGE, &err);
    assert_non_null(source);
    assert_non_null(destination);
    const volatile char *seen = ram_file_host(source);
    assert_int_equal(seen[2 << 20], 0);
    write_byte(path, 2 << 20, 'x');
    assert_int_equal(seen[2 << 20], 'x');
    ((volatile char *)ram_file_host(destination))[5] = 'y';
    assert_int_equal(seen[5], 'y');
    ram_file_delete(&source);
    ram_file_delete(&destination);
    assert_true(exists(path));
}

static void assert_live_refused(uint64_t size, bool writable, const char *reason)
{
    const struct ram_spec wanted = {name, path, size};
    struct multifd_error err = {0};

    assert_null(ram_file_open_live(&wanted, writable, PAGE, &err));
    assert_non_null(strstr(err.message, reason));
}

static void live_files_must_fit(void **state)
{
    (void)state;
    assert_live_refused(0, true, "cannot be opened: No such file");
    write_file(path, 'g', 2 * PAGE);
    assert_live_refused(4 * PAGE, false, "8192 bytes, the RAM block has 16384");
    assert_live_refused(PAGE, false, "8192 bytes, the RAM block has 4096");
    assert_live_refused(0, true, "lies on a disk");
    assert_content(path, 'g', 2 * PAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(source_maps_what_is_there, enter_disk, leave),
        cmocka_unit_test_setup_teardown(source_maps_what_is_there, enter_memory, leave),
        cmocka_unit_test_setup_teardown(source_refuses, enter_disk, leave),
        cmocka_unit_test_setup_teardown(destination_creates_and_commits, enter_disk, leave),
        cmocka_unit_test_setup_teardown(destination_creates_and_commits, enter_memory, leave),
        cmocka_unit_test_setup_teardown(destination_removes_what_it_created, enter_disk, leave),
        cmocka_unit_test_setup_teardown(destination_removes_what_it_created, enter_memory, leave),
        cmocka_unit_test_setup_teardown(destination_keeps_what_was_there, enter_disk, leave),
        cmocka_unit_test_setup_teardown(destination_keeps_what_was_there, enter_memory, leave),
        cmocka_unit_test_setup_teardown(disk_keeps_its_content_until_commit, enter_disk, leave),
        cmocka_unit_test_setup_teardown(memory_is_shared, enter_memory, leave),
        cmocka_unit_test_setup_teardown(destination_refuses, enter_disk, leave),
        cmocka_unit_test_setup_teardown(destination_refuses, enter_memory, leave),
        cmocka_unit_test_setup_teardown(files_wait_for_the_offer, enter_disk, leave),
        cmocka_unit_test_setup_teardown(one_bad_file_leaves_none, enter_disk, leave),
        cmocka_unit_test_setup_teardown(only_files_that_are_new, enter_disk, leave),
        cmocka_unit_test_setup_teardown(only_files_that_are_new, enter_memory, leave),
        cmocka_unit_test_setup_teardown(holes_of_a_source_stay_holes, enter_memory, leave),
        cmocka_unit_test_setup_teardown(data_is_whole_pages, enter_memory, leave),
        cmocka_unit_test_setup_teardown(files_on_a_disk_are_all_data, enter_disk, leave),
        cmocka_unit_test_setup_teardown(live_files_are_the_guests_memory, enter_memory, leave),
        cmocka_unit_test_setup_teardown(live_files_must_fit, enter_disk, leave),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
