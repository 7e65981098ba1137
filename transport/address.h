/* SPDX-License-Identifier: MIT */
/* Addresses as QEMU writes them: "rdma:HOST:PORT", "tcp:HOST:PORT" (an IPv6 host in brackets) and
 * "unix:PATH". */
#ifndef MULTIFD_TRANSPORT_ADDRESS_H
#define MULTIFD_TRANSPORT_ADDRESS_H

#include <multifd_error.h>
#include <stddef.h>
#include <sys/socket.h>

enum transport_kind {
    TRANSPORT_RDMA,
    TRANSPORT_TCP,
    TRANSPORT_UNIX,
};

/* Longest HOST in bytes, without the final NUL. */
#define TRANSPORT_HOST_MAX 255
/* Longest PATH in bytes, without the final NUL: what sockaddr_un holds. */
#define TRANSPORT_PATH_MAX 107

struct transport_address {
    enum transport_kind kind;
    char host[TRANSPORT_HOST_MAX + 1]; /* without brackets; empty: any address of this host */
    char port[6];                      /* decimal, 0 to 65535 */
    char path[TRANSPORT_PATH_MAX + 1]; /* of TRANSPORT_UNIX, which has neither host nor port */
};

/* Takes *text apart. 0, or -1 with MULTIFD_ERROR_ADDRESS that shows what was expected. */
int transport_address_parse(const char *text, struct transport_address *address,
                            struct multifd_error *err);

/*
 * Writes an internet address as HOST:PORT, an IPv6 host in brackets; leaves `name` as it is for one
 * of another family.
 */
void transport_address_name(const struct sockaddr *address, char *name, size_t size);

#endif
