/* SPDX-License-Identifier: MIT */
/* outcome.h - what has become of the migration and its guest, as the QEMU beside the bridge tells.
 */
#ifndef MULTIFD_BRIDGE_OUTCOME_H
#define MULTIFD_BRIDGE_OUTCOME_H

#include "bridge/qemu.h"

#include <multifd_bridge.h>

struct outcome {
    bool known;                      /* QEMU was asked */
    bool ended;                      /* QEMU has ended, or closed its monitor */
    bool contrary;                   /* the bridge has not failed, but QEMU's migration has */
    struct qemu_migration migration; /* the last that it told */
    char guest[QEMU_STATUS];         /* the guest's run state; empty when not known */
    char text[192];                  /* one sentence for people */
};

/*
 * Asks QEMU, behind the end of the bridge, until its migration is over, for some seconds at most.
 * A source whose bridge has failed is told to cancel if it goes on, but never one whose guest may
 * be at the destination.
 */
void outcome_find(struct outcome *outcome, struct qmp *qmp, enum qemu_role role,
                  enum multifd_bridge_phase phase);

#endif
