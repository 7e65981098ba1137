/* SPDX-License-Identifier: MIT */
#include "transport/verbs/device.h"

#include "core/base/error.h"
#include "transport/verbs/domain.h"

#include <arpa/inet.h>
#include <errno.h>
#include <infiniband/verbs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct device_table {
    struct multifd_device *entries;
    size_t count;
};

static const char *transport_name(enum ibv_transport_type type)
{
    switch (type) {
    case IBV_TRANSPORT_IB:
        return "InfiniBand";
    case IBV_TRANSPORT_IWARP:
        return "iWARP";
    default:
        return "other";
    }
}

static void read_gids(struct ibv_context *context, const struct ibv_port_attr *attr,
                      struct multifd_device *device)
{
    static const union ibv_gid unset;
    union ibv_gid gid;

    for (int i = 0; i < attr->gid_tbl_len && device->gids_num < MULTIFD_DEVICE_GIDS; i++) {
        if (ibv_query_gid(context, (uint8_t)device->port, i, &gid) == 0 &&
            memcmp(&gid, &unset, sizeof(gid)) != 0) {
            struct multifd_device_gid *entry = &device->gids[device->gids_num++];

            entry->index = (unsigned)i;
            inet_ntop(AF_INET6, &gid, entry->text, sizeof(entry->text));
        }
    }
}

bool verbs_device_has_odp(struct ibv_context *context)
{
    const uint32_t wanted = IBV_ODP_SUPPORT_SEND | IBV_ODP_SUPPORT_WRITE;
    struct ibv_device_attr_ex attr = {.comp_mask = 0};

    return ibv_query_device_ex(context, NULL, &attr) == 0 &&
           (attr.odp_caps.general_caps & IBV_ODP_SUPPORT) != 0 &&
           (attr.odp_caps.per_transport_caps.rc_odp_caps & wanted) == wanted;
}

static void fill_device(struct ibv_context *context, const struct ibv_device_attr *attr,
                        struct multifd_device *device)
{
    snprintf(device->name, sizeof(device->name), "%s", ibv_get_device_name(context->device));
    snprintf(device->transport, sizeof(device->transport), "%s",
             transport_name(context->device->transport_type));
    device->max_qp = (unsigned)attr->max_qp;
    device->max_qp_wr = (unsigned)attr->max_qp_wr;
    device->max_sge = (unsigned)attr->max_sge;
    device->max_cqe = (unsigned)attr->max_cqe;
    device->max_mr = (unsigned)attr->max_mr;
    device->max_mr_size = attr->max_mr_size;
    device->odp = verbs_device_has_odp(context);
}

static void fill_port(struct ibv_context *context, const struct ibv_port_attr *attr,
                      struct multifd_device *device)
{
    device->active = attr->state == IBV_PORT_ACTIVE;
    snprintf(device->state, sizeof(device->state), "%s", ibv_port_state_str(attr->state));
    snprintf(device->link_layer, sizeof(device->link_layer), "%s",
             attr->link_layer == IBV_LINK_LAYER_ETHERNET ? "Ethernet" : "InfiniBand");
    device->active_mtu = verbs_mtu_bytes(attr->active_mtu);
    device->max_mtu = verbs_mtu_bytes(attr->max_mtu);
    device->max_msg_sz = attr->max_msg_sz;
    read_gids(context, attr, device);
}

static int add_port(struct device_table *table, struct ibv_context *context,
                    const struct ibv_device_attr *device, unsigned port, struct multifd_error *err)
{
    struct multifd_device *grown =
        realloc(table->entries, (table->count + 1) * sizeof(*table->entries));
    struct ibv_port_attr attr;
    int errnum;

    if (grown == NULL) {
        return error_set_nomem(err);
    }
    table->entries = grown;
    errnum = ibv_query_port(context, (uint8_t)port, &attr);
    if (errnum != 0) {
        return error_set_errno(err, MULTIFD_ERROR_DEVICE, errnum, "ibv_query_port(%s, %u)",
                               ibv_get_device_name(context->device), port);
    }
    grown = &table->entries[table->count++];
    memset(grown, 0, sizeof(*grown));
    grown->port = port;
    fill_device(context, device, grown);
    fill_port(context, &attr, grown);
    return 0;
}

static int add_device(struct device_table *table, struct ibv_device *device,
                      struct multifd_error *err)
{
    struct ibv_context *context = ibv_open_device(device);
    struct ibv_device_attr attr;
    int status = 0;
    int errnum;

    if (context == NULL) {
        return error_set_errno(err, MULTIFD_ERROR_DEVICE, errno, "ibv_open_device(%s)",
                               ibv_get_device_name(device));
    }
    errnum = ibv_query_device(context, &attr);
    if (errnum != 0) {
        status = error_set_errno(err, MULTIFD_ERROR_DEVICE, errnum, "ibv_query_device(%s)",
                                 ibv_get_device_name(device));
        goto close_device;
    }
    for (unsigned port = 1; status == 0 && port <= attr.phys_port_cnt; port++) {
        status = add_port(table, context, &attr, port, err);
    }

close_device:
    ibv_close_device(context);
    return status;
}

