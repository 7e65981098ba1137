/* SPDX-License-Identifier: MIT */
/*
 * packet_writer - turns batches of pages into packets on one channel of the source: splits the zero
 * pages off, lets the method prepare the others, and makes the writes that place the payload at the
 * destination. Used by the channel's thread alone.
 */
#ifndef MULTIFD_PACKET_WRITER_H
#define MULTIFD_PACKET_WRITER_H

#include "core/batch_ring.h"
#include "core/ram_block.h"
#include "core/staging.h"
#include "core/zero_sample.h"

/* Constant while channels exist. */
struct packet_writer_config {
    const struct multifd_methods *method;
    struct transport_endpoint *endpoint;
    uint32_t page_size;
    uint32_t page_count;
    uint64_t max_message; /* bytes of one write, a multiple of the page size */
    uint32_t slots;       /* of the staging; 0: the session needs none */
    int32_t level;        /* of the method */
    bool detect_zero_pages;
    bool sample_zero_pages; /* where hardly any is zero, so look at some of them only */
    bool stream;            /* the transport is a byte stream */
};

/* The destination's staging for a channel. */
struct remote_staging {
    uint64_t address;
    uint32_t key;
    uint32_t slots;
};

struct packet_writer {
    const struct packet_writer_config *config;
    struct multifd_send_params params;
    uint64_t *zero; /* scratch: offsets of zero pages */
    struct zero_sample sample;
    struct staging staging;
    struct remote_staging remote; /* set before the first batch comes */
    uint64_t messages;            /* composed so far */

    /* Of the packet composed last. */
    struct transport_write *writes;
    uint32_t writes_num;
    uint32_t zero_pages; /* params.zero has them, or runs of them */
    bool staged;         /* the destination has work with it: it should hear of it at once */
};

/* Prepares a writer that was zeroed, without its method. 0, or -1 with *err. */
int packet_writer_init(struct packet_writer *writer, const struct packet_writer_config *config,
                       uint8_t channel, struct multifd_error *err);

/* Sets the method and the staging up, on the channel's thread, once there is a connection. */
int packet_writer_start(struct packet_writer *writer, struct multifd_error *err);

/* Ends the method, on the channel's thread; after packet_writer_start, also if that failed. */
void packet_writer_stop(struct packet_writer *writer);

/* Releases the staging, after the channel's connection. 0, or -1 with *err. */
int packet_writer_release(struct packet_writer *writer, struct multifd_error *err);

/* Frees what packet_writer_init made. Accepts a writer that was zeroed. */
void packet_writer_fini(struct packet_writer *writer);

/* Whether zero pages alone are named as runs. */
bool packet_writer_makes_runs(const struct packet_writer_config *config);

/*
 * Puts a batch's zero pages behind the others, if they are looked for; both kinds keep their order.
 * Zero pages alone become runs where a message names them so. Once for each batch, at any time
 * before it is composed.
 */
void packet_writer_look(struct packet_writer *writer, struct page_batch *batch);

/* Composes the batch's packet in `packet`; params.packet_len is then its length. */
int packet_writer_compose(struct packet_writer *writer, const struct page_batch *batch,
                          uint8_t *packet, struct multifd_error *err);

#endif
