/* SPDX-License-Identifier: MIT */
#include "ram_holes.h"

#include <sys/mman.h>
#include <unistd.h>

/* Smaller ones are not worth a mapping of their own. */
#define HOLE_LEAST (UINT64_C(1) << 20)

/* A process may have 65530 mappings (vm.max_map_count), and each cover makes two more. */
#define HOLES_MOST 4096u

/* Where the file's first data or hole at or behind `from` begins; `length` when there is none. */
static uint64_t seek(int fd, uint64_t from, int whence, uint64_t length)
{
    off_t at = lseek(fd, (off_t)from, whence);

    return at < 0 || (uint64_t)at > length ? length : (uint64_t)at;
}

static void cover(uint8_t *host, uint64_t begin, uint64_t end)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

    begin = (begin + page - 1) / page * page;
    end = end / page * page;
    if (begin >= end || end - begin < HOLE_LEAST ||
        mmap(host + begin, (size_t)(end - begin), PROT_READ,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED) {
        return;
    }
    /* One page of zeros for 2 MiB, where the kernel has that: the look at them faults 512 times
     * less. */
    (void)madvise(host + begin, (size_t)(end - begin), MADV_HUGEPAGE);
}

void ram_holes_cover(int fd, void *host, uint64_t length)
{
    uint64_t end = 0;

    for (uint32_t i = 0; end < length && i < HOLES_MOST; i++) {
        uint64_t begin = seek(fd, end, SEEK_HOLE, length);

        end = seek(fd, begin, SEEK_DATA, length);
        cover(host, begin, end);
    }
}
