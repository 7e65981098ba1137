/* SPDX-License-Identifier: MIT */
#include "bench_address.h"

#include "fail.h"
#include "units.h"

#include <multifd.h>
#include <stdio.h>
#include <string.h>

#define MAPPED_IPV4 "::ffff:"

static int refuse(const char *text, struct multifd_error *err)
{
    return tool_fail(err, MULTIFD_ERROR_ADDRESS,
                     "\"%s\" is no address such as rdma:10.0.0.1 or tcp:[fe80::1]:%d", text,
                     BENCH_PORT);
}

static int take_port(struct bench_address *address, const char *text, struct multifd_error *err)
{
    uint64_t port;

    if (units_parse_count(text, &port) != 0 || port == 0 || port > UINT16_MAX) {
        return tool_fail(err, MULTIFD_ERROR_ADDRESS, "\"%s\" is no port", text);
    }
    address->port = (uint16_t)port;
    return 0;
}

/* HOST or [HOST], then nothing or :PORT. */
static int take_host(struct bench_address *address, const char *text, struct multifd_error *err)
{
    bool bracket = text[0] == '[';
    const char *host = bracket ? text + 1 : text;
    size_t length = strcspn(host, bracket ? "]" : ":");
    const char *rest = host + length;

    if (bracket && *rest++ != ']') {
        return refuse(text, err);
    }
    if (length == 0 || length >= sizeof(address->host) || (*rest != '\0' && *rest != ':')) {
        return refuse(text, err);
    }
    memcpy(address->host, host, length);
    address->host[length] = '\0';
    return *rest == ':' ? take_port(address, rest + 1, err) : 0;
}

int bench_address_parse(struct bench_address *address, const char *text, struct multifd_error *err)
{
    *address = (struct bench_address){0};
    if (strncmp(text, "unix:", 5) == 0 && text[5] != '\0' &&
        strlen(text + 5) < sizeof(address->host)) {
        address->local = true;
        memcpy(address->host, text + 5, strlen(text + 5) + 1);
        return 0;
    }
    if (strncmp(text, "rdma:", 5) == 0) {
        address->rdma = true;
        return take_host(address, text + 5, err);
    }
    return strncmp(text, "tcp:", 4) == 0 ? take_host(address, text + 4, err) : refuse(text, err);
}

/* The port's IPv4 address, else any that can be routed. */
static const char *choose_gid(const struct multifd_device *device)
{
    const char *other = NULL;

    for (unsigned i = 0; i < device->gids_num; i++) {
        const char *text = device->gids[i].text;

        if (strncmp(text, MAPPED_IPV4, strlen(MAPPED_IPV4)) == 0) {
            return text + strlen(MAPPED_IPV4);
        }
        if (strncmp(text, "fe80:", 5) != 0) {
            other = text;
        }
    }
    return other;
}

int bench_address_of_device(struct bench_address *address, struct multifd_error *err)
{
    struct multifd_device *devices;
    const char *host = NULL;
    size_t count;

    if (multifd_devices_list(&devices, &count, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < count && host == NULL; i++) {
        host = devices[i].active ? choose_gid(&devices[i]) : NULL;
    }
    *address = (struct bench_address){.rdma = true};
    if (host != NULL) {
        (void)snprintf(address->host, sizeof(address->host), "%s", host);
    }
    multifd_devices_free(&devices);
    return host != NULL ? 0
                        : tool_fail(err, MULTIFD_ERROR_DEVICE,
                                    "no active RDMA port with an IP address; see multifd devices");
}

static const char *scheme_of(const struct bench_address *address)
{
    return address->rdma ? "rdma" : "tcp";
}

void bench_address_to_connect(const struct bench_address *address, uint16_t port,
                              char text[BENCH_ADDRESS_MAX])
{
    if (address->local) {
        (void)snprintf(text, BENCH_ADDRESS_MAX, "unix:%s", address->host);
    } else if (strchr(address->host, ':') != NULL) {
        (void)snprintf(text, BENCH_ADDRESS_MAX, "%s:[%s]:%u", scheme_of(address), address->host,
                       port);
    } else {
        (void)snprintf(text, BENCH_ADDRESS_MAX, "%s:%s:%u", scheme_of(address), address->host,
                       port);
    }
}

void bench_address_to_listen(const struct bench_address *address, char text[BENCH_ADDRESS_MAX])
{
    if (address->local) {
        (void)snprintf(text, BENCH_ADDRESS_MAX, "unix:%s", address->host);
    } else {
        (void)snprintf(text, BENCH_ADDRESS_MAX, "%s::0", scheme_of(address));
    }
}
