/* SPDX-License-Identifier: MIT */
/*
 * compress_rig - a source's and a destination's channel of one method, with the RAM of both. The
 * destination's RAM holds RIG_CANARY; a packet may change the pages that it names and no other
 * byte.
 */
#ifndef MULTIFD_UNIT_COMPRESS_RIG_H
#define MULTIFD_UNIT_COMPRESS_RIG_H

#include "mock.h"

#include <multifd_method.h>

#define RIG_CANARY 0xc5

struct rig_method {
    const struct multifd_methods *ops;
    uint32_t flag;
    const char *name;
    int lowest;
    int highest;
};

struct rig {
    const struct rig_method *method;
    uint32_t page_size;
    uint32_t page_count;
    size_t ram_bytes; /* of each side; page 0 and the last page are never named */
    uint8_t *source;
    uint8_t *destination;
    uint64_t *offsets; /* the packet's pages, of both sides */
    uint32_t pages;
    struct multifd_send_params send;
    struct multifd_recv_params recv;
};

/* Both channels are set up; a packet takes page_count pages. */
void rig_make(struct rig *rig, const struct rig_method *method, uint32_t page_size,
              uint32_t page_count, int level);
/* The same over a byte stream, where a channel's payloads are pieces of one. */
void rig_make_stream(struct rig *rig, const struct rig_method *method, uint32_t page_size,
                     uint32_t page_count, int level);
void rig_release(struct rig *rig);

/* A receiving channel that has seen nothing, in the place of the rig's. */
void rig_renew_receiver(struct rig *rig);

/* Which pages are the packet's. */
void rig_adjacent(struct rig *rig, uint32_t pages);
void rig_every_other(struct rig *rig, uint32_t pages);
void rig_backwards(struct rig *rig, uint32_t pages);

/* What is in the source's RAM. */
void rig_fill_zero(struct rig *rig);
void rig_fill_text(struct rig *rig);
void rig_fill_random(struct rig *rig);
void rig_fill_mixed(struct rig *rig); /* a random page after each page of text */

/* Prepares the packet, which must succeed. */
void rig_prepare(struct rig *rig);
bool rig_is_compressed(const struct rig *rig);

/* Prepares, expects a payload of the method, receives it. */
void rig_pass(struct rig *rig);

/* Receives any bytes for the packet's pages; returns what the hook returns. Canaries must live on.
 */
int rig_receive(struct rig *rig, const uint8_t *payload, size_t length, struct multifd_error *err);

/* Receives bytes that must be refused with a sentence that holds `part`. */
void rig_refuses(struct rig *rig, const uint8_t *payload, size_t length, const char *part);

/* The packet's pages are the same on both sides. */
void rig_assert_arrived(const struct rig *rig);

/* A number that looks random, the same ones in every run. */
uint32_t rig_random(void);

#endif
