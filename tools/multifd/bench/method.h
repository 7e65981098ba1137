/* SPDX-License-Identifier: MIT */
/* method.h - `method`: how fast a method's hooks compress and decompress, on one thread. */
#ifndef MULTIFD_BENCH_METHOD_H
#define MULTIFD_BENCH_METHOD_H

#include "measurement.h"

extern const struct measurement measurement_method;

#endif
