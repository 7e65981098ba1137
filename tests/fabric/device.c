/*
 * SPDX-License-Identifier: MIT
 *
 * Devices, contexts, ports, protection domains.
 */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fabric_internal.h"

#undef ibv_query_port

enum { MAX_DEVICES = 16 };

struct fabric_context {
    struct fabric_object object;
    struct verbs_context verbs; /* ends with the ibv_context that users see */
};

struct fabric_pd {
    struct ibv_pd pd;
    struct fabric_object object;
};

/* A reset makes new devices; the old ones stay reachable for objects that a failed test left
 * behind. */
struct fabric_device {
    struct ibv_device device;
    struct fabric_context *shared; /* the one connection manager ids use, never closed */
    struct fabric_device *older;
};

struct device_list {
    struct fabric_object object;
    struct ibv_device *devices[]; /* what the user sees, ends with NULL */
};

static struct fabric_device *devices[MAX_DEVICES];
static _Atomic int device_count;

static struct fabric_context *context_of(struct ibv_context *context)
{
    return container_of(context, struct fabric_context, verbs.context);
}

struct fabric_object *fabric_context_object(struct ibv_context *context)
{
    return &context_of(context)->object;
}

static int query_device_ex(struct ibv_context *context,
                           const struct ibv_query_device_ex_input *input,
                           struct ibv_device_attr_ex *attr, size_t attr_size)
{
    (void)input;
    memset(attr, 0, attr_size);
    attr->odp_caps.general_caps = IBV_ODP_SUPPORT;
    attr->odp_caps.per_transport_caps.rc_odp_caps =
        IBV_ODP_SUPPORT_SEND | IBV_ODP_SUPPORT_RECV | IBV_ODP_SUPPORT_WRITE | IBV_ODP_SUPPORT_READ;
    return ibv_query_device(context, &attr->orig_attr);
}

static int query_port_ex(struct ibv_context *context, uint8_t port_num, struct ibv_port_attr *attr,
                         size_t length)
{
    (void)length;
    return ibv_query_port(context, port_num, (struct _compat_ibv_port_attr *)attr);
}

static struct fabric_context *context_new(struct ibv_device *device)
{
    struct fabric_context *context = fabric_calloc(1, sizeof(*context));
    struct ibv_context *visible = &context->verbs.context;

    context->verbs.sz = sizeof(context->verbs);
    context->verbs.query_device_ex = query_device_ex;
    context->verbs.query_port = query_port_ex;
    visible->device = device;
    visible->cmd_fd = -1;
    visible->async_fd = -1;
    visible->num_comp_vectors = 4;
    visible->abi_compat = fabric_opts()->odp ? __VERBS_ABI_IS_EXTENDED : NULL;
    visible->ops.post_send = fabric_post_send;
    visible->ops.post_recv = fabric_post_recv;
    visible->ops.poll_cq = fabric_poll_cq;
    visible->ops.req_notify_cq = fabric_req_notify_cq;
    pthread_mutex_init(&visible->mutex, NULL);
    return context;
}

void fabric_devices_make(int count)
{
    if (count < 0 || count > MAX_DEVICES) {
        fabric_misuse("%d devices", count);
    }
    for (int i = 0; i < count; i++) {
        struct fabric_device *device = fabric_calloc(1, sizeof(*device));
        device->device.node_type = IBV_NODE_CA;
        device->device.transport_type = IBV_TRANSPORT_IB;
        snprintf(device->device.name, sizeof(device->device.name), "fabric%d", i);
        snprintf(device->device.dev_name, sizeof(device->device.dev_name), "uverbs%d", i);
        device->shared = context_new(&device->device);
        device->older = devices[i];
        devices[i] = device;
    }
    atomic_store(&device_count, count);
}

struct ibv_context *fabric_context_of(const struct sockaddr *address)
{
    int count = atomic_load(&device_count);
    unsigned int last = 1;

    if (count == 0) {
        return NULL;
    }
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)address;
        last = ntohl(in->sin_addr.s_addr) & 0xff;
    } else {
        const struct sockaddr_in6 *in6 = (const void *)address;
        last = in6->sin6_addr.s6_addr[15];
    }
    return &devices[(last + (unsigned int)count - 1) % (unsigned int)count]->shared->verbs.context;
}

struct ibv_device **ibv_get_device_list(int *num_devices)
{
    int error = fabric_fault(FABRIC_CALL, "ibv_get_device_list");
    int count = atomic_load(&device_count);
    struct device_list *list;

    if (error) {
        errno = error;
        return NULL;
    }
    list = fabric_calloc(1, sizeof(*list) + ((size_t)count + 1) * sizeof(list->devices[0]));
    fabric_object_add(&list->object, FABRIC_DEVICE_LIST);
    for (int i = 0; i < count; i++) {
        list->devices[i] = &devices[i]->device;
    }
    if (num_devices) {
        *num_devices = count;
    }
    return list->devices;
}

