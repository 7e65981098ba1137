/* SPDX-License-Identifier: MIT */
/*
 * ram_holes.h - the holes of a sparse file in memory. To read one through a shared mapping fills
 * it: a guest that has hardly touched its memory would be made whole by being sent.
 *
 * The guest is stopped, so none is filled later. Holes of less than a MiB count as data: there is
 * more to lose by what it takes to leave them out.
 */
#ifndef MULTIFD_TOOL_RAM_HOLES_H
#define MULTIFD_TOOL_RAM_HOLES_H

#include <stdint.h>

struct ram_extent {
    uint64_t begin;
    uint64_t end;
};

/*
 * The first data at or behind `from` of a file of `length` bytes, as far as no hole interrupts it;
 * what begins and ends at `length` when there is none.
 */
struct ram_extent ram_holes_next_data(int fd, uint64_t from, uint64_t length);

/*
 * Lays anonymous memory, which reads as zero and costs nothing, over the holes that the file has
 * now in its mapping of `length` bytes at `host`. Where one cannot be covered it stays what it is.
 */
void ram_holes_cover(int fd, void *host, uint64_t length);

#endif
