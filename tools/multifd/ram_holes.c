/* SPDX-License-Identifier: MIT */
#include "ram_holes.h"

#include <sys/mman.h>
#include <unistd.h>

#define HOLE_LEAST (UINT64_C(1) << 20)

/* A process may have 65530 mappings (vm.max_map_count), and each cover makes two more. */
#define HOLES_MOST 4096u

/* Where the file's first data or hole at or behind `from` begins; `length` when there is none. */
static uint64_t seek(int fd, uint64_t from, int whence, uint64_t length)
{
    off_t at = lseek(fd, (off_t)from, whence);

    return at < 0 || (uint64_t)at > length ? length : (uint64_t)at;
}

/* Where the hole at `from` ends; `from` when there is none of that size. */
static uint64_t skip_hole(int fd, uint64_t from, uint64_t length)
{
    uint64_t data = seek(fd, from, SEEK_DATA, length);

    return data - from < HOLE_LEAST ? from : data;
}

struct ram_extent ram_holes_next_data(int fd, uint64_t from, uint64_t length)
{
    struct ram_extent data = {.begin = skip_hole(fd, from, length)};

    data.end = data.begin;
    while (data.end < length) {
        uint64_t hole = seek(fd, data.end, SEEK_HOLE, length);

        if (skip_hole(fd, hole, length) != hole) {
            data.end = hole;
            break;
        }
        data.end = seek(fd, hole, SEEK_DATA, length);
    }
    return data;
}

static void cover(uint8_t *host, uint64_t begin, uint64_t end)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

    begin = (begin + page - 1) / page * page;
    end = end / page * page;
    if (begin >= end ||
        mmap(host + begin, (size_t)(end - begin), PROT_READ,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED) {
        return;
    }
    /* One page of zeros for 2 MiB, where the kernel has that: whoever reads them all faults 512
     * times less. */
    (void)madvise(host + begin, (size_t)(end - begin), MADV_HUGEPAGE);
}

void ram_holes_cover(int fd, void *host, uint64_t length)
{
    uint64_t end = 0;

    for (uint32_t i = 0; end < length && i < HOLES_MOST; i++) {
        struct ram_extent data = ram_holes_next_data(fd, end, length);

        cover(host, end, data.begin);
        end = data.end;
    }
}
