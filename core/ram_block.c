/* SPDX-License-Identifier: MIT */
#include "core/ram_block.h"

#include "core/base/error.h"

#include <stdlib.h>
#include <string.h>

static int check_block(const struct ram_table *table, const char *name, uint64_t length,
                       uint32_t page_size, struct multifd_error *err)
{
    size_t name_length = strlen(name);

    if (name_length == 0 || name_length > MULTIFD_BLOCK_NAME_MAX) {
        return error_set(err, MULTIFD_ERROR_INVALID,
                         "a RAM block's name has 1 to %u bytes, not %zu", MULTIFD_BLOCK_NAME_MAX,
                         name_length);
    }
    if (length == 0 || length % page_size != 0) {
        return error_set(err, MULTIFD_ERROR_INVALID,
                         "RAM block \"%s\": %llu bytes is not a multiple of the page size %u", name,
                         (unsigned long long)length, page_size);
    }
    if (ram_table_find(table, name) != NULL) {
        return error_set(err, MULTIFD_ERROR_INVALID, "RAM block \"%s\" exists already", name);
    }
    if (table->num == MULTIFD_BLOCKS_MAX) {
        return error_set(err, MULTIFD_ERROR_LIMIT, "more than %u RAM blocks", MULTIFD_BLOCKS_MAX);
    }
    return 0;
}

struct multifd_ram_block *ram_table_add(struct ram_table *table, const char *name, void *host,
                                        uint64_t length, uint32_t page_size,
                                        struct multifd_error *err)
{
    struct multifd_ram_block **grown;
    struct multifd_ram_block *block;

    if (check_block(table, name, length, page_size, err) != 0) {
        return NULL;
    }
    grown = realloc(table->blocks, (table->num + 1) * sizeof(*grown));
    if (grown == NULL) {
        error_set_nomem(err);
        return NULL;
    }
    table->blocks = grown;
    block = calloc(1, sizeof(*block));
    if (block == NULL) {
        error_set_nomem(err);
        return NULL;
    }
    strcpy(block->name, name);
    block->host = host;
    block->length = length;
    block->index = table->num;
    table->blocks[table->num++] = block;
    return block;
}

void ram_table_cut(struct ram_table *table, uint32_t num)
{
    while (table->num > num) {
        struct multifd_ram_block *last = table->blocks[--table->num];

        page_bitmap_delete(&last->received);
        free(last->pieces);
        free(last);
    }
}

void ram_table_clear(struct ram_table *table)
{
    ram_table_cut(table, 0);
    free(table->blocks);
    table->blocks = NULL;
}

struct multifd_ram_block *ram_table_find(const struct ram_table *table, const char *name)
{
    for (uint32_t i = 0; i < table->num; i++) {
        if (strcmp(table->blocks[i]->name, name) == 0) {
            return table->blocks[i];
        }
    }
    return NULL;
}

void ram_table_move(struct ram_table *table, struct multifd_ram_block *block, uint32_t index)
{
    struct multifd_ram_block *other = table->blocks[index];

    table->blocks[block->index] = other;
    other->index = block->index;
    table->blocks[index] = block;
    block->index = index;
}

uint64_t ram_table_bytes(const struct ram_table *table)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < table->num; i++) {
        bytes += table->blocks[i]->elsewhere ? 0 : table->blocks[i]->length;
    }
    return bytes;
}

int ram_block_split(struct multifd_ram_block *block, uint32_t shift, struct multifd_error *err)
{
    uint64_t num = ((block->length - 1) >> shift) + 1; /* the length is at least one page */

    if (num > UINT32_MAX) {
        return error_set(err, MULTIFD_ERROR_LIMIT, "RAM block \"%s\" would have %llu pieces",
                         block->name, (unsigned long long)num);
    }
    block->pieces = calloc(num, sizeof(*block->pieces));
    if (block->pieces == NULL) {
        return error_set_nomem(err);
    }
    block->piece_shift = shift;
    block->pieces_num = (uint32_t)num;
    return 0;
}

uint64_t ram_block_piece_length(const struct multifd_ram_block *block, uint32_t piece)
{
    uint64_t start = (uint64_t)piece << block->piece_shift;
    uint64_t size = UINT64_C(1) << block->piece_shift;

    return block->length - start < size ? block->length - start : size;
}

uint32_t ram_block_split_writes(const struct multifd_ram_block *block, uint64_t offset,
                                uint64_t length, uint64_t max_message,
                                struct transport_write *writes)
{
    uint64_t size = UINT64_C(1) << block->piece_shift;
    uint32_t num = 0;

    while (length != 0) {
        uint64_t within = offset & (size - 1);
        uint64_t part = size - within < length ? size - within : length;

        part = part < max_message ? part : max_message;
        ram_block_write(block, offset, (uint32_t)part, &writes[num++]);
        offset += part;
        length -= part;
    }
    return num;
}
