/* SPDX-License-Identifier: MIT */
/* device - RDMA devices by name: what they are, and the addresses behind their GIDs. */
#ifndef MULTIFD_VERBS_DEVICE_H
#define MULTIFD_VERBS_DEVICE_H

#include <infiniband/verbs.h>
#include <multifd.h>
#include <sys/socket.h>

#include "transport/transport.h"

/* See multifd_devices_list. */
int verbs_device_list(struct multifd_device **devices, size_t *count, struct multifd_error *err);

/* Whether the device can fault memory in that RC WRITEs and SENDs name. */
bool verbs_device_has_odp(struct ibv_context *context);

/* Whether the device and port that the settings name exist. 0, or -1 with MULTIFD_ERROR_INVALID. */
int verbs_device_check(const struct transport_settings *settings, struct multifd_error *err);

/*
 * The IP address behind the GID that the settings name by device, port and index; rdma_cm chooses
 * GIDs by address.
 */
int verbs_device_gid_address(const struct transport_settings *settings,
                             struct sockaddr_storage *address, struct multifd_error *err);

#endif
