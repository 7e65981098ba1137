/* SPDX-License-Identifier: MIT */
/* bridge_ram.h - which RAM blocks the bridge knows by their files, and that those are the guest's.
 */
#ifndef MULTIFD_BRIDGE_RAM_H
#define MULTIFD_BRIDGE_RAM_H

#include "bridge/qmp.h"
#include "ram_spec.h"

/*
 * Completes `specs`, what --ram has named, by what QEMU tells: compares the named blocks with
 * QEMU's, and adds the backends that nobody has named. Says on stderr which of them are carried
 * because their files are not known.
 */
int bridge_ram_find(struct ram_specs *specs, struct qmp *qmp, const char *command,
                    struct multifd_error *err);

/*
 * Refuses a file that is no guest's shared memory: what is written to it would reach nobody.
 * `process` is QEMU's, 0 when it is not known.
 */
int bridge_ram_check(const struct ram_spec *spec, uint64_t length, pid_t process,
                     struct multifd_error *err);

#endif
