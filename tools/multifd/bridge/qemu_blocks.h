/* SPDX-License-Identifier: MIT */
/* qemu_blocks.h - the RAM blocks of a QEMU and the files that they lie in, as its QMP monitor
 * tells. */
#ifndef MULTIFD_BRIDGE_QEMU_BLOCKS_H
#define MULTIFD_BRIDGE_QEMU_BLOCKS_H

#include "bridge/qmp.h"

#include <stdbool.h>
#include <stddef.h>

struct qemu_block {
    char *name;      /* its id in the migration's stream */
    uint64_t length; /* bytes in use */
    bool backend;    /* it is a memory backend (-object memory-backend-...) */
    bool shared;     /* a backend with share=on */
    char *path;      /* the file, NULL when it is not known */
    char why[160];   /* of a backend: why the file is not known */
};

/* Zero-initialised is empty. */
struct qemu_blocks {
    struct qemu_block *items;
    size_t count;
};

/* Finds all; qemu_blocks_clear in any case. */
int qemu_blocks_find(struct qemu_blocks *blocks, struct qmp *qmp, struct multifd_error *err);

/* NULL when there is no such block. */
const struct qemu_block *qemu_blocks_get(const struct qemu_blocks *blocks, const char *name);

/* Their names for a message, "ram, pc.bios, ...". */
void qemu_blocks_names(const struct qemu_blocks *blocks, char *text, size_t room);

void qemu_blocks_clear(struct qemu_blocks *blocks);

#endif
