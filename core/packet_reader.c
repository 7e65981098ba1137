/* SPDX-License-Identifier: MIT */
#include "core/packet_reader.h"

#include "compress/nocomp.h"
#include "core/base/checked.h"
#include "core/base/error.h"
#include "core/block_page.h"
#include "core/packet.h"
#include "core/zero_runs.h"

#include <stdlib.h>
#include <string.h>

/* The staging and the copy of a payload, if the session has any. */
static int init_staging(struct packet_reader *reader, struct multifd_error *err)
{
    const struct packet_reader_config *config = reader->config;
    uint32_t slot_bytes = packet_payload_max(config->page_count, config->page_size, config->stream);

    if (config->slots == 0) {
        return 0;
    }
    reader->payload = malloc(slot_bytes);
    if (reader->payload == NULL) {
        return error_set_nomem(err);
    }
    if (config->stream) {
        return 0; /* payloads are read straight to that copy */
    }
    return staging_init(&reader->staging, config->endpoint, config->slots, slot_bytes,
                        TRANSPORT_REMOTE_WRITE, err);
}

/* The most pages that one packet names. */
static uint32_t pages_max(const struct packet_reader_config *config)
{
    uint32_t in_runs = zero_runs_pages_max(config->page_size);

    return config->form == PACKET_EXACT && in_runs > config->page_count ? in_runs
                                                                        : config->page_count;
}

int packet_reader_init(struct packet_reader *reader, const struct packet_reader_config *config,
                       uint8_t channel, struct multifd_error *err)
{
    reader->config = config;
    reader->params.id = channel;
    reader->params.page_size = config->page_size;
    reader->params.page_count = config->page_count;
    reader->params.stream = config->stream ? 1 : 0;
    reader->blocks_known = config->form != PACKET_QEMU;
    reader->offsets = calloc(pages_max(config), sizeof(*reader->offsets));
    reader->pages = calloc(config->page_count, sizeof(*reader->pages));
    if (reader->offsets == NULL || reader->pages == NULL) {
        packet_reader_fini(reader);
        return error_set_nomem(err);
    }
    reader->seen = offset_set_new(pages_max(config), err);
    if (reader->seen == NULL || init_staging(reader, err) != 0) {
        packet_reader_fini(reader);
        return -1;
    }
    return 0;
}

int packet_reader_start(struct packet_reader *reader, struct multifd_error *err)
{
    const struct multifd_methods *method = reader->config->method;

    return method->recv_setup == NULL ? 0 : method->recv_setup(&reader->params, err);
}

void packet_reader_stop(struct packet_reader *reader)
{
    if (reader->config->method->recv_cleanup != NULL) {
        reader->config->method->recv_cleanup(&reader->params);
    }
}

int packet_reader_release(struct packet_reader *reader, struct multifd_error *err)
{
    return staging_fini(&reader->staging, reader->config->endpoint, err);
}

void packet_reader_fini(struct packet_reader *reader)
{
    offset_set_delete(&reader->seen);
    free(reader->offsets);
    free(reader->pages);
    free(reader->payload);
    reader->offsets = NULL;
    reader->pages = NULL;
    reader->payload = NULL;
}

static int find_block(struct packet_reader *reader, struct multifd_error *err)
{
    const char *name = reader->packet.ramblock;

    if (reader->block != NULL && strcmp(reader->block->name, name) == 0) {
        return 0;
    }
    reader->block = ram_table_find(reader->config->blocks, name);
    if (reader->block == NULL) {
        return error_set(err, MULTIFD_ERROR_PROTOCOL, "packet refused: unknown ramblock \"%.64s\"",
                         name);
    }
    return 0;
}

/* Looks at all of them before it judges, since a loop without ways out is the faster one. */
static bool are_pages(const uint64_t *offsets, uint32_t num, uint32_t page_size,
                      const struct multifd_ram_block *block)
{
    uint64_t bits = 0;
    uint64_t last = 0;

    for (uint32_t i = 0; i < num; i++) {
        bits |= offsets[i];
        last = offsets[i] > last ? offsets[i] : last;
    }
    return (bits & (page_size - 1)) == 0 && range_within(last, page_size, block->length);
}

