/* SPDX-License-Identifier: MIT */
#include "cmocka_all.h"

#include "ram_spec.h"

#include <multifd.h>
#include <stdio.h>
#include <string.h>

static void assert_added(struct ram_specs *specs, const char *text, const char *name,
                         const char *path, uint64_t size)
{
    struct multifd_error err = {0};

    assert_int_equal(ram_specs_add(specs, text, &err), 0);
    const struct ram_spec *spec = &specs->items[specs->count - 1];
    assert_string_equal(spec->name, name);
    assert_string_equal(spec->path, path);
    assert_int_equal(spec->size, size);
}

static void assert_refused(struct ram_specs *specs, const char *text, const char *reason)
{
    struct multifd_error err = {0};
    size_t count = specs->count;

    assert_int_equal(ram_specs_add(specs, text, &err), -1);
    assert_int_equal(err.code, MULTIFD_ERROR_INVALID);
    assert_non_null(strstr(err.message, reason));
    assert_int_equal(specs->count, count);
}

static void good_ones(void **state)
{
    struct ram_specs specs = {0};

    (void)state;
    assert_added(&specs, "pc.ram=/dev/shm/guest", "pc.ram", "/dev/shm/guest", 0);
    assert_added(&specs, "vga=file,size=16M", "vga", "file", 16 << 20);
    assert_added(&specs, "/rom@etc/acpi/tables=a=b", "/rom@etc/acpi/tables", "a=b", 0);
    assert_added(&specs, "comma=x,,y,,,size=4K", "comma", "x,y,", 4096);
    ram_specs_clear(&specs);
    assert_int_equal(specs.count, 0);
}

static void bad_ones(void **state)
{
    struct ram_specs specs = {0};

    (void)state;
    assert_refused(&specs, "", "not NAME=PATH");
    assert_refused(&specs, "name", "not NAME=PATH");
    assert_refused(&specs, "=path", "not NAME=PATH");
    assert_refused(&specs, "name=", "not NAME=PATH");
    assert_refused(&specs, "name=,size=4K", "not NAME=PATH");
    assert_refused(&specs, "name=path,", "not size=SIZE");
    assert_refused(&specs, "name=path,sise=4K", "not size=SIZE");
    assert_refused(&specs, "name=path,size=", "not a size");
    assert_refused(&specs, "name=path,size=0", "not a size");
    assert_refused(&specs, "name=path,size=4Q", "not a size");
    assert_refused(&specs, "name=path,size=4K,size=8K", "not a size");
    ram_specs_clear(&specs);
}

static void twice(void **state)
{
    struct ram_specs specs = {0};

    (void)state;
    assert_added(&specs, "a=x", "a", "x", 0);
    assert_refused(&specs, "a=y", "named twice");
    assert_refused(&specs, "b=x", "already holds");
    ram_specs_clear(&specs);
}

static void long_names(void **state)
{
    struct ram_specs specs = {0};
    char text[MULTIFD_BLOCK_NAME_MAX + 8];

    (void)state;
    memset(text, 'n', sizeof(text));
    strcpy(text + MULTIFD_BLOCK_NAME_MAX, "=x");
    struct multifd_error err = {0};
    assert_int_equal(ram_specs_add(&specs, text, &err), 0);
    strcpy(text + MULTIFD_BLOCK_NAME_MAX, "n=y");
    assert_refused(&specs, text, "at most 255 bytes");
    ram_specs_clear(&specs);
}

static void too_many(void **state)
{
    struct ram_specs specs = {0};
    struct multifd_error err = {0};
    char text[32];

    (void)state;
    for (unsigned i = 0; i < MULTIFD_BLOCKS_MAX; i++) {
        (void)snprintf(text, sizeof(text), "n%u=p%u", i, i);
        assert_int_equal(ram_specs_add(&specs, text, &err), 0);
    }
    assert_refused(&specs, "one=more", "more than 1024");
    ram_specs_clear(&specs);
}

static void blocks_that_are_known(void **state)
{
    struct multifd_error err = {0};
    struct ram_specs specs = {0};

    (void)state;
    assert_added(&specs, "a=x", "a", "x", 0);
    assert_int_equal(ram_specs_add_block(&specs, "b", "y,z", 4096, &err), 0);
    assert_string_equal(ram_specs_find(&specs, "b")->path, "y,z");
    assert_int_equal(ram_specs_find(&specs, "b")->size, 4096);
    assert_null(ram_specs_find(&specs, "c"));
    assert_int_equal(ram_specs_add_block(&specs, "a", "y", 4096, &err), -1);
    assert_non_null(strstr(err.message, "named twice"));
    assert_int_equal(ram_specs_add_block(&specs, "c", "x", 4096, &err), -1);
    assert_non_null(strstr(err.message, "already holds"));
    assert_int_equal(specs.count, 2);
    ram_specs_clear(&specs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_that_are_known),
        cmocka_unit_test(good_ones),
        cmocka_unit_test(bad_ones),
        cmocka_unit_test(twice),
        cmocka_unit_test(long_names),
        cmocka_unit_test(too_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
