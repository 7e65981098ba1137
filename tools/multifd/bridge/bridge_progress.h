/* SPDX-License-Identifier: MIT */
/* bridge_progress.h - how far a bridged migration is: QEMU's view and the bridge's, in one line. */
#ifndef MULTIFD_BRIDGE_PROGRESS_H
#define MULTIFD_BRIDGE_PROGRESS_H

#include "bridge/follow.h"
#include "progress_line.h"

#include <stdint.h>

/* `qemu` is NULL when QEMU is not asked. Bytes per second in `rate`. */
void bridge_progress_format(char text[PROGRESS_TEXT], const struct qemu_migration *qemu,
                            const struct multifd_bridge_statistics *statistics, double rate);

struct bridge_progress;

/*
 * Starts to show it. `follow` may be NULL; it and `bridge` must live until bridge_progress_stop.
 * NULL when it cannot be shown, which is worth no failure.
 */
struct bridge_progress *bridge_progress_start(const char *command,
                                              const struct multifd_bridge *bridge,
                                              struct follow *follow);

/* Accepts NULL, sets to NULL. */
void bridge_progress_stop(struct bridge_progress **progress);

#endif
