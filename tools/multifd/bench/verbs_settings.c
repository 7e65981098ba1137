/* SPDX-License-Identifier: MIT */
#include "verbs_settings.h"

#include "fail.h"
#include "verbs_device.h"

#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static unsigned port_of(const struct verbs_settings *settings)
{
    return settings->port == 0 ? 1 : (unsigned)settings->port;
}

int verbs_settings_check(const struct verbs_settings *settings, struct multifd_error *err)
{
    struct verbs_device device;
    struct ibv_port_attr port;
    int status;

    if (settings->device[0] == '\0') {
        return 0;
    }
    status = verbs_device_open(&device, settings->device, err);
    if (status == 0 && ibv_query_port(device.context, (uint8_t)port_of(settings), &port) != 0) {
        status = tool_fail(err, MULTIFD_ERROR_INVALID,
                           "device \"%s\" has no port %u; see multifd devices", settings->device,
                           port_of(settings));
    }
    verbs_device_close(&device);
    return status;
}

static int read_gid(const struct verbs_settings *settings, struct in6_addr *address,
                    struct multifd_error *err)
{
    static const union ibv_gid unset;
    struct verbs_device device;
    union ibv_gid gid = unset;
    int status = verbs_device_open(&device, settings->device, err);

    if (status == 0 && (ibv_query_gid(device.context, (uint8_t)port_of(settings),
                                      (int)settings->gid_index, &gid) != 0 ||
                        memcmp(&gid, &unset, sizeof(gid)) == 0)) {
        status = tool_fail(err, MULTIFD_ERROR_INVALID,
                           "port %u of device \"%s\" has no GID with index %u; see multifd devices",
                           port_of(settings), settings->device, (unsigned)settings->gid_index);
    }
    verbs_device_close(&device);
    memcpy(address, &gid, sizeof(*address));
    return status;
}

/* The interface of a RoCE GID, without which a link-local address says too little. */
static uint32_t scope_of(const struct verbs_settings *settings)
{
    char path[200];
    char name[IF_NAMESIZE + 1] = "";
    FILE *file;

    (void)snprintf(path, sizeof(path), "/sys/class/infiniband/%s/ports/%u/gid_attrs/ndevs/%u",
                   settings->device, port_of(settings), (unsigned)settings->gid_index);
    file = fopen(path, "re");
    if (file != NULL) {
        if (fscanf(file, "%16s", name) != 1) {
            name[0] = '\0';
        }
        (void)fclose(file); /* only read */
    }
    return if_nametoindex(name);
}

int verbs_settings_address(const struct verbs_settings *settings, struct sockaddr_storage *address,
                           struct multifd_error *err)
{
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)address;
    struct sockaddr_in *in = (struct sockaddr_in *)address;
    struct in6_addr gid;

    memset(address, 0, sizeof(*address));
    if (read_gid(settings, &gid, err) != 0) {
        return -1;
    }
    if (IN6_IS_ADDR_V4MAPPED(&gid)) {
        in->sin_family = AF_INET;
        memcpy(&in->sin_addr, &gid.s6_addr[12], sizeof(in->sin_addr));
        return 0;
    }
    in6->sin6_family = AF_INET6;
    in6->sin6_addr = gid;
    in6->sin6_scope_id = IN6_IS_ADDR_LINKLOCAL(&gid) ? scope_of(settings) : 0;
    return 0;
}