static int refuse_offset(const struct packet_reader *reader, struct multifd_error *err)
{
    const uint64_t *offset = reader->offsets;

    while (are_pages(offset, 1, reader->config->page_size, reader->block)) {
        offset++;
    }
    return error_set(err, MULTIFD_ERROR_PROTOCOL,
                     "packet refused: offset %llu is no page of \"%s\"",
                     (unsigned long long)*offset, reader->block->name);
}

static int check_offsets(struct packet_reader *reader, struct multifd_error *err)
{
    uint32_t num = reader->packet.normal_pages + reader->packet.zero_pages;

    if (!are_pages(reader->offsets, num, reader->config->page_size, reader->block)) {
        return refuse_offset(reader, err);
    }
    if (offset_set_has_duplicate(reader->seen, reader->offsets, num)) {
        return error_set(err, MULTIFD_ERROR_PROTOCOL, "packet refused: a page of \"%s\" twice",
                         reader->block->name);
    }
    return 0;
}

/* From here on zero pages have an offset each, however they were named. */
static int expand_runs(struct packet_reader *reader, struct multifd_error *err)
{
    const struct packet_reader_config *config = reader->config;
    const struct multifd_packet *packet = &reader->packet;

    if (packet->zero_runs == 0) {
        return 0;
    }
    if (packet->zero_pages > pages_max(config) ||
        zero_runs_count(reader->offsets, packet->zero_runs, config->page_size) !=
            packet->zero_pages) {
        return error_set(err, MULTIFD_ERROR_PROTOCOL,
                         "packet refused: its %u runs are not %u zero pages, or too many",
                         packet->zero_runs, packet->zero_pages);
    }
    zero_runs_expand(reader->offsets, packet->zero_runs, config->page_size);
    return 0;
}

/* All that can be wrong with a packet, before anything is changed by it. */
static int validate(struct packet_reader *reader, const struct transport_message *message,
                    struct multifd_error *err)
{
    struct multifd_packet *packet = &reader->packet;

    if (packet_decode(message->bytes, message->length, reader->config->page_count,
                      reader->config->form, packet, reader->offsets, err) != 0) {
        return -1;
    }
    if (packet->packet_num < reader->next_num || packet->packet_num == UINT64_MAX) {
        return error_set(err, MULTIFD_ERROR_PROTOCOL, "packet refused: packet_num %llu after %llu",
                         (unsigned long long)packet->packet_num,
                         (unsigned long long)reader->next_num - 1);
    }
    if (packet->zero_pages != 0 && !reader->config->zero_pages) {
        return error_set(err, MULTIFD_ERROR_PROTOCOL,
                         "packet refused: zero pages were not agreed on");
    }
    if (packet->normal_pages + packet->zero_pages == 0) {
        return 0;
    }
    if (!reader->blocks_known) {
        return error_set(err, MULTIFD_ERROR_PROTOCOL,
                         "packet refused: pages before the first SYNC");
    }
    return find_block(reader, err) != 0 || expand_runs(reader, err) != 0
               ? -1
               : check_offsets(reader, err);
}

static bool is_stream(const struct packet_reader *reader)
{
    return (reader->params.write_flags & MULTIFD_WRITE_FLAG_STREAM) != 0;
}

static int refuse_size(const struct packet_reader *reader, struct multifd_error *err)
{
    return error_set(err, MULTIFD_ERROR_PROTOCOL,
                     "packet refused: a payload of %u bytes for %u pages of %u bytes",
                     reader->packet.next_packet_size, reader->packet.normal_pages,
                     reader->config->page_size);
}

/* Any method may send pages as they are, but for those whose streams leave nothing out. */
static bool is_uncompressed(const struct packet_reader *reader)
{
    uint32_t method = reader->params.flags & MULTIFD_FLAG_COMPRESSION_MASK;

    return method == MULTIFD_FLAG_NOCOMP && !is_stream(reader);
}

/*
 * Where the payload is: NULL when it is as large as its pages, and so in place. Another is copied
 * out of its slot first: the peer can write there at any time, and no decompressor is made for
 * input that changes while it is read.
 */
