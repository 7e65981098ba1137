/* SPDX-License-Identifier: MIT */
/*
 * fake_memory - an endpoint that can register memory and nothing else, and mmap and munmap, which
 * only count.
 *
 * The calls are logged as "register_memory", "deregister_memory", "mmap" and "munmap" and fail with
 * mock_fail. What is registered or mapped counts as an object. A program that links this wraps mmap
 * and munmap.
 */
#ifndef MULTIFD_UNIT_FAKE_MEMORY_H
#define MULTIFD_UNIT_FAKE_MEMORY_H

#include "mock.h"
#include "transport/transport.h"

#define FAKE_LOCAL_KEY  0x10cau
#define FAKE_REMOTE_KEY 0x4e07eu

extern struct transport_endpoint fake_memory_endpoint;

/* What was registered last. */
struct fake_registration {
    void *address;
    uint64_t length;
    uint32_t access;
};

extern struct fake_registration fake_memory_registered;

#endif
