/* SPDX-License-Identifier: MIT */
/* verbs_settings.h - what the library's device options ask for, as the bare verbs links obey it. */
#ifndef MULTIFD_BENCH_VERBS_SETTINGS_H
#define MULTIFD_BENCH_VERBS_SETTINGS_H

#include <multifd_error.h>
#include <stdint.h>
#include <sys/socket.h>

/* What "auto" is. */
#define VERBS_AUTO UINT64_MAX

struct verbs_settings {
    const char *device;     /* empty for any */
    uint64_t port;          /* 0 for any */
    uint64_t gid_index;     /* VERBS_AUTO: that of the address */
    uint64_t traffic_class; /* VERBS_AUTO: the device's */
    uint64_t service_level; /* VERBS_AUTO: the device's */
    uint64_t mtu;           /* bytes; 0: the path's */
    uint64_t qp_timeout;    /* VERBS_AUTO: rdma_cm's */
    uint64_t retry_count;
    uint64_t rnr_timer;
    uint64_t tx_depth; /* send-queue entries; 0: to choose */
};

/* Whether this host has the device and the port that the settings name. */
int verbs_settings_check(const struct verbs_settings *settings, struct multifd_error *err);

/* The IP address of the GID that they name by device, port and index: rdma_cm chooses by it. */
int verbs_settings_address(const struct verbs_settings *settings, struct sockaddr_storage *address,
                           struct multifd_error *err);

#endif
