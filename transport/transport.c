/* SPDX-License-Identifier: MIT */
#include "transport/transport.h"

#include "core/base/error.h"
#include "transport/socket/endpoint.h"
#include "transport/verbs/endpoint.h"

struct transport_endpoint *transport_endpoint_new(const struct transport_address *address,
                                                  const struct transport_settings *settings,
                                                  struct multifd_error *err)
{
    switch (address->kind) {
    case TRANSPORT_RDMA:
        return verbs_endpoint_new(address, settings, err);
    case TRANSPORT_TCP:
    case TRANSPORT_UNIX:
        return socket_endpoint_new(address, settings, err);
    }
    error_set(err, MULTIFD_ERROR_ADDRESS, "unknown transport %d", (int)address->kind);
    return NULL;
}
