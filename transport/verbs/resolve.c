/* SPDX-License-Identifier: MIT */
#include "transport/verbs/resolve.h"

#include "core/base/error.h"
#include "transport/verbs/device.h"

#include <errno.h>
#include <netdb.h>
#include <string.h>

static struct addrinfo *look_up(const struct verbs_endpoint *endpoint, int flags,
                                struct multifd_error *err)
{
    const struct addrinfo hints = {
        .ai_flags = flags | AI_NUMERICSERV, .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    const char *host = endpoint->address.host[0] == '\0' ? NULL : endpoint->address.host;
    struct addrinfo *found = NULL;
    int status = getaddrinfo(host, endpoint->address.port, &hints, &found);

    if (status != 0) {
        error_set(err, MULTIFD_ERROR_ADDRESS, "%s: %s", endpoint->name, gai_strerror(status));
        return NULL;
    }
    return found;
}

int verbs_resolve_address(const struct verbs_endpoint *endpoint, struct verbs_cm *cm,
                          struct multifd_error *err)
{
    const struct transport_settings *settings = &endpoint->settings;
    struct addrinfo *destination = look_up(endpoint, 0, err);
    struct sockaddr_storage local;
    struct sockaddr *source = NULL;
    int status = -1;

    if (destination == NULL) {
        return -1;
    }
    if (settings->gid_index >= 0) {
        if (verbs_device_gid_address(settings, &local, err) != 0) {
            goto free_destination;
        }
        source = (struct sockaddr *)&local;
    }
    if (settings->traffic_class >= 0) {
        uint8_t tos = (uint8_t)settings->traffic_class;

        if (rdma_set_option(cm->id, RDMA_OPTION_ID, RDMA_OPTION_ID_TOS, &tos, sizeof(tos)) != 0) {
            error_set_errno(err, MULTIFD_ERROR_DEVICE, errno, "rdma_set_option(TOS %u)", tos);
            goto free_destination;
        }
    }
    status = rdma_resolve_addr(cm->id, source, destination->ai_addr, (int)settings->timeout_ms);
    if (status != 0) {
        error_set_errno(err, MULTIFD_ERROR_CONNECT, errno,
                        "no RDMA device reaches %s: rdma_resolve_addr (see: multifd devices)",
                        cm->peer);
    }

free_destination:
    freeaddrinfo(destination);
    return status;
}

static void set_port(struct sockaddr_storage *address, const struct addrinfo *from)
{
    const struct sockaddr_in *in = (const void *)from->ai_addr;

    /* The port stands at the same place for both families. */
    memcpy((uint8_t *)address + offsetof(struct sockaddr_in, sin_port), &in->sin_port,
           sizeof(in->sin_port));
}

int verbs_bind_address(const struct verbs_endpoint *endpoint, struct verbs_cm *cm,
                       struct multifd_error *err)
{
    struct addrinfo *found = look_up(endpoint, AI_PASSIVE, err);
    struct sockaddr_storage local;
    int status = -1;

    if (found == NULL) {
        return -1;
    }
    memcpy(&local, found->ai_addr, found->ai_addrlen);
    if (endpoint->settings.gid_index >= 0) {
        if (verbs_device_gid_address(&endpoint->settings, &local, err) != 0) {
            goto free_found;
        }
        set_port(&local, found);
    }
    status = rdma_bind_addr(cm->id, (struct sockaddr *)&local);
    if (status != 0) {
        error_set_errno(err, MULTIFD_ERROR_ADDRESS, errno, "cannot listen on %s", endpoint->name);
    }

free_found:
    freeaddrinfo(found);
    return status;
}
