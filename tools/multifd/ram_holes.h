/* SPDX-License-Identifier: MIT */
/*
 * ram_holes.h - the holes of a sparse file in memory. To read one through a shared mapping fills
 * it: a guest that has hardly touched its memory would be made whole by being sent.
 */
#ifndef MULTIFD_TOOL_RAM_HOLES_H
#define MULTIFD_TOOL_RAM_HOLES_H

#include <stdint.h>

/*
 * Lays anonymous memory, which reads as zero and costs nothing, over the large holes that the file
 * has now in its mapping of `length` bytes at `host`. The guest is stopped, so none is filled
 * later. Where a hole cannot be covered it stays what it is.
 */
void ram_holes_cover(int fd, void *host, uint64_t length);

#endif
