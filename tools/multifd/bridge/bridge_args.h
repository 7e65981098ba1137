/* SPDX-License-Identifier: MIT */
/* bridge_args.h - what the command lines of multifd bridge say. */
#ifndef MULTIFD_BRIDGE_ARGS_H
#define MULTIFD_BRIDGE_ARGS_H

#include "bridge/qemu.h"
#include "session_args.h"

struct bridge_args {
    struct session_args session; /* first: its options are set by session_args_set */
    enum qemu_role role;
    const char *qemu; /* unix:PATH */
    const char *rdma; /* rdma:HOST:PORT */
    const char *qmp;  /* NULL without */
    struct qemu_settings settings;
};

extern const struct cli_command bridge_source;
extern const struct cli_command bridge_destination;

/* Parses argv, whose first word is the role; bridge_args_clear whatever is returned. */
enum cli_result bridge_args_parse(struct bridge_args *args, enum qemu_role role, int argc,
                                  char **argv, struct multifd_error *err);

void bridge_args_clear(struct bridge_args *args);

#endif
