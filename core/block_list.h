/* SPDX-License-Identifier: MIT */
/* block_list - telling the other side which RAM blocks there are. */
#ifndef MULTIFD_BLOCK_LIST_H
#define MULTIFD_BLOCK_LIST_H

#include "core/control.h"

/* Sends a table's names and lengths, in its order. 0, or -1 with the session's error. */
int block_list_send(struct control *control, const struct ram_table *table,
                    struct multifd_error *err);

#endif
