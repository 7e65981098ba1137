/* SPDX-License-Identifier: MIT */
/*
 * third_party - a method that is not the library's: it sends from guest memory as nocomp does, a
 * page a slot, counts its hooks, and misbehaves when a test says so.
 */
#ifndef THIRD_PARTY_H
#define THIRD_PARTY_H

#include <multifd_method.h>
#include <stdatomic.h>
#include <stdbool.h>

#define THIRD_PARTY_FLAG (3u << 1)
#define THIRD_PARTY_NAME "third"

enum third_party_hook {
    THIRD_NONE,
    THIRD_SEND_SETUP,
    THIRD_SEND_PREPARE,
    THIRD_RECV_SETUP,
    THIRD_RECV,
};

enum third_party_fault {
    THIRD_SOUND,
    THIRD_NOT_IN_PLACE, /* no MULTIFD_WRITE_FLAG_ZERO_COPY */
    THIRD_ELSEWHERE,    /* a slot outside the RAM block */
    THIRD_BEHIND_END,   /* a slot that goes beyond the RAM block's end */
    THIRD_TOO_MUCH,     /* more bytes than the packet's pages */
    THIRD_HALF_A_PAGE,  /* a slot that is not made of pages */
    THIRD_WRONG_LENGTH, /* a next_packet_size that is not the payload's */
    THIRD_WRONG_METHOD, /* another method's bits in flags */
};

enum { THIRD_PARTY_CHANNELS = 8 };

/* Of one channel. A channel's hooks run on its own thread; read it after the session. */
struct third_party_channel {
    unsigned send_setups;
    unsigned send_cleanups;
    unsigned send_prepares;
    unsigned recv_setups;
    unsigned recv_cleanups;
    unsigned recvs;
    /* A hook before its setup, after its cleanup, or without its state. */
    unsigned send_disorders;
    unsigned recv_disorders;
};

extern struct third_party_channel third_party_channels[THIRD_PARTY_CHANNELS];
extern const struct multifd_methods third_party_ops;
/* Likewise, without the two hooks that may be NULL. */
extern const struct multifd_methods third_party_least_ops;

/* Forgets all counts. The hook fails on channel 1, from the third call on if it is for packets. */
void third_party_reset(enum third_party_hook fails, enum third_party_fault fault);

#endif