int verbs_device_list(struct multifd_device **devices, size_t *count, struct multifd_error *err)
{
    struct device_table table = {NULL, 0};
    int found = 0;
    struct ibv_device **list = ibv_get_device_list(&found);
    int status = 0;

    if (list == NULL && errno != ENOSYS) { /* ENOSYS: the kernel has no RDMA support loaded */
        return error_set_errno(err, MULTIFD_ERROR_DEVICE, errno, "ibv_get_device_list");
    }
    for (int i = 0; status == 0 && list != NULL && i < found; i++) {
        status = add_device(&table, list[i], err);
    }
    if (list != NULL) {
        ibv_free_device_list(list);
    }
    if (status != 0) {
        free(table.entries);
        return -1;
    }
    *devices = table.entries;
    *count = table.count;
    return 0;
}

/* Opens the device of that name; NULL with *err. */
static struct ibv_context *open_named(const char *name, struct multifd_error *err)
{
    struct ibv_device **list = ibv_get_device_list(NULL);
    struct ibv_context *context = NULL;
    int i = 0;

    while (list != NULL && list[i] != NULL && strcmp(ibv_get_device_name(list[i]), name) != 0) {
        i++;
    }
    if (list == NULL || list[i] == NULL) {
        error_set(err, MULTIFD_ERROR_INVALID,
                  "there is no RDMA device \"%s\" (see: multifd devices)", name);
    } else {
        context = ibv_open_device(list[i]);
        if (context == NULL) {
            error_set_errno(err, MULTIFD_ERROR_DEVICE, errno, "ibv_open_device(%s)", name);
        }
    }
    if (list != NULL) {
        ibv_free_device_list(list);
    }
    return context;
}

static uint32_t port_of(const struct transport_settings *settings)
{
    return settings->ib_port == 0 ? 1 : settings->ib_port;
}

int verbs_device_check(const struct transport_settings *settings, struct multifd_error *err)
{
    struct ibv_context *context = open_named(settings->ib_dev, err);
    struct ibv_port_attr attr;
    int errnum;

    if (context == NULL) {
        return -1;
    }
    errnum = ibv_query_port(context, (uint8_t)port_of(settings), &attr);
    ibv_close_device(context);
    if (errnum != 0) {
        return error_set(err, MULTIFD_ERROR_INVALID,
                         "device \"%s\" has no port %u (see: multifd devices)", settings->ib_dev,
                         port_of(settings));
    }
    return 0;
}

static int read_gid(const struct transport_settings *settings, struct in6_addr *gid,
                    struct multifd_error *err)
{
    struct ibv_context *context = open_named(settings->ib_dev, err);
    union ibv_gid raw;
    int status;

    if (context == NULL) {
        return -1;
    }
    status = ibv_query_gid(context, (uint8_t)port_of(settings), settings->gid_index, &raw);
    ibv_close_device(context);
    if (status != 0 || memcmp(&raw, &in6addr_any, sizeof(raw)) == 0) {
        return error_set(err, MULTIFD_ERROR_INVALID,
                         "port %u of device \"%s\" has no GID with index %d (see: multifd devices)",
                         port_of(settings), settings->ib_dev, settings->gid_index);
    }
    memcpy(gid, &raw, sizeof(*gid));
    return 0;
}

/* The interface that has the link-local address of a RoCE GID: such an address needs its scope. */
static uint32_t scope_of(const struct transport_settings *settings)
{
    char path[200];
    char name[IF_NAMESIZE + 1] = "";
    FILE *file;

    snprintf(path, sizeof(path), "/sys/class/infiniband/%s/ports/%u/gid_attrs/ndevs/%d",
             settings->ib_dev, port_of(settings), settings->gid_index);
    file = fopen(path, "re");
    if (file == NULL) {
        return 0;
    }
    if (fscanf(file, "%16s", name) != 1) {
        name[0] = '\0';
    }
    (void)fclose(file); /* only read */
    return if_nametoindex(name);
}

int verbs_device_gid_address(const struct transport_settings *settings,
                             struct sockaddr_storage *address, struct multifd_error *err)
{
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)address;
    struct sockaddr_in *in = (struct sockaddr_in *)address;
    struct in6_addr gid = in6addr_any;

    if (read_gid(settings, &gid, err) != 0) {
        return -1;
    }
    memset(address, 0, sizeof(*address));
    if (IN6_IS_ADDR_V4MAPPED(&gid)) {
        in->sin_family = AF_INET;
        memcpy(&in->sin_addr, &gid.s6_addr[12], sizeof(in->sin_addr));
        return 0;
    }
    in6->sin6_family = AF_INET6;
    in6->sin6_addr = gid;
    if (IN6_IS_ADDR_LINKLOCAL(&gid)) {
        in6->sin6_scope_id = scope_of(settings);
    }
    return 0;
}
