/* SPDX-License-Identifier: MIT */
/* The allocator with switches: mock_fail("malloc", ENOMEM) fails all of these. */
#include "mock.h"

#include <stdlib.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t num, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t num, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
char *__wrap_strdup(const char *text);

void *__wrap_malloc(size_t size)
{
    return mock_check("malloc") != 0 ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t num, size_t size)
{
    return mock_check("malloc") != 0 ? NULL : __real_calloc(num, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    return mock_check("malloc") != 0 ? NULL : __real_realloc(memory, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return mock_check("malloc") != 0 ? NULL : __real_aligned_alloc(alignment, size);
}

char *__wrap_strdup(const char *text)
{
    return mock_check("malloc") != 0 ? NULL : __real_strdup(text);
}
