/* SPDX-License-Identifier: MIT */
/* bench_system.h - what a measurement ran on. */
#ifndef MULTIFD_BENCH_SYSTEM_H
#define MULTIFD_BENCH_SYSTEM_H

#include <jansson.h>

/* {"date", "kernel", "release", "machine", "processors", "devices"} of this machine; the caller's.
 */
json_t *bench_system_json(void);

#endif
