/* SPDX-License-Identifier: MIT */
/* measurements_verbs.h - the measurements of bare verbs, apart from `raw`: parts of the list. */
#ifndef MULTIFD_BENCH_MEASUREMENTS_VERBS_H
#define MULTIFD_BENCH_MEASUREMENTS_VERBS_H

#include "measurement.h"

extern const struct measurement measurement_send;
extern const struct measurement measurement_write;
extern const struct measurement measurement_read;
extern const struct measurement measurement_register;

#endif
