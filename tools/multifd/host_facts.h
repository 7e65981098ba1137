/* SPDX-License-Identifier: MIT */
/* host_facts.h - what this host has for RDMA, apart from what the library lists. */
#ifndef MULTIFD_TOOL_HOST_FACTS_H
#define MULTIFD_TOOL_HOST_FACTS_H

#include <multifd.h>
#include <net/if.h>

struct host_facts {
    const struct multifd_device *devices; /* ports, owned by whoever listed them */
    size_t count;
    uint64_t memlock;         /* bytes, UINT64_MAX for no limit */
    uint64_t memory;          /* bytes of RAM */
    bool kernel_has_devices;  /* the kernel knows an RDMA device, whatever this process may open */
    bool rdma_cm;             /* connections can be made: /dev/infiniband/rdma_cm can be opened */
    char netdev[IF_NAMESIZE]; /* a network interface that soft-RoCE can use, or "IF" */
};

/* Looks at /sys and /dev; devices and count stay as they are. */
void host_facts_gather(struct host_facts *facts);

#endif
