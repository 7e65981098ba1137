/* SPDX-License-Identifier: MIT */
#include "fake_memory.h"

#include "core/base/error.h"

#include <sys/mman.h>

/* Mappings that exist; more than any test has at once. */
static struct mapping {
    void *address;
    size_t bytes;
    void *object; /* NULL: a free entry */
} mappings[4];

struct fake_registration fake_memory_registered;

void *__real_mmap(void *address, size_t bytes, int protection, int flags, int fd, off_t offset);
int __real_munmap(void *address, size_t bytes);
void *__wrap_mmap(void *address, size_t bytes, int protection, int flags, int fd, off_t offset);
int __wrap_munmap(void *address, size_t bytes);

static struct mapping *find_mapping(const void *address)
{
    for (size_t i = 0; i < COUNT_OF(mappings); i++) {
        if (address == NULL ? mappings[i].object == NULL
                            : mappings[i].object != NULL && mappings[i].address == address) {
            return &mappings[i];
        }
    }
    fail_msg("no mapping of %p, or too many", address);
    return NULL;
}

void *__wrap_mmap(void *address, size_t bytes, int protection, int flags, int fd, off_t offset)
{
    void *memory;

    if (mock_enter("mmap") != 0) {
        return MAP_FAILED;
    }
    memory = __real_mmap(address, bytes, protection, flags, fd, offset);
    assert_ptr_not_equal(memory, MAP_FAILED);
    *find_mapping(NULL) = (struct mapping){memory, bytes, mock_object(1)};
    return memory;
}

int __wrap_munmap(void *address, size_t bytes)
{
    struct mapping *mapping = find_mapping(address);

    mock_enter("munmap");
    assert_int_equal(bytes, mapping->bytes); /* whole */
    mock_object_free(mapping->object);
    mapping->object = NULL;
    return __real_munmap(address, bytes);
}

static int register_memory(struct transport_endpoint *endpoint, void *address, uint64_t length,
                           uint32_t access, struct transport_memory *memory,
                           struct multifd_error *err)
{
    assert_ptr_equal(endpoint, &fake_memory_endpoint);
    if (mock_enter("register_memory") != 0) {
        return error_set(err, MULTIFD_ERROR_DEVICE, "register_memory was to fail");
    }
    fake_memory_registered = (struct fake_registration){address, length, access};
    *memory = (struct transport_memory){mock_object(1), FAKE_LOCAL_KEY, FAKE_REMOTE_KEY};
    return 0;
}

static int deregister_memory(struct transport_memory *memory, struct multifd_error *err)
{
    int errnum = mock_enter("deregister_memory");

    mock_object_free(memory->handle);
    memory->handle = NULL;
    return errnum == 0 ? 0 : error_set(err, MULTIFD_ERROR_DEVICE, "deregister_memory was to fail");
}

static const struct transport_endpoint_ops ops = {.register_memory = register_memory,
                                                  .deregister_memory = deregister_memory};

struct transport_endpoint fake_memory_endpoint = {.ops = &ops};
