/* SPDX-License-Identifier: MIT */
#include "bridge/bridge_ram.h"

#include "bridge/mappings.h"
#include "bridge/qemu_blocks.h"
#include "console.h"
#include "fail.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* ---- QEMU's blocks ------------------------------------------------------------------------- */

static int fail_unknown(const struct qemu_blocks *blocks, const struct ram_spec *spec,
                        struct multifd_error *err)
{
    char names[256];

    qemu_blocks_names(blocks, names, sizeof(names));
    return tool_fail(err, MULTIFD_ERROR_MISMATCH,
                     "--ram %s: QEMU has no RAM block of this name; it has %s", spec->name, names);
}

/* From now on the file must have the block's length. */
static int check_named(const struct qemu_blocks *blocks, struct ram_spec *spec,
                       struct multifd_error *err)
{
    const struct qemu_block *block = qemu_blocks_get(blocks, spec->name);

    if (block == NULL) {
        return fail_unknown(blocks, spec, err);
    }
    if (!block->backend || !block->shared) {
        return tool_fail(err, MULTIFD_ERROR_INVALID,
                         "--ram %s: this RAM block of QEMU's is no shared memory, so that what is "
                         "written to %s would reach nobody: it takes -object memory-backend-file "
                         "(or -memfd) with share=on",
                         spec->name, spec->path);
    }
    if (spec->size != 0 && spec->size != block->length) {
        return tool_fail(err, MULTIFD_ERROR_MISMATCH,
                         "--ram %s: size=%" PRIu64 " is given, QEMU's RAM block has %" PRIu64
                         " bytes",
                         spec->name, spec->size, block->length);
    }
    spec->size = block->length;
    return 0;
}

static int add_found(struct ram_specs *specs, const struct qemu_block *block, const char *command,
                     struct multifd_error *err)
{
    if (!block->backend || ram_specs_find(specs, block->name) != NULL) {
        return 0;
    }
    if (block->path == NULL) {
        console_line(command, "RAM block %s is carried through QEMU's sockets: %s", block->name,
                     block->why);
        return 0;
    }
    return ram_specs_add_block(specs, block->name, block->path, block->length, err);
}

static int match(struct ram_specs *specs, const struct qemu_blocks *blocks, const char *command,
                 struct multifd_error *err)
{
    for (size_t i = 0; i < specs->count; i++) {
        if (check_named(blocks, &specs->items[i], err) != 0) {
            return -1;
        }
    }
    for (size_t i = 0; i < blocks->count; i++) {
        if (add_found(specs, &blocks->items[i], command, err) != 0) {
            return -1;
        }
    }
    return 0;
}

int bridge_ram_find(struct ram_specs *specs, struct qmp *qmp, const char *command,
                    struct multifd_error *err)
{
    struct qemu_blocks blocks = {0};
    int rc = qemu_blocks_find(&blocks, qmp, err);

    if (rc == 0) {
        rc = match(specs, &blocks, command, err);
    }
    qemu_blocks_clear(&blocks);
    return rc;
}

/* ---- The files ----------------------------------------------------------------------------- */

int bridge_ram_check(const struct ram_spec *spec, uint64_t length, pid_t process,
                     struct multifd_error *err)
{
    struct stat file;
    pid_t owner = process;

    if (stat(spec->path, &file) != 0) {
        return tool_fail(err, MULTIFD_ERROR_SYSTEM, "%s: cannot be examined: %s", spec->path,
                         strerror(errno));
    }
    enum mapping found = process != 0 ? mappings_of(process, &file, length) : MAPPING_NONE;
    if (found == MAPPING_NONE) {
        found = mappings_of_any(&file, length, &owner);
    }
    if (found == MAPPING_PRIVATE) {
        return tool_fail(err, MULTIFD_ERROR_INVALID,
                         "--ram %s: process %d has %s as a private copy, so that what is written "
                         "to it would reach nobody: QEMU's backend needs share=on",
                         spec->name, (int)owner, spec->path);
    }
    if (found == MAPPING_NONE) {
        return tool_fail(err, MULTIFD_ERROR_INVALID,
                         "--ram %s: no process that this user may look at has the %" PRIu64
                         " bytes of %s as its shared memory; QEMU must run before the bridge "
                         "starts, with share=on",
                         spec->name, length, spec->path);
    }
    return 0;
}
