/* SPDX-License-Identifier: MIT */
#include "core/ram_block.h"
#include "mock.h"

#include <errno.h>
#include <stdio.h>

#define PAGE 4096u

static struct ram_table table;

static int make(void **state)
{
    table = (struct ram_table){NULL, 0};
    return mock_setup(state);
}

static int release(void **state)
{
    ram_table_clear(&table);
    return mock_teardown(state);
}

static struct multifd_ram_block *add(const char *name, uint64_t length)
{
    struct multifd_error err = ERROR_UNTOUCHED;
    struct multifd_ram_block *block = ram_table_add(&table, name, &table, length, PAGE, &err);

    assert_non_null(block);
    assert_untouched(&err);
    return block;
}

static void assert_not_added(const char *name, uint64_t length, enum multifd_error_code code,
                             const char *part)
{
    struct multifd_error err = ERROR_UNTOUCHED;
    uint32_t num = table.num;

    assert_null(ram_table_add(&table, name, &table, length, PAGE, &err));
    assert_error(&err, code, part);
    assert_int_equal(table.num, num);
}

static void blocks_are_added_in_order(void **state)
{
    struct multifd_ram_block *ram = add("pc.ram", 3 * PAGE);
    struct multifd_ram_block *vga = add("vga.vram", PAGE);

    (void)state;
    assert_int_equal(table.num, 2);
    assert_ptr_equal(table.blocks[0], ram);
    assert_ptr_equal(table.blocks[1], vga);
    assert_int_equal(vga->index, 1);
    assert_string_equal(ram->name, "pc.ram");
    assert_ptr_equal(ram->host, &table);
    assert_int_equal(ram->length, 3 * PAGE);
    assert_int_equal(ram_table_bytes(&table), 4 * PAGE);
}

static void a_block_stays_where_it_is(void **state)
{
    struct multifd_ram_block *first = add("first", PAGE);
    char name[16];

    (void)state;
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof(name), "block%d", i);
        add(name, PAGE);
    }
    assert_ptr_equal(table.blocks[0], first);
    assert_string_equal(first->name, "first");
}

static void find_takes_the_whole_name(void **state)
{
    struct multifd_ram_block *ram = add("pc.ram", PAGE);

    (void)state;
    assert_ptr_equal(ram_table_find(&table, "pc.ram"), ram);
    assert_null(ram_table_find(&table, "pc.ra"));
    assert_null(ram_table_find(&table, "pc.ram0"));
    assert_null(ram_table_find(&table, ""));
}

static void names_have_1_to_255_bytes(void **state)
{
    char name[257];

    (void)state;
    memset(name, 'n', sizeof(name));
    name[256] = '\0';
    assert_not_added(name, PAGE, MULTIFD_ERROR_INVALID, "255");
    name[255] = '\0';
    assert_string_equal(add(name, PAGE)->name, name);
    assert_not_added("", PAGE, MULTIFD_ERROR_INVALID, "name");
}

static void lengths_are_whole_pages(void **state)
{
    (void)state;
    assert_not_added("a", 0, MULTIFD_ERROR_INVALID, "page size 4096");
    assert_not_added("a", PAGE - 1, MULTIFD_ERROR_INVALID, "4095");
    assert_not_added("a", PAGE + 512, MULTIFD_ERROR_INVALID, "page size");
    add("a", PAGE);
}

static void a_name_exists_once(void **state)
{
    (void)state;
    add("pc.ram", PAGE);
    assert_not_added("pc.ram", 2 * PAGE, MULTIFD_ERROR_INVALID, "exists");
}

static void there_are_at_most_1024_blocks(void **state)
{
    char name[16];

    (void)state;
    for (unsigned i = 0; i < MULTIFD_BLOCKS_MAX; i++) {
        snprintf(name, sizeof(name), "block%u", i);
        add(name, PAGE);
    }
    assert_not_added("one more", PAGE, MULTIFD_ERROR_LIMIT, "1024");
}

static void clear_empties_the_table(void **state)
{
    struct multifd_error err;

    (void)state;
    assert_int_equal(ram_block_split(add("pc.ram", 4 * PAGE), 12, &err), 0);
    add("vga.vram", PAGE);
    ram_table_clear(&table);
    assert_int_equal(table.num, 0);
    assert_null(ram_table_find(&table, "pc.ram"));
    assert_int_equal(ram_table_bytes(&table), 0);
    add("pc.ram", PAGE);
}

static void no_memory_for_a_block(void **state)
{
    (void)state;
    add("first", PAGE);
    for (unsigned nth = 1; nth <= 2; nth++) {
        mock_fail_nth("malloc", nth, ENOMEM);
        assert_not_added("pc.ram", PAGE, MULTIFD_ERROR_SYSTEM, "memory");
        mock_succeed("malloc");
    }
    assert_non_null(ram_table_find(&table, "first"));
    add("pc.ram", PAGE);
}

static void split_into_pieces(void **state)
{
    struct multifd_ram_block *block = add("pc.ram", 10 * PAGE);
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    assert_int_equal(ram_block_split(block, 14, &err), 0);
    assert_untouched(&err);
    assert_int_equal(block->pieces_num, 3);
    assert_int_equal(ram_block_piece_length(block, 0), 4 * PAGE);
    assert_int_equal(ram_block_piece_length(block, 1), 4 * PAGE);
    assert_int_equal(ram_block_piece_length(block, 2), 2 * PAGE);
    for (uint32_t i = 0; i < 3; i++) {
        assert_null(block->pieces[i].memory.handle);
    }
}

