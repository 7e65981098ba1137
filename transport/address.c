/* SPDX-License-Identifier: MIT */
#include "transport/address.h"

#include "core/base/error.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *prefix;
    enum transport_kind kind;
} kinds[] = {
    {"rdma:", TRANSPORT_RDMA},
};

static int malformed(const char *text, const char *what, struct multifd_error *err)
{
    return error_set(err, MULTIFD_ERROR_ADDRESS, "address \"%s\": %s; expected rdma:HOST:PORT",
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

int transport_address_parse(const char *text, struct transport_address *address,
                            struct multifd_error *err)
{
    const char *port = NULL;
    const char *rest = parse_kind(text, address);
    const char *wrong;

    if (rest == NULL) {
        return malformed(text, "unknown transport", err);
    }
    wrong = split(rest, address, &port);
    if (wrong != NULL) {
        return malformed(text, wrong, err);
    }
    if (!valid_port(port)) {
        return malformed(text, "the port is no number from 0 to 65535", err);
    }
    strcpy(address->port, port);
    return 0;
}
