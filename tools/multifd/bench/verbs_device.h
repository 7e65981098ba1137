/* SPDX-License-Identifier: MIT */
/* verbs_device.h - a device without a connection. */
#ifndef MULTIFD_BENCH_VERBS_DEVICE_H
#define MULTIFD_BENCH_VERBS_DEVICE_H

#include <infiniband/verbs.h>
#include <multifd_error.h>

struct verbs_device {
    struct ibv_context *context;
    struct ibv_pd *pd;
};

/*
 * Opens the device of that name; with an empty one the first that has an active port.
 * verbs_device_close in either case.
 */
int verbs_device_open(struct verbs_device *device, const char *name, struct multifd_error *err);

/* Accepts a device that is all zero. */
void verbs_device_close(struct verbs_device *device);

#endif
