/* SPDX-License-Identifier: MIT */
/*
 * follow.h - watches the migration in QEMU while the bridge runs: a thread that alone uses the QMP
 * connection meanwhile. It says each new state on stderr, and ends the bridge when QEMU says that
 * the migration has failed, or ends itself.
 */
#ifndef MULTIFD_BRIDGE_FOLLOW_H
#define MULTIFD_BRIDGE_FOLLOW_H

#include "bridge/qemu.h"

#include <multifd_bridge.h>

struct follow;

/* `qmp` and `bridge` must live until follow_stop. NULL on error. */
struct follow *follow_start(const char *command, struct qmp *qmp, struct multifd_bridge *bridge,
                            bool quiet, struct multifd_error *err);

/* What QEMU has told last. Any thread. */
void follow_latest(struct follow *follow, struct qemu_migration *out);

/* Accepts NULL, sets to NULL. */
void follow_stop(struct follow **follow);

#endif
