/* SPDX-License-Identifier: MIT */
#include "core/block_list.h"

#include <string.h>

int block_list_send(struct control *control, const struct ram_table *table,
                    struct multifd_error *err)
{
    struct message message = {.type = MESSAGE_RAM_BLOCKS};
    struct message_ram_blocks *list = &message.ram_blocks;

    list->total = table->num;
    for (list->first = 0; list->first < table->num; list->first += list->num) {
        uint32_t left = table->num - list->first;

        list->num = left < MESSAGE_MAX_BLOCKS ? left : MESSAGE_MAX_BLOCKS;
        for (uint32_t i = 0; i < list->num; i++) {
            const struct multifd_ram_block *block = table->blocks[list->first + i];

            list->blocks[i].length = block->length;
            strcpy(list->blocks[i].name, block->name);
        }
        if (control_send(control, &message, err) != 0) {
            return -1;
        }
    }
    return 0;
}
