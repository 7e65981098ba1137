/* SPDX-License-Identifier: MIT */
/* The RAM blocks as QEMU 7.2 tells them. */
#include "cmocka_all.h"

#include "bridge/bridge_ram.h"
#include "bridge/qemu_blocks.h"
#include "capture.h"
#include "fake_qmp.h"
#include "scratch.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define SIZE 67108864u

#define ROW(name, used) name "    4 KiB  0x0000000000000000 " used " 0x0000000004000000\\r\\n"
#define TABLE(first)                                                                               \
    "\"              Block Name    PSize              Offset               Used              "     \
    "Total\\r\\n" ROW("    " first, "0x0000000004000000")                                          \
        ROW("  /rom@etc/acpi/tables", "0x0000000000020000")                                        \
            ROW("pc.bios", "0x0000000000040000") "\""
#define BACKEND(id, share)                                                                         \
    "{\"share\": " share ", \"size\": 67108864, \"policy\": \"default\", \"id\": \"" id "\"}"

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

static void find(struct qemu_blocks *blocks, const struct fake_answer *answers)
{
    struct multifd_error err = {0};
    struct fake_qmp *fake = fake_qmp_start("qmp", FAKE_QMP_GREETING, answers);
    struct qmp *qmp = qmp_connect("qmp", QMP_TIMEOUT_MS, &err);

    *blocks = (struct qemu_blocks){0};
    if (qemu_blocks_find(blocks, qmp, &err) != 0) {
        fail_msg("%s", err.message);
    }
    qmp_delete(&qmp);
    fake_qmp_stop(&fake);
    assert_int_equal(unlink("qmp"), 0);
}

static void make_file(const char *path, off_t length)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(truncate(path, length), 0);
}

static void finds_a_named_file(void **state)
{
    char path[128];
    char quoted[132];
    struct qemu_blocks blocks;

    (void)state;
    (void)snprintf(path, sizeof(path), "%s/ram", scratch_directory);
    (void)snprintf(quoted, sizeof(quoted), "\"%s\"", path);
    make_file(path, SIZE);
    const struct fake_answer answers[] = {{"human-monitor-command", TABLE("ram")},
                                          {"query-memdev", "[" BACKEND("ram", "true") "]"},
                                          {"qom-get", "\"memory-backend-file\""},
                                          {"qom-get", quoted},
                                          {NULL, NULL}};
    find(&blocks, answers);
    assert_int_equal(blocks.count, 3);
    assert_string_equal(blocks.items[0].name, "ram");
    assert_int_equal(blocks.items[0].length, SIZE);
    assert_true(blocks.items[0].backend && blocks.items[0].shared);
    assert_string_equal(blocks.items[0].path, path);
    assert_string_equal(blocks.items[1].name, "/rom@etc/acpi/tables");
    assert_int_equal(blocks.items[1].length, 0x20000);
    assert_false(blocks.items[1].backend);
    assert_null(blocks.items[2].path);
    qemu_blocks_clear(&blocks);
    assert_int_equal(blocks.count, 0);
}

/* Machine types up to 3.1, and libvirt's for them, name the block by the backend's whole path. */
static void knows_blocks_with_a_path_for_a_name(void **state)
{
    static const struct fake_answer answers[] = {
        {"human-monitor-command", TABLE("/objects/pc.ram")},
        {"query-memdev", "[" BACKEND("pc.ram", "false") "]"},
        {"qom-get", "\"memory-backend-file\""},
        {NULL, NULL}};
    struct qemu_blocks blocks;

    (void)state;
    find(&blocks, answers);
    const struct qemu_block *block = qemu_blocks_get(&blocks, "/objects/pc.ram");
    assert_non_null(block);
    assert_true(block->backend);
    assert_null(block->path);
    assert_string_equal(block->why,
                        "its backend is not shared (memory-backend-file without share=on)");
    assert_null(qemu_blocks_get(&blocks, "pc.ram"));
    qemu_blocks_clear(&blocks);
}

static const struct fake_answer memfd[] = {{"human-monitor-command", TABLE("mem")},
                                           {"query-memdev", "[" BACKEND("mem", "true") "]"},
                                           {"qom-get", "\"memory-backend-memfd\""},
                                           {"qom-get", "!Property not found"},
                                           {NULL, NULL}};

static void finds_a_memfd_in_the_process(void **state)
{
    struct qemu_blocks blocks;
    int fd = memfd_create("memory-backend-memfd", MFD_CLOEXEC);

    (void)state;
    assert_int_equal(ftruncate(fd, SIZE), 0);
    find(&blocks, memfd);
    assert_null(blocks.items[0].path);
    assert_non_null(strstr(blocks.items[0].why, "is not found in QEMU's process"));
    qemu_blocks_clear(&blocks);
    void *host = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    find(&blocks, memfd);
    assert_non_null(blocks.items[0].path);
    assert_non_null(strstr(blocks.items[0].path, "/fd/"));
    qemu_blocks_clear(&blocks);
    assert_int_equal(munmap(host, SIZE), 0);
    (void)close(fd);
}

