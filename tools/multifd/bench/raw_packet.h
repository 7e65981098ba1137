/* SPDX-License-Identifier: MIT */
/* raw_packet.h - the sizes of a session's packets, which the raw loop imitates. */
#ifndef MULTIFD_BENCH_RAW_PACKET_H
#define MULTIFD_BENCH_RAW_PACKET_H

#include <multifd_method.h>
#include <stdint.h>

/* As multifd_method.h tells of the wire form of struct multifd_packet. */
static inline uint32_t raw_header_bytes(uint32_t pages)
{
    return 320 + 8 * pages;
}

static inline uint32_t raw_packet_pages(uint64_t page_size)
{
    uint32_t packet = MULTIFD_PACKET_SIZE;

    return page_size < packet ? (uint32_t)(packet / page_size) : 1;
}

#endif
