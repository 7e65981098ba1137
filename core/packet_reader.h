/* SPDX-License-Identifier: MIT */
/*
 * packet_reader - takes packets in on one channel of the destination: validates each completely
 * before anything is changed by it, then lets the method take its payload and clears its zero
 * pages. Over a byte stream the payload is read between the two. Used by the channel's thread
 * alone.
 */
#ifndef MULTIFD_PACKET_READER_H
#define MULTIFD_PACKET_READER_H

#include <multifd_method.h>

#include "core/offset_set.h"
#include "core/packet.h"
#include "core/ram_block.h"
#include "core/staging.h"

/* Constant while channels exist. */
struct packet_reader_config {
    const struct ram_table *blocks;
    const struct multifd_methods *method;
    struct transport_endpoint *endpoint;
    uint32_t page_size;
    uint32_t page_count;
    uint32_t slots;        /* of the staging; 0: the session needs none */
    bool zero_pages;       /* may come */
    bool stream;           /* the transport is a byte stream */
    enum packet_form form; /* of headers */
};

struct packet_reader {
    const struct packet_reader_config *config;
    struct multifd_recv_params params;
    struct multifd_packet packet; /* taken in last */
    uint64_t *offsets;
    struct offset_set *seen;
    struct multifd_ram_block *block; /* of the packet before: most often the next one's too */
    uint64_t next_num;               /* the least packet_num that may come */
    uint64_t messages;               /* taken in so far */
    bool blocks_known; /* config->blocks is constant from now on; QEMU: after the first round */
    struct staging staging;
    uint8_t *payload; /* private copy of a packet's payload */

    /* Byte streams: where the payload of the packet in hand is still to be read to. */
    struct iovec *pages; /* room for the packet's */
    struct iovec *iov;
    uint32_t iovs_num;
};

/* Prepares a reader that was zeroed, without its method. 0, or -1 with *err and nothing made. */
int packet_reader_init(struct packet_reader *reader, const struct packet_reader_config *config,
                       uint8_t channel, struct multifd_error *err);

/* Sets the method up and ends it, on the channel's thread. */
int packet_reader_start(struct packet_reader *reader, struct multifd_error *err);
void packet_reader_stop(struct packet_reader *reader);

/* Releases the staging, after the channel's connection. 0, or -1 with *err. */
int packet_reader_release(struct packet_reader *reader, struct multifd_error *err);

/* Frees the rest of what packet_reader_init made. Accepts a reader that was zeroed. */
void packet_reader_fini(struct packet_reader *reader);

/*
 * Takes one message in, as reader->packet, so far that its payload may be read to reader->iov, of
 * which there may be none. 0, or -1 with *err and nothing changed.
 */
int packet_reader_begin(struct packet_reader *reader, const struct transport_message *message,
                        struct multifd_error *err);

/* Does with the payload, once it is there, and with the zero pages what the packet says. */
int packet_reader_end(struct packet_reader *reader, struct multifd_error *err);

#endif
