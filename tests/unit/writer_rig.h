/* SPDX-License-Identifier: MIT */
/*
 * writer_rig - a packet_writer with a RAM block of 32 pages in pieces of 4, and a method that does
 * what a test tells it.
 */
#ifndef MULTIFD_UNIT_WRITER_RIG_H
#define MULTIFD_UNIT_WRITER_RIG_H

#include "core/packet.h"
#include "core/packet_writer.h"
#include "fake_memory.h"

#define PAGE   4096u
#define PAGES  8u  /* of one packet */
#define BLOCK  32u /* pages */
#define PIECE  4u  /* pages */
#define LOCAL  4u  /* slots */
#define REMOTE 3u  /* slots */

#define REMOTE_ADDRESS UINT64_C(0x700000000000)
#define REMOTE_KEY     77u

/* The method's calls are logged as "send_setup", "send_prepare" and "send_cleanup". */
struct writer_hook {
    uint32_t write_flags;
    uint32_t length;                              /* of the payload; 0: the pages as they are */
    void (*spoil)(struct multifd_send_params *p); /* what send_prepare does wrong at the end */
    struct multifd_send_params seen;              /* as send_prepare found it */
};

struct writer_rig {
    uint8_t *host; /* no page is zero at first */
    struct packet_writer_config config;
    struct packet_writer writer;
    struct page_batch batch;
    struct writer_hook hook;
    uint8_t *bytes; /* the packet: just the room for it */
};

extern struct writer_rig rig;

/* For cmocka: a writer that is initialized, or started too, with an empty log. */
int rig_make(void **state);
int rig_release(void **state);
int rig_make_started(void **state);
int rig_release_started(void **state);
#define with_writer(function) cmocka_unit_test_setup_teardown(function, rig_make, rig_release)
#define with_started(function)                                                                     \
    cmocka_unit_test_setup_teardown(function, rig_make_started, rig_release_started)

/* Starts it, which must succeed, and names the destination's staging. */
void rig_start(void);

/* Ends it, which must succeed. */
void rig_stop(void);

/* Makes the batch of pages, named by their numbers; its packet_num is 3 above the last. */
void rig_fill(const uint32_t *pages, uint32_t num);
#define FILL(...)                                                                                  \
    rig_fill((const uint32_t[]){__VA_ARGS__}, (uint32_t)COUNT_OF(((const uint32_t[]){__VA_ARGS__})))

/* Makes the batch a SYNC without pages, of that many channels. */
void rig_fill_sync(uint32_t sync_channels);

/* Composes the batch's packet: returns what the writer returns, or must succeed. */
int rig_try_compose(struct multifd_error *err);
void rig_compose(void);

/* What the destination reads from the packet. */
struct multifd_packet rig_decode(uint64_t *offsets);

#endif
