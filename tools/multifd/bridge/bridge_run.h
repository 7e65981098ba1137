/* SPDX-License-Identifier: MIT */
/* bridge_run.h - one migration through a bridge, from the parsed command line to the report. */
#ifndef MULTIFD_BRIDGE_RUN_H
#define MULTIFD_BRIDGE_RUN_H

#include "bridge/bridge_args.h"

/* Returns the exit status; *args keeps its RAM blocks, also those that were found. */
int bridge_run(struct bridge_args *args, const char *command);

#endif
