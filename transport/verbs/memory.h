/* SPDX-License-Identifier: MIT */
/* memory - registering memory with a device, and the locked-memory limit that stands before it. */
#ifndef MULTIFD_VERBS_MEMORY_H
#define MULTIFD_VERBS_MEMORY_H

#include <multifd_error.h>
#include <stdbool.h>
#include <stdint.h>

#include "transport/transport.h"
#include "transport/verbs/domain.h"

/* See transport_endpoint_ops. Any number of threads may register at once. */
int verbs_memory_register(const struct verbs_domain *domain, void *address, uint64_t length,
                          uint32_t access, struct transport_memory *memory,
                          struct multifd_error *err);
int verbs_memory_deregister(struct transport_memory *memory, struct multifd_error *err);

/* The locked-memory limit in bytes, UINT64_MAX when this process has none. */
uint64_t verbs_memlock_limit(void);

/* Whether `bytes` may be locked; if not, *err says what is needed, allowed, and how to raise it. */
int verbs_memlock_check(uint64_t bytes, struct multifd_error *err);

#endif