static void split_without_a_rest(void **state)
{
    struct multifd_ram_block *block = add("pc.ram", 8 * PAGE);
    struct multifd_error err;

    (void)state;
    assert_int_equal(ram_block_split(block, 14, &err), 0);
    assert_int_equal(block->pieces_num, 2);
    assert_int_equal(ram_block_piece_length(block, 1), 4 * PAGE);
}

static void a_piece_larger_than_the_block(void **state)
{
    struct multifd_ram_block *block = add("pc.ram", 3 * PAGE);
    struct multifd_error err;

    (void)state;
    assert_int_equal(ram_block_split(block, 30, &err), 0);
    assert_int_equal(block->pieces_num, 1);
    assert_int_equal(ram_block_piece_length(block, 0), 3 * PAGE);
}

static void too_many_pieces(void **state)
{
    struct multifd_ram_block *block = add("pc.ram", UINT64_C(1) << 45);
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    assert_int_equal(ram_block_split(block, 12, &err), -1);
    assert_error(&err, MULTIFD_ERROR_LIMIT, "pc.ram");
    assert_int_equal(block->pieces_num, 0);
}

static void too_many_pieces_of_a_length_near_the_top(void **state)
{
    struct multifd_ram_block *block = add("pc.ram", UINT64_MAX - PAGE + 1);
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    assert_int_equal(ram_block_split(block, 30, &err), -1);
    assert_error(&err, MULTIFD_ERROR_LIMIT, "pc.ram");
}

static void no_memory_for_pieces(void **state)
{
    struct multifd_ram_block *block = add("pc.ram", 8 * PAGE);
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    mock_fail("malloc", ENOMEM);
    assert_int_equal(ram_block_split(block, 12, &err), -1);
    mock_succeed("malloc");
    assert_error(&err, MULTIFD_ERROR_SYSTEM, "memory");
    assert_int_equal(block->pieces_num, 0);
}

/* 10 pages in pieces of 4; each piece has keys and an address of its own. */
static struct multifd_ram_block *registered(void)
{
    struct multifd_ram_block *block = add("pc.ram", 10 * PAGE);
    struct multifd_error err;

    assert_int_equal(ram_block_split(block, 14, &err), 0);
    for (uint32_t i = 0; i < 3; i++) {
        block->pieces[i].memory.local_key = 10 + i;
        block->pieces[i].remote_key = 20 + i;
        block->pieces[i].remote_address = (i + 1) * UINT64_C(0x1000000000);
    }
    return block;
}

static void assert_write(const struct transport_write *write, uint64_t offset, uint32_t length)
{
    uint64_t piece = offset / (4 * PAGE);

    assert_int_equal(write->local_address, (uintptr_t)&table + offset);
    assert_int_equal(write->length, length);
    assert_int_equal(write->local_key, 10 + piece);
    assert_int_equal(write->remote_key, 20 + piece);
    assert_int_equal(write->remote_address,
                     (piece + 1) * UINT64_C(0x1000000000) + offset % (4 * PAGE));
}

static void one_write_within_a_piece(void **state)
{
    struct multifd_ram_block *block = registered();
    struct transport_write writes[2] = {0};

    (void)state;
    assert_int_equal(ram_block_writes(block, 5 * PAGE, 2 * PAGE, UINT32_MAX, writes), 1);
    assert_write(&writes[0], 5 * PAGE, 2 * PAGE);
    assert_int_equal(ram_block_writes(block, 4 * PAGE, 4 * PAGE, UINT32_MAX, writes), 1);
    assert_write(&writes[0], 4 * PAGE, 4 * PAGE);
}

static void writes_split_where_a_piece_ends(void **state)
{
    struct multifd_ram_block *block = registered();
    struct transport_write writes[10] = {0};

    (void)state;
    assert_int_equal(ram_block_writes(block, 3 * PAGE, 7 * PAGE, UINT32_MAX, writes), 3);
    assert_write(&writes[0], 3 * PAGE, PAGE);
    assert_write(&writes[1], 4 * PAGE, 4 * PAGE);
    assert_write(&writes[2], 8 * PAGE, 2 * PAGE);
}

static void writes_split_at_the_longest_message(void **state)
{
    struct multifd_ram_block *block = registered();
    struct transport_write writes[10] = {0};

    (void)state;
    assert_int_equal(ram_block_writes(block, 3 * PAGE, 4 * PAGE, 2 * PAGE, writes), 3);
    assert_write(&writes[0], 3 * PAGE, PAGE);
    assert_write(&writes[1], 4 * PAGE, 2 * PAGE);
    assert_write(&writes[2], 6 * PAGE, PAGE);
}

static void no_bytes_no_writes(void **state)
{
    struct transport_write write;

    (void)state;
    assert_int_equal(ram_block_writes(registered(), PAGE, 0, UINT32_MAX, &write), 0);
}

#define with_table(function) cmocka_unit_test_setup_teardown(function, make, release)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_table(blocks_are_added_in_order),
        with_table(a_block_stays_where_it_is),
        with_table(find_takes_the_whole_name),
        with_table(names_have_1_to_255_bytes),
        with_table(lengths_are_whole_pages),
        with_table(a_name_exists_once),
        with_table(there_are_at_most_1024_blocks),
        with_table(clear_empties_the_table),
        with_table(no_memory_for_a_block),
        with_table(split_into_pieces),
        with_table(split_without_a_rest),
        with_table(a_piece_larger_than_the_block),
        with_table(too_many_pieces),
        with_table(too_many_pieces_of_a_length_near_the_top),
        with_table(no_memory_for_pieces),
        with_table(one_write_within_a_piece),
        with_table(writes_split_where_a_piece_ends),
        with_table(writes_split_at_the_longest_message),
        with_table(no_bytes_no_writes),
    };

    return cmocka_run_group_tests_name("core/ram_block", tests, NULL, NULL);
}
