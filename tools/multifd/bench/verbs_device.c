/* SPDX-License-Identifier: MIT */
#include "verbs_device.h"

#include "fail.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

static bool has_active_port(struct ibv_context *context)
{
    struct ibv_device_attr attributes;

    if (ibv_query_device(context, &attributes) != 0) {
        return false;
    }
    for (uint8_t port = 1; port <= attributes.phys_port_cnt; port++) {
        struct ibv_port_attr state;

        if (ibv_query_port(context, port, &state) == 0 && state.state == IBV_PORT_ACTIVE) {
            return true;
        }
    }
    return false;
}

/* The device if it is the wanted one, else NULL. */
static struct ibv_context *open_wanted(struct ibv_device *candidate, const char *name)
{
    bool any = name[0] == '\0';
    bool wanted = any || strcmp(ibv_get_device_name(candidate), name) == 0;
    struct ibv_context *context = wanted ? ibv_open_device(candidate) : NULL;

    if (context != NULL && any && !has_active_port(context)) {
        (void)ibv_close_device(context);
        context = NULL;
    }
    return context;
}

int verbs_device_open(struct verbs_device *device, const char *name, struct multifd_error *err)
{
    int count = 0;
    struct ibv_device **list = ibv_get_device_list(&count);

    *device = (struct verbs_device){0};
    for (int i = 0; list != NULL && i < count && device->context == NULL; i++) {
        device->context = open_wanted(list[i], name);
    }
    if (list != NULL) {
        ibv_free_device_list(list);
    }
    if (device->context == NULL) {
        return tool_fail(err, MULTIFD_ERROR_DEVICE, "no %s%s%s; see multifd devices",
                         name[0] == '\0' ? "RDMA device with an active port" : "device \"", name,
                         name[0] == '\0' ? "" : "\" that can be opened");
    }
    device->pd = ibv_alloc_pd(device->context);
    return device->pd != NULL
               ? 0
               : tool_fail(err, MULTIFD_ERROR_DEVICE, "ibv_alloc_pd: %s", strerror(errno));
}

void verbs_device_close(struct verbs_device *device)
{
    if (device->pd != NULL) {
        (void)ibv_dealloc_pd(device->pd);
    }
    if (device->context != NULL) {
        (void)ibv_close_device(device->context);
    }
    *device = (struct verbs_device){0};
}
