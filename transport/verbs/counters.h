/* SPDX-License-Identifier: MIT */
/* counters - what the device has counted on a port since a session began, where it tells. */
#ifndef MULTIFD_VERBS_COUNTERS_H
#define MULTIFD_VERBS_COUNTERS_H

#include <infiniband/verbs.h>
#include <multifd.h>
#include <stdatomic.h>
#include <stdbool.h>

struct verbs_counters {
    char folder[IBV_SYSFS_PATH_MAX + 32];
    struct multifd_device_counters first;
    atomic_bool begun; /* the others are constant from then on */
};

/* Begins to count on that port, once; zeroed before. */
void verbs_counters_begin(struct verbs_counters *counters, const struct ibv_device *device,
                          unsigned port);

/* What has been counted since; MULTIFD_UNKNOWN for all before the beginning. Any thread. */
void verbs_counters_read(const struct verbs_counters *counters,
                         struct multifd_device_counters *out);

#endif
