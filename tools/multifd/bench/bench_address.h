/* SPDX-License-Identifier: MIT */
/* bench_address.h - where the server of a measurement is, and over what memory is sent to it. */
#ifndef MULTIFD_BENCH_ADDRESS_H
#define MULTIFD_BENCH_ADDRESS_H

#include <multifd_error.h>
#include <stdbool.h>
#include <stdint.h>

#define BENCH_HOST_MAX    256
#define BENCH_ADDRESS_MAX (BENCH_HOST_MAX + 16)

/* The port at which a server waits, perftest's. */
#define BENCH_PORT 18515

struct bench_address {
    bool rdma;                 /* over RDMA, else over a socket */
    bool local;                /* host is the path of a unix socket */
    char host[BENCH_HOST_MAX]; /* without the brackets of IPv6 */
    uint16_t port;             /* where the server waits; 0 for one that was not told */
};

/* Reads "rdma:HOST[:PORT]", "tcp:HOST[:PORT]", or in a loopback "unix:PATH". */
int bench_address_parse(struct bench_address *address, const char *text, struct multifd_error *err);

/* An address of this host's first active RDMA port: for a loopback without an address. */
int bench_address_of_device(struct bench_address *address, struct multifd_error *err);

/* What multifd_source_new takes to connect to `port` there. */
void bench_address_to_connect(const struct bench_address *address, uint16_t port,
                              char text[BENCH_ADDRESS_MAX]);

/* What multifd_destination_new takes to listen on any port. */
void bench_address_to_listen(const struct bench_address *address, char text[BENCH_ADDRESS_MAX]);

#endif
