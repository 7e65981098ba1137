/* SPDX-License-Identifier: MIT */
/* resolve - from names, devices and GIDs to the addresses that rdma_cm works with. */
#ifndef MULTIFD_VERBS_RESOLVE_H
#define MULTIFD_VERBS_RESOLVE_H

#include <multifd_error.h>

#include "transport/verbs/cm.h"
#include "transport/verbs/endpoint.h"

/* Starts resolving the endpoint's address, from the settings' device if they name one. */
int verbs_resolve_address(const struct verbs_endpoint *endpoint, struct verbs_cm *cm,
                          struct multifd_error *err);

/* Binds an identifier to the endpoint's address, for listening. */
int verbs_bind_address(const struct verbs_endpoint *endpoint, struct verbs_cm *cm,
                       struct multifd_error *err);

#endif
