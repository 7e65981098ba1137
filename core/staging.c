/* SPDX-License-Identifier: MIT */
#include "core/staging.h"

#include "core/base/error.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

/* Sixteen packets of 512 KiB: enough to have one compressed while others travel and are unpacked.
 */
#define BYTES_MAX (UINT64_C(8) << 20)

uint32_t staging_slots(uint32_t window, uint64_t slot_bytes)
{
    uint64_t slots = BYTES_MAX / slot_bytes;

    slots = slots < 2 ? 2 : slots;
    return slots < window ? (uint32_t)slots : window;
}

int staging_init(struct staging *staging, struct transport_endpoint *endpoint, uint32_t slots,
                 uint32_t slot_bytes, uint32_t access, struct multifd_error *err)
{
    size_t bytes = (size_t)slots * slot_bytes;
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED) {
        return error_set_errno(err, MULTIFD_ERROR_SYSTEM, errno, "mmap(staging, %zu bytes)", bytes);
    }
    if (endpoint->ops->register_memory(endpoint, memory, bytes, access, &staging->registered,
                                       err) != 0) {
        munmap(memory, bytes);
        return -1;
    }
    staging->memory = memory;
    staging->bytes = bytes;
    staging->slots = slots;
    staging->slot_bytes = slot_bytes;
    return 0;
}

int staging_fini(struct staging *staging, struct transport_endpoint *endpoint,
                 struct multifd_error *err)
{
    int status;

    if (staging->memory == NULL) {
        return 0;
    }
    status = endpoint->ops->deregister_memory(&staging->registered, err);
    munmap(staging->memory, staging->bytes);
    memset(staging, 0, sizeof(*staging));
    return status;
}

uint8_t *staging_slot(const struct staging *staging, uint64_t message)
{
    return staging->memory + (size_t)(message % staging->slots) * staging->slot_bytes;
}
