/* SPDX-License-Identifier: MIT */
/* commands.h - the subcommands; run returns the exit status. */
#ifndef MULTIFD_TOOL_COMMANDS_H
#define MULTIFD_TOOL_COMMANDS_H

#include "cli.h"

extern const struct cli_command command_send;
extern const struct cli_command command_recv;
extern const struct cli_command command_devices;
extern const struct cli_command command_bench;
extern const struct cli_command command_bridge;

#endif
