/* SPDX-License-Identifier: MIT */
/* ram_spec.h - what --ram says: the name of a RAM block, the file that holds it, its size if given.
 */
#ifndef MULTIFD_TOOL_RAM_SPEC_H
#define MULTIFD_TOOL_RAM_SPEC_H

#include <multifd_error.h>
#include <stddef.h>
#include <stdint.h>

struct ram_spec {
    char *name;
    char *path;
    uint64_t size; /* 0 when not given */
};

/* Zero-initialised is empty. */
struct ram_specs {
    struct ram_spec *items;
    size_t count;
};

/*
 * Adds the block that `text` describes: NAME=PATH[,size=SIZE]. A comma in the path is written
 * twice. Refuses a name that is there already.
 */
int ram_specs_add(struct ram_specs *specs, const char *text, struct multifd_error *err);

/* The same for a block whose parts are known. */
int ram_specs_add_block(struct ram_specs *specs, const char *name, const char *path, uint64_t size,
                        struct multifd_error *err);

/* NULL when there is no such block. */
struct ram_spec *ram_specs_find(const struct ram_specs *specs, const char *name);

/* Frees all items; *specs is empty then. */
void ram_specs_clear(struct ram_specs *specs);

#endif