static void memfds_of_one_size_are_not_told_apart(void **state)
{
    static const struct fake_answer answers[] = {
        {"human-monitor-command", TABLE("mem")},
        {"query-memdev", "[" BACKEND("mem", "true") ", " BACKEND("more", "true") "]"},
        {"qom-get", "\"memory-backend-memfd\""},
        {"qom-get", "!Property not found"},
        {NULL, NULL}};
    struct qemu_blocks blocks;

    (void)state;
    find(&blocks, answers);
    assert_null(blocks.items[0].path);
    assert_non_null(strstr(blocks.items[0].why, "another backend has the same size"));
    qemu_blocks_clear(&blocks);
}

static void assert_refused(const struct fake_answer *answers, const char *text)
{
    struct multifd_error err = {0};
    struct qemu_blocks blocks = {0};
    struct fake_qmp *fake = fake_qmp_start("qmp", FAKE_QMP_GREETING, answers);
    struct qmp *qmp = qmp_connect("qmp", QMP_TIMEOUT_MS, &err);

    assert_int_equal(qemu_blocks_find(&blocks, qmp, &err), -1);
    if (strstr(err.message, text) == NULL) {
        fail_msg("%s", err.message);
    }
    qemu_blocks_clear(&blocks);
    qmp_delete(&qmp);
    fake_qmp_stop(&fake);
    assert_int_equal(unlink("qmp"), 0);
}

static void refuses_what_it_cannot_read(void **state)
{
    static const struct fake_answer refused[] = {{"human-monitor-command", "!no"}, {NULL, NULL}};
    static const struct fake_answer empty[] = {{"human-monitor-command", "\"Block Name\\r\\n\""},
                                               {NULL, NULL}};
    static const struct fake_answer memdev[] = {
        {"human-monitor-command", TABLE("ram")}, {"query-memdev", "!no"}, {NULL, NULL}};

    (void)state;
    assert_refused(refused, "human-monitor-command: no");
    assert_refused(empty, "cannot be read");
    assert_refused(memdev, "query-memdev: no");
}

/* ---- Compared with --ram ------------------------------------------------------------------- */

static int match(const char *named, const struct fake_answer *answers, struct ram_specs *specs,
                 struct multifd_error *err)
{
    struct fake_qmp *fake = fake_qmp_start("qmp", FAKE_QMP_GREETING, answers);
    struct qmp *qmp = qmp_connect("qmp", QMP_TIMEOUT_MS, err);

    *specs = (struct ram_specs){0};
    assert_int_equal(named != NULL ? ram_specs_add(specs, named, err) : 0, 0);
    int rc = bridge_ram_find(specs, qmp, "bridge source", err);
    qmp_delete(&qmp);
    fake_qmp_stop(&fake);
    assert_int_equal(unlink("qmp"), 0);
    return rc;
}

static void assert_named(const char *named, const struct fake_answer *answers, const char *text)
{
    struct multifd_error err = {0};
    struct ram_specs specs;
    struct capture capture;

    capture_start(&capture, stderr);
    int rc = match(named, answers, &specs, &err);
    capture_stop(&capture);
    assert_int_equal(rc, text == NULL ? 0 : -1);
    if (text != NULL && strstr(err.message, text) == NULL) {
        fail_msg("%s: %s", named, err.message);
    }
    if (rc == 0) {
        assert_int_equal(specs.items[0].size, SIZE);
    }
    ram_specs_clear(&specs);
}

static void named_blocks_are_compared(void **state)
{
    static const struct fake_answer private[] = {{"human-monitor-command", TABLE("mem")},
                                                 {"query-memdev", "[" BACKEND("mem", "false") "]"},
                                                 {"qom-get", "\"memory-backend-file\""},
                                                 {NULL, NULL}};

    (void)state;
    assert_named("mem=file", memfd, NULL);
    assert_named("mem=file,size=64M", memfd, NULL);
    assert_named("mem=file,size=32M", memfd, "QEMU's RAM block has 67108864 bytes");
    assert_named("ram=file", memfd,
                 "--ram ram: QEMU has no RAM block of this name; it has mem, /rom@etc/acpi/tables, "
                 "pc.bios");
    assert_named("pc.bios=file", memfd, "no shared memory");
    assert_named("mem=file", private, "with share=on");
}

static void says_what_is_carried(void **state)
{
    struct multifd_error err = {0};
    struct ram_specs specs;
    struct capture capture;

    (void)state;
    capture_start(&capture, stderr);
    int rc = match(NULL, memfd, &specs, &err);
    capture_stop(&capture);
    assert_int_equal(rc, 0);
    assert_int_equal(specs.count, 0);
    assert_non_null(strstr(capture.text, "multifd bridge source: RAM block mem is carried through "
                                         "QEMU's sockets: its file has no name"));
    ram_specs_clear(&specs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(finds_a_named_file, enter, leave),
        cmocka_unit_test_setup_teardown(knows_blocks_with_a_path_for_a_name, enter, leave),
        cmocka_unit_test_setup_teardown(finds_a_memfd_in_the_process, enter, leave),
        cmocka_unit_test_setup_teardown(memfds_of_one_size_are_not_told_apart, enter, leave),
        cmocka_unit_test_setup_teardown(refuses_what_it_cannot_read, enter, leave),
        cmocka_unit_test_setup_teardown(named_blocks_are_compared, enter, leave),
        cmocka_unit_test_setup_teardown(says_what_is_carried, enter, leave),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
