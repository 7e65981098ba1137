/* SPDX-License-Identifier: MIT */
/*
 * reader_rig - a packet_reader with two RAM blocks, and a method that notes what it is given.
 */
#ifndef MULTIFD_UNIT_READER_RIG_H
#define MULTIFD_UNIT_READER_RIG_H

#include "core/packet.h"
#include "core/packet_reader.h"
#include "fake_memory.h"

#define PAGE  4096u
#define PAGES 8u  /* of one packet */
#define RAM   32u /* pages of "pc.ram" */
#define VGA   4u  /* pages of "vga" */
#define SLOTS 3u

#define RAM_BYTE 0x11 /* what is in each block at first */
#define VGA_BYTE 0x22

/* The method's calls are logged as "recv_setup", "recv" and "recv_cleanup". */
struct reader_hook {
    bool overwrite; /* the peer writes to all slots before the payload is read */
    uint8_t first;  /* of the payload's bytes, as read after that */
    uint8_t last;
    bool in_slot;                    /* the payload was no copy */
    struct multifd_recv_params seen; /* as recv found it */
};

struct reader_rig {
    uint8_t *ram; /* begins with a page of this host's */
    uint8_t *vga;
    struct packet_reader_config config;
    struct packet_reader reader;
    struct reader_hook hook;
};

extern struct reader_rig rig;
extern const struct multifd_methods rig_method;

/* For cmocka: all but the reader; a reader too; one of a session without staging. */
int rig_prepare(void **state);
int rig_clear(void **state);
int rig_make(void **state);
int rig_make_in_place(void **state);
int rig_make_stream(void **state);
int rig_release(void **state);
#define with_config(function) cmocka_unit_test_setup_teardown(function, rig_prepare, rig_clear)
#define with_reader(function) cmocka_unit_test_setup_teardown(function, rig_make, rig_release)
#define with_in_place(function)                                                                    \
    cmocka_unit_test_setup_teardown(function, rig_make_in_place, rig_release)

/* Over a byte stream, of multifd or, if the test says so first, of QEMU. */
#define with_stream(function)                                                                      \
    cmocka_unit_test_setup_teardown(function, rig_make_stream, rig_release)

/* A packet as the peer made it. */
struct sent {
    const char *block;
    uint32_t flags;
    uint32_t sync_channels;
    uint32_t length;
    uint32_t normal_num;
    uint32_t zero_num;
    uint64_t offsets[PAGES]; /* normal pages, then zero pages: alone in a message, runs of them */
    uint32_t run_pages;      /* how many pages the runs have; 0: one each */
    uint64_t packet_num;     /* 0: the next */
};

/* Two pages, whose payload is staged. */
#define STAGED(bytes)                                                                              \
    {                                                                                              \
        .block = "pc.ram", .flags = MULTIFD_FLAG_ZSTD, .length = (bytes), .normal_num = 2,         \
        .offsets = {                                                                               \
            7 * PAGE,                                                                              \
            2 * PAGE                                                                               \
        }                                                                                          \
    }

/* Only begins it; what the reader returns. */
int rig_begin(const struct sent *sent, struct multifd_error *err);

/* Takes a packet: returns what the reader returns, or must succeed. */
int rig_try_take(const struct sent *sent, struct multifd_error *err);
void rig_take(const struct sent *sent);
void rig_take_sync(void);

/* It is refused with a sentence that holds `part`, changes nothing, and no method is asked. */
void rig_refuses(const struct sent *sent, const char *part);

#endif