static int fetch_payload(struct packet_reader *reader, struct multifd_error *err)
{
    uint32_t length = reader->packet.next_packet_size;
    uint32_t whole = reader->packet.normal_pages * reader->config->page_size;

    reader->params.payload = NULL;
    if (length == whole || reader->config->slots == 0) {
        return 0;
    }
    if (length == 0 || length > whole) {
        return refuse_size(reader, err);
    }
    memcpy(reader->payload, staging_slot(&reader->staging, reader->messages), length);
    reader->params.payload = reader->payload;
    return 0;
}

/* Adjacent pages are read as one. */
static void read_to_pages(struct packet_reader *reader)
{
    uint32_t page_size = reader->config->page_size;
    uint64_t end = UINT64_MAX;
    uint32_t num = 0;

    for (uint32_t i = 0; i < reader->packet.normal_pages; i++) {
        uint64_t offset = reader->offsets[i];

        if (offset == end) {
            reader->pages[num - 1].iov_len += page_size;
        } else {
            reader->pages[num++] =
                (struct iovec){.iov_base = reader->block->host + offset, .iov_len = page_size};
        }
        end = offset + page_size;
    }
    reader->iov = reader->pages;
    reader->iovs_num = num;
}

/* Where a payload that follows in the stream belongs: to its pages, or to where it is unpacked. */
static int place_payload(struct packet_reader *reader, struct multifd_error *err)
{
    const struct packet_reader_config *config = reader->config;
    uint32_t length = reader->packet.next_packet_size;
    uint32_t whole = reader->packet.normal_pages * config->page_size;
    uint32_t most =
        is_stream(reader) ? packet_payload_max(config->page_count, config->page_size, true) : whole;

    reader->params.payload = NULL;
    /* First, since a source with another method is best told by the packet's flags. */
    if ((is_uncompressed(reader) || config->slots == 0) &&
        multifd_nocomp_ops.recv(&reader->params, err) != 0) {
        return -1;
    }
    if (length == 0 || length > most) {
        return refuse_size(reader, err);
    }
    if (length == whole && !is_stream(reader)) {
        read_to_pages(reader);
        return 0;
    }
    reader->pages[0] = (struct iovec){.iov_base = reader->payload, .iov_len = length};
    reader->iov = reader->pages;
    reader->iovs_num = 1;
    reader->params.payload = reader->payload;
    return 0;
}

static void set_params(struct packet_reader *reader)
{
    struct multifd_recv_params *p = &reader->params;

    if (reader->block->received != NULL) {
        page_bitmap_mark(reader->block->received, reader->offsets, reader->packet.normal_pages);
    }
    p->host = reader->block->host;
    p->normal = reader->offsets;
    p->normal_num = reader->packet.normal_pages;
    p->flags = reader->packet.flags & ~MULTIFD_FLAG_SYNC;
    p->next_packet_size = reader->packet.next_packet_size;
}

static int take_payload(struct packet_reader *reader, struct multifd_error *err)
{
    struct multifd_recv_params *p = &reader->params;

    if (is_uncompressed(reader)) {
        return multifd_nocomp_ops.recv(p, err);
    }
    if (!reader->config->stream && fetch_payload(reader, err) != 0) {
        return -1;
    }
    return reader->config->method->recv(p, err);
}

static void clear_zero_pages(struct packet_reader *reader)
{
    const uint64_t *zero = reader->offsets + reader->packet.normal_pages;
    uint32_t page_size = reader->config->page_size;

    for (uint32_t i = 0; i < reader->packet.zero_pages; i++) {
        block_page_clear(reader->block, zero[i], page_size);
    }
}

int packet_reader_begin(struct packet_reader *reader, const struct transport_message *message,
                        struct multifd_error *err)
{
    reader->iovs_num = 0;
    if (validate(reader, message, err) != 0) {
        return -1;
    }
    if (reader->packet.normal_pages == 0) {
        return 0;
    }
    set_params(reader);
    return reader->config->stream ? place_payload(reader, err) : 0;
}

int packet_reader_end(struct packet_reader *reader, struct multifd_error *err)
{
    if (reader->packet.normal_pages != 0 && take_payload(reader, err) != 0) {
        return -1;
    }
    clear_zero_pages(reader);
    /* QEMU gives one number to a packet with pages and SYNC, and to the empty one behind it. */
    reader->next_num = reader->packet.packet_num + (reader->config->form == PACKET_QEMU ? 0 : 1);
    reader->messages++;
    return 0;
}
