/* SPDX-License-Identifier: MIT */
/*
 * probes - static probes (USDT) for bpftrace, perf, SystemTap and gdb, of the provider "multifd".
 *
 * Where nobody watches a probe is one nop: it takes values that are at hand, and nothing is
 * computed for it. multifd(1) describes them for users; a test compares it with what is built.
 */
#ifndef MULTIFD_PROBES_H
#define MULTIFD_PROBES_H

#ifdef MULTIFD_USDT
#include <sys/sdt.h>
#define PROBE_1(name, a)             DTRACE_PROBE1(multifd, name, a)
#define PROBE_2(name, a, b)          DTRACE_PROBE2(multifd, name, a, b)
#define PROBE_3(name, a, b, c)       DTRACE_PROBE3(multifd, name, a, b, c)
#define PROBE_5(name, a, b, c, d, e) DTRACE_PROBE5(multifd, name, a, b, c, d, e)
#else
/* Nothing is evaluated, but what is handed over for a probe only counts as used. */
#define PROBE_1(name, a)             ((void)sizeof(a))
#define PROBE_2(name, a, b)          ((void)sizeof(a), (void)sizeof(b))
#define PROBE_3(name, a, b, c)       ((void)sizeof(a), (void)sizeof(b), (void)sizeof(c))
#define PROBE_5(name, a, b, c, d, e) (PROBE_2(name, a, b), PROBE_3(name, c, d, e))
#endif

/* Source: a packet, or a SYNC (without pages), has been posted on a channel. */
#define PROBE_PACKET_POSTED(channel, packet_num, normal_pages, zero_pages, wire_bytes)             \
    PROBE_5(packet_posted, channel, packet_num, normal_pages, zero_pages, wire_bytes)

/* Destination: a packet has come, was found valid and is applied. */
#define PROBE_PACKET_RECEIVED(channel, packet_num, normal_pages, zero_pages, wire_bytes)           \
    PROBE_5(packet_received, channel, packet_num, normal_pages, zero_pages, wire_bytes)

/* Source: a packet waits for credits from the destination; once for each packet that has to. */
#define PROBE_CREDIT_STALL(channel, packet_num) PROBE_2(credit_stall, channel, packet_num)

/* Source: the end of a round, counted from 1: multifd_send_sync_main begins, and has succeeded. */
#define PROBE_SYNC_BEGIN(round) PROBE_1(sync_begin, round)
#define PROBE_SYNC_END(round)   PROBE_1(sync_end, round)

/* Destination: every channel has applied the round. */
#define PROBE_ROUND_APPLIED(round) PROBE_1(round_applied, round)

/*
 * The session's first error: enum multifd_error_code, the channel or what stands for none, and the
 * text.
 */
#define PROBE_ERROR(code, channel, message) PROBE_3(error, code, channel, message)

#endif
