/* SPDX-License-Identifier: MIT */
#include "transport/address.h"

#include "core/base/error.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *prefix;
    enum transport_kind kind;
} kinds[] = {
    {"rdma:", TRANSPORT_RDMA},
    {"tcp:", TRANSPORT_TCP},
    {"unix:", TRANSPORT_UNIX},
};

static int malformed(const char *text, const char *what, struct multifd_error *err)
{
    return error_set(err, MULTIFD_ERROR_ADDRESS,
                     "address \"%s\": %s; expected rdma:HOST:PORT, tcp:HOST:PORT or unix:PATH",
                     text, what);
}

static const char *parse_kind(const char *text, struct transport_address *address)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        size_t length = strlen(kinds[i].prefix);

        if (strncmp(text, kinds[i].prefix, length) == 0) {
            address->kind = kinds[i].kind;
            return text + length;
        }
    }
    return NULL;
}

/* Splits HOST:PORT or [HOST]:PORT; returns what is wrong, or NULL. */
static const char *split(const char *rest, struct transport_address *address, const char **port)
{
    const char *host = rest;
    const char *end;

    if (*rest == '[') {
        host = rest + 1;
        end = strchr(host, ']');
        if (end == NULL || end[1] != ':') {
            return "no \"]:\" behind the IPv6 host";
        }
        *port = end + 2;
    } else {
        end = strrchr(rest, ':');
        if (end == NULL) {
            return "no port";
        }
        if (memchr(rest, ':', (size_t)(end - rest)) != NULL) {
            return "an IPv6 host needs brackets";
        }
        *port = end + 1;
    }
    if ((size_t)(end - host) > TRANSPORT_HOST_MAX) {
        return "the host's name is too long";
    }
    memcpy(address->host, host, (size_t)(end - host));
    address->host[end - host] = '\0';
    return NULL;
}

static bool valid_port(const char *port)
{
    size_t digits = strspn(port, "0123456789");

    return digits > 0 && digits <= 5 && port[digits] == '\0' && strtoul(port, NULL, 10) <= 65535;
}

/* Takes HOST:PORT; returns what is wrong, or NULL. */
static const char *take_host(const char *rest, struct transport_address *address)
{
    const char *port = NULL;
    const char *wrong = split(rest, address, &port);

    if (wrong != NULL) {
        return wrong;
    }
    if (!valid_port(port)) {
        return "the port is no number from 0 to 65535";
    }
    strcpy(address->port, port);
    return NULL;
}

/* Takes PATH; returns what is wrong, or NULL. */
static const char *take_path(const char *rest, struct transport_address *address)
{
    if (*rest == '\0') {
        return "no path";
    }
    if (strlen(rest) > TRANSPORT_PATH_MAX) {
        return "the path has more than 107 bytes";
    }
    strcpy(address->path, rest);
    return NULL;
}

int transport_address_parse(const char *text, struct transport_address *address,
                            struct multifd_error *err)
{
    const char *rest = parse_kind(text, address);
    const char *wrong;

    address->host[0] = address->port[0] = address->path[0] = '\0';
    if (rest == NULL) {
        return malformed(text, "unknown transport", err);
    }
    wrong = address->kind == TRANSPORT_UNIX ? take_path(rest, address) : take_host(rest, address);
    return wrong == NULL ? 0 : malformed(text, wrong, err);
}

void transport_address_name(const struct sockaddr *address, char *name, size_t size)
{
    char host[INET6_ADDRSTRLEN] = "?";

    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)address;

        inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
        snprintf(name, size, "%s:%u", host, ntohs(in->sin_port));
    } else if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const void *)address;

        inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
        snprintf(name, size, "[%s]:%u", host, ntohs(in6->sin6_port));
    }
}
