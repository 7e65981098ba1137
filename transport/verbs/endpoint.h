/* SPDX-License-Identifier: MIT */
/* endpoint - one side of a session over verbs: its address, its listener, its domain. */
#ifndef MULTIFD_VERBS_ENDPOINT_H
#define MULTIFD_VERBS_ENDPOINT_H

#include <multifd_error.h>

#include "transport/transport.h"
#include "transport/verbs/cm.h"
#include "transport/verbs/counters.h"
#include "transport/verbs/domain.h"

struct verbs_endpoint {
    struct transport_endpoint base;
    struct transport_address address;
    struct transport_settings settings;
    char name[80];               /* HOST:PORT for errors */
    struct verbs_cm listener;    /* destination, while it listens */
    uint16_t port;               /* destination: listened on */
    struct verbs_domain *domain; /* made with the first channel, constant from then on */
    struct verbs_counters counters;
};

/* See transport_endpoint_new. */
struct transport_endpoint *verbs_endpoint_new(const struct transport_address *address,
                                              const struct transport_settings *settings,
                                              struct multifd_error *err);

/*
 * Makes the domain on the device that a connection uses, or checks that the connection uses the
 * domain's device, and that it is the one the settings name.
 */
int verbs_endpoint_use_device(struct verbs_endpoint *endpoint, struct rdma_cm_id *id,
                              struct multifd_error *err);

#endif
