/* SPDX-License-Identifier: MIT */
/* registration.h - `register`: what it costs to make memory known to a device. One side only. */
#ifndef MULTIFD_BENCH_REGISTRATION_H
#define MULTIFD_BENCH_REGISTRATION_H

#include "measurement.h"

int registration_run(const struct bench_case *bench, struct peer *peer, json_t *row,
                     struct multifd_error *err);

#endif
