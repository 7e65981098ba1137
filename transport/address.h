/* SPDX-License-Identifier: MIT */
/* Addresses as QEMU writes them: "rdma:HOST:PORT", an IPv6 host in brackets. */
#ifndef MULTIFD_TRANSPORT_ADDRESS_H
#define MULTIFD_TRANSPORT_ADDRESS_H

#include <multifd_error.h>

enum transport_kind {
    TRANSPORT_RDMA,
};

/* Longest HOST in bytes, without the final NUL. */
#define TRANSPORT_HOST_MAX 255

struct transport_address {
    enum transport_kind kind;
    char host[TRANSPORT_HOST_MAX + 1]; /* without brackets; empty: any address of this host */
    char port[6];                      /* decimal, 0 to 65535 */
};

/* Takes *text apart. 0, or -1 with MULTIFD_ERROR_ADDRESS that shows what was expected. */
int transport_address_parse(const char *text, struct transport_address *address,
                            struct multifd_error *err);

#endif