void ibv_free_device_list(struct ibv_device **list)
{
    struct device_list *own = container_of(list, struct device_list, devices);

    fabric_object_remove(&own->object);
    free(own);
}

const char *ibv_get_device_name(struct ibv_device *device)
{
    return device->name;
}

struct ibv_context *ibv_open_device(struct ibv_device *device)
{
    int error = fabric_fault(FABRIC_CALL, "ibv_open_device");
    struct fabric_context *context;

    if (error) {
        errno = error;
        return NULL;
    }
    context = context_new(device);
    fabric_object_add(&context->object, FABRIC_CONTEXT);
    return &context->verbs.context;
}

int ibv_close_device(struct ibv_context *context)
{
    int injected = fabric_fault(FABRIC_CLEANUP, "ibv_close_device");
    struct fabric_context *own = context_of(context);

    if (fabric_object_remove(&own->object)) {
        fabric_misuse("ibv_close_device while %u objects of the context exist", own->object.users);
    }
    pthread_mutex_destroy(&context->mutex);
    free(own);
    if (injected) {
        errno = injected;
        return -1;
    }
    return 0;
}

int ibv_query_device(struct ibv_context *context, struct ibv_device_attr *attr)
{
    const struct fabric_options *options = fabric_opts();
    int error = fabric_fault(FABRIC_CALL, "ibv_query_device");

    (void)context;
    if (error) {
        return error;
    }
    memset(attr, 0, sizeof(*attr));
    snprintf(attr->fw_ver, sizeof(attr->fw_ver), "fake");
    attr->max_mr_size = options->max_mr_size;
    attr->page_size_cap = 0xfffff000;
    attr->max_qp = 4096;
    attr->max_qp_wr = options->max_qp_wr;
    attr->max_sge = options->max_sge;
    attr->max_sge_rd = options->max_sge;
    attr->max_cq = 4096;
    attr->max_cqe = options->max_cqe;
    attr->max_mr = 65535;
    attr->max_pd = 4096;
    attr->max_qp_rd_atom = 16;
    attr->max_qp_init_rd_atom = 16;
    attr->max_pkeys = 1;
    attr->phys_port_cnt = 1;
    return 0;
}

int ibv_query_port(struct ibv_context *context, uint8_t port_num,
                   struct _compat_ibv_port_attr *compat)
{
    struct ibv_port_attr *attr = (struct ibv_port_attr *)compat;
    int error = fabric_fault(FABRIC_CALL, "ibv_query_port");

    (void)context;
    if (error || port_num != 1) {
        return error ? error : EINVAL;
    }
    memset(attr, 0, sizeof(*attr));
    attr->state = IBV_PORT_ACTIVE;
    attr->max_mtu = IBV_MTU_4096;
    attr->active_mtu = fabric_opts()->active_mtu;
    attr->gid_tbl_len = 2;
    attr->pkey_tbl_len = 1;
    attr->max_msg_sz = fabric_opts()->max_msg_sz;
    attr->active_width = 2;  /* 4 lanes */
    attr->active_speed = 32; /* of 25 Gb/s */
    attr->phys_state = 5;
    attr->link_layer = IBV_LINK_LAYER_ETHERNET;
    return 0;
}

int ibv_query_gid(struct ibv_context *context, uint8_t port_num, int index, union ibv_gid *gid)
{
    int error = fabric_fault(FABRIC_CALL, "ibv_query_gid");

    (void)context;
    if (error || port_num != 1 || index < 0 || index > 1) {
        errno = error ? error : EINVAL;
        return -1;
    }
    memset(gid, 0, sizeof(*gid));
    if (index == 0) {
        gid->raw[0] = 0xfe;
        gid->raw[1] = 0x80;
    } else {
        gid->raw[10] = 0xff;
        gid->raw[11] = 0xff;
        gid->raw[12] = 127;
    }
    gid->raw[15] = 1;
    return 0;
}

static struct fabric_pd *pd_of(struct ibv_pd *pd)
{
    return container_of(pd, struct fabric_pd, pd);
}

struct fabric_object *fabric_pd_object(struct ibv_pd *pd)
{
    return &pd_of(pd)->object;
}

struct ibv_pd *ibv_alloc_pd(struct ibv_context *context)
{
    int error = fabric_fault(FABRIC_CALL, "ibv_alloc_pd");
    struct fabric_pd *pd;

    if (error) {
        errno = error;
        return NULL;
    }
    pd = fabric_calloc(1, sizeof(*pd));
    pd->pd.context = context;
    fabric_object_use(fabric_context_object(context));
    fabric_object_add(&pd->object, FABRIC_PD);
    return &pd->pd;
}

int ibv_dealloc_pd(struct ibv_pd *pd)
{
    int injected = fabric_fault(FABRIC_CLEANUP, "ibv_dealloc_pd");
    struct fabric_pd *own = pd_of(pd);
    int error = fabric_object_remove(&own->object);

    if (error) {
        return error;
    }
    fabric_object_unuse(fabric_context_object(pd->context));
    free(own);
    return injected;
}
