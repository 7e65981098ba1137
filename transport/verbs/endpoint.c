/* SPDX-License-Identifier: MIT */
#include "transport/verbs/endpoint.h"

#include "core/base/error.h"
#include "transport/verbs/connect.h"
#include "transport/verbs/device.h"
#include "transport/verbs/memory.h"
#include "transport/verbs/resolve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct verbs_endpoint *of(struct transport_endpoint *base)
{
    return (struct verbs_endpoint *)base;
}

static const struct verbs_endpoint *of_const(const struct transport_endpoint *base)
{
    return (const struct verbs_endpoint *)base;
}

static int endpoint_listen(struct transport_endpoint *base, uint32_t backlog,
                           struct multifd_error *err)
{
    struct verbs_endpoint *endpoint = of(base);

    /* Now, since a source that comes over another device is only refused. */
    if (endpoint->settings.ib_dev[0] != '\0' && verbs_device_check(&endpoint->settings, err) != 0) {
        return -1;
    }
    if (verbs_cm_init(&endpoint->listener, endpoint->name, err) != 0) {
        return -1;
    }
    if (verbs_bind_address(endpoint, &endpoint->listener, err) != 0) {
        goto fini_listener;
    }
    if (rdma_listen(endpoint->listener.id, (int)backlog) != 0) {
        error_set_errno(err, MULTIFD_ERROR_ADDRESS, errno, "cannot listen on %s", endpoint->name);
        goto fini_listener;
    }
    endpoint->port = ntohs(rdma_get_src_port(endpoint->listener.id));
    return 0;

fini_listener:
    verbs_cm_fini(&endpoint->listener);
    return -1;
}

static void endpoint_stop_listening(struct transport_endpoint *base)
{
    verbs_cm_fini(&of(base)->listener);
}

static uint16_t endpoint_port(const struct transport_endpoint *base)
{
    return of_const(base)->port;
}

static void endpoint_set_timeout(struct transport_endpoint *base, uint32_t timeout_ms)
{
    of(base)->settings.timeout_ms = timeout_ms;
}

static void endpoint_limits(const struct transport_endpoint *base, struct transport_limits *limits)
{
    const struct verbs_domain *domain = of_const(base)->domain;

    limits->max_message = domain->max_msg_sz;
    limits->max_memory = domain->max_mr_size;
    limits->max_regions = domain->max_mr;
    limits->on_demand = verbs_device_has_odp(domain->context);
}

static int endpoint_check_memory(const struct transport_endpoint *base, uint64_t bytes,
                                 struct multifd_error *err)
{
    (void)base;
    return verbs_memlock_check(bytes, err);
}

static int endpoint_register_memory(struct transport_endpoint *base, void *address, uint64_t length,
                                    uint32_t access, struct transport_memory *memory,
                                    struct multifd_error *err)
{
    return verbs_memory_register(of(base)->domain, address, length, access, memory, err);
}

static void endpoint_device_counters(const struct transport_endpoint *base,
                                     struct multifd_device_counters *out)
{
    verbs_counters_read(&of_const(base)->counters, out);
}

static void endpoint_free(struct transport_endpoint *base)
{
    struct verbs_endpoint *endpoint = of(base);

    verbs_cm_fini(&endpoint->listener);
    verbs_domain_delete(&endpoint->domain);
    free(endpoint);
}

static const struct transport_endpoint_ops endpoint_ops = {
    .listen = endpoint_listen,
    .stop_listening = endpoint_stop_listening,
    .port = endpoint_port,
    .wait_request = verbs_wait_request,
    .request_greeting = verbs_request_greeting,
    .accept = verbs_accept,
    .reject = verbs_reject,
    .connect = verbs_connect,
    .set_timeout = endpoint_set_timeout,
    .limits = endpoint_limits,
    .check_memory = endpoint_check_memory,
    .register_memory = endpoint_register_memory,
    .deregister_memory = verbs_memory_deregister,
    .device_counters = endpoint_device_counters,
    .free = endpoint_free,
};

struct transport_endpoint *verbs_endpoint_new(const struct transport_address *address,
                                              const struct transport_settings *settings,
                                              struct multifd_error *err)
{
    struct verbs_endpoint *endpoint = calloc(1, sizeof(*endpoint));

    if (endpoint == NULL) {
        error_set_nomem(err);
        return NULL;
    }
    endpoint->base.ops = &endpoint_ops;
    endpoint->address = *address;
    endpoint->settings = *settings;
    snprintf(endpoint->name, sizeof(endpoint->name),
             strchr(address->host, ':') != NULL ? "[%.64s]:%s" : "%.64s:%s", address->host,
             address->port);
    return &endpoint->base;
}

int verbs_endpoint_use_device(struct verbs_endpoint *endpoint, struct rdma_cm_id *id,
                              struct multifd_error *err)
{
    const struct transport_settings *settings = &endpoint->settings;
    const char *device = ibv_get_device_name(id->verbs->device);

    if (settings->ib_dev[0] != '\0' && strcmp(settings->ib_dev, device) != 0) {
        return error_set(err, MULTIFD_ERROR_INVALID,
                         "the address is reached through device %s, not %s: use an address of "
                         "that device, or its gid-index",
                         device, settings->ib_dev);
    }
    if (settings->ib_port != 0 && settings->ib_port != id->port_num) {
        return error_set(err, MULTIFD_ERROR_INVALID,
                         "the address is reached through port %u of %s, not port %u", id->port_num,
                         device, settings->ib_port);
    }
    if (endpoint->domain == NULL) {
        endpoint->domain = verbs_domain_new(id->verbs, id->port_num, err);
        if (endpoint->domain == NULL) {
            return -1;
        }
        verbs_counters_begin(&endpoint->counters, id->verbs->device, id->port_num);
        return 0;
    }
    if (endpoint->domain->context != id->verbs) {
        return error_set(err, MULTIFD_ERROR_CONNECT,
                         "a connection came over device %s, but the session is on %s", device,
                         verbs_domain_device(endpoint->domain));
    }
    return 0;
}
