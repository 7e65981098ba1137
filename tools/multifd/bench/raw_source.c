/* SPDX-License-Identifier: MIT */
#include "raw_loop.h"

#include "fail.h"
#include "raw_packet.h"
#include "verbs_link_qp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct raw_channel {
    struct verbs_link link;
    uint64_t posted;    /* packets */
    uint64_t in_flight; /* those of them whose SEND has not completed */
    uint32_t entries;   /* in the send queue, of the packets in flight */
    uint32_t *packets;  /* the entries of each packet in flight, by its number in the window */
};

struct raw_source {
    const struct bench_case *bench;
    const struct bench_memory *memory;
    uint32_t packet_pages;
    uint32_t depth; /* of each send queue */
    struct ibv_mr *region;
    struct ibv_mr *header_region;
    uint8_t *header; /* what every packet ends with; its content is not looked at */
    struct ibv_send_wr *requests;
    struct ibv_sge *parts;
    struct raw_channel *channels;
};

/* The send-queue entries that one packet can take. */
static uint32_t packet_entries(const struct raw_source *source)
{
    return source->packet_pages + 1;
}

/*
 * As a session chooses it: what was asked for, else room for the whole window as far as the device
 * gives it. Packets of few WRITEs then still fill the window of a queue that is shorter.
 */
static int choose_depth(struct raw_source *source, struct multifd_error *err)
{
    uint64_t asked = source->bench->verbs.tx_depth;
    uint64_t all = source->bench->window * packet_entries(source);
    struct ibv_device_attr attributes;
    uint64_t most;

    if (ibv_query_device(source->channels[0].link.id->verbs, &attributes) != 0) {
        return tool_fail(err, MULTIFD_ERROR_DEVICE, "ibv_query_device: %s", strerror(errno));
    }
    most = (uint64_t)attributes.max_qp_wr;
    if (asked > most) {
        return tool_fail(err, MULTIFD_ERROR_LIMIT, "tx-depth %u is above the device's max_qp_wr %u",
                         (unsigned)asked, (unsigned)most);
    }
    source->depth = (uint32_t)(asked != 0 ? asked : all < most ? all : most);
    return source->depth >= packet_entries(source)
               ? 0
               : tool_fail(err, MULTIFD_ERROR_LIMIT,
                           "a send queue of %u entries has no room for a packet of the bare verbs "
                           "loop, which can take %u",
                           source->depth, packet_entries(source));
}

/* The first link finds the device; what belongs to the device is made then. */
static int register_all(struct raw_source *source, struct multifd_error *err)
{
    const struct verbs_link *link = &source->channels[0].link;

    source->region = verbs_link_register(link, source->memory->bytes, source->memory->length, err);
    if (source->region == NULL) {
        return -1;
    }
    source->header_region =
        verbs_link_register(link, source->header, raw_header_bytes(source->packet_pages), err);
    return source->header_region == NULL ? -1 : choose_depth(source, err);
}

static int connect_channels(struct raw_source *source, uint16_t port, struct multifd_error *err)
{
    struct verbs_depth depth = {.receive_wr = 1};

    for (uint64_t i = 0; i < source->bench->channels; i++) {
        struct raw_channel *channel = &source->channels[i];
        struct verbs_link *link = &channel->link;

        channel->packets = calloc(source->bench->window, sizeof(*channel->packets));
        if (channel->packets == NULL) {
            return tool_fail(err, MULTIFD_ERROR_SYSTEM, "no memory");
        }
        if (verbs_link_resolve(link, &source->bench->verbs, source->bench->address.host, port,
                               err) != 0 ||
            (i == 0 && register_all(source, err) != 0)) {
            return -1;
        }
        depth.send_wr = source->depth;
        if (verbs_link_connect(link, &depth, source->region, err) != 0) {
            return -1;
        }
        if (link->remote_length < source->memory->length) {
            return tool_fail(err, MULTIFD_ERROR_PROTOCOL, "the other side's memory is too small");
        }
    }
    return 0;
}

struct raw_source *raw_source_new(const struct bench_case *bench, const struct bench_memory *memory,
                                  uint16_t port, struct multifd_error *err)
{
    struct raw_source *source = calloc(1, sizeof(*source));

    if (source == NULL) {
        (void)tool_fail(err, MULTIFD_ERROR_SYSTEM, "no memory");
        return NULL;
    }
    source->bench = bench;
    source->memory = memory;
    source->packet_pages = raw_packet_pages(memory->page_size);
    source->header = calloc(1, raw_header_bytes(source->packet_pages));
    source->requests = calloc(packet_entries(source), sizeof(*source->requests));
    source->parts = calloc(packet_entries(source), sizeof(*source->parts));
    source->channels = calloc(bench->channels, sizeof(*source->channels));
    if (source->header == NULL || source->requests == NULL || source->parts == NULL ||
        source->channels == NULL) {
        (void)tool_fail(err, MULTIFD_ERROR_SYSTEM, "no memory");
        raw_source_delete(&source);
        return NULL;
    }
    if (connect_channels(source, port, err) != 0) {
        raw_source_delete(&source);
    }
    return source;
}

void raw_source_delete(struct raw_source **source)
{
    struct raw_source *gone = *source;

    if (gone == NULL) {
        return;
    }
    if (gone->region != NULL) {
        (void)ibv_dereg_mr(gone->region);
    }
    if (gone->header_region != NULL) {
        (void)ibv_dereg_mr(gone->header_region);
    }
    for (uint64_t i = 0; gone->channels != NULL && i < gone->bench->channels; i++) {
        verbs_link_close(&gone->channels[i].link);
        free(gone->channels[i].packets);
    }
    free(gone->header);
    free(gone->requests);
    free(gone->parts);
    free(gone->channels);
    free(gone);
    *source = NULL;
}

json_t *raw_source_link_json(const struct raw_source *source)
{
    return verbs_link_qp_json(&source->channels[0].link);
}

/* The WRITEs of a packet, one for each run; their number. */
static uint32_t build_writes(struct raw_source *source, const struct verbs_link *link,
                             const uint64_t *offsets, uint64_t pages)
{
    uint32_t page_size = (uint32_t)source->memory->page_size;
    uint32_t num = 0;

    for (uint64_t i = 0; i < pages; i++) {
        if (i != 0 && offsets[i] == offsets[i - 1] + page_size) {
            source->parts[num - 1].length += page_size;
            continue;
        }
        source->parts[num] = (struct ibv_sge){.addr = (uintptr_t)source->memory->bytes + offsets[i],
                                              .length = page_size,
                                              .lkey = source->region->lkey};
        source->requests[num] = (struct ibv_send_wr){
            .next = &source->requests[num + 1],
            .sg_list = &source->parts[num],
            .num_sge = 1,
            .opcode = IBV_WR_RDMA_WRITE,
            .wr.rdma = {.remote_addr = link->remote_address + offsets[i], .rkey = link->remote_key},
        };
        num++;
    }
    return num;
}

/* Posts `num` requests, `list` of them at a time. */
static int post(struct ibv_qp *qp, struct ibv_send_wr *requests, uint32_t num, uint32_t list,
                struct multifd_error *err)
{
    for (uint32_t first = 0; first < num; first += list) {
        uint32_t end = num - first > list ? first + list : num;
        struct ibv_send_wr *bad;
        int status;

        requests[end - 1].next = NULL;
        status = ibv_post_send(qp, &requests[first], &bad);
        if (status != 0) {
            return tool_fail(err, MULTIFD_ERROR_DEVICE, "ibv_post_send: %s", strerror(status));
        }
    }
    return 0;
}

static int post_packet(struct raw_source *source, struct raw_channel *channel,
                       const uint64_t *offsets, uint64_t pages, struct multifd_error *err)
{
    uint32_t num = build_writes(source, &channel->link, offsets, pages);
    uint64_t list = source->bench->post_list;

    source->parts[num] = (struct ibv_sge){.addr = (uintptr_t)source->header,
                                          .length = raw_header_bytes((uint32_t)pages),
                                          .lkey = source->header_region->lkey};
    source->requests[num] = (struct ibv_send_wr){.sg_list = &source->parts[num],
                                                 .num_sge = 1,
                                                 .opcode = IBV_WR_SEND,
                                                 .send_flags = IBV_SEND_SIGNALED};
    channel->packets[channel->posted++ % source->bench->window] = num + 1;
    channel->entries += num + 1;
    channel->in_flight++;
    return post(channel->link.qp, source->requests, num + 1, list == 0 ? num + 1 : (uint32_t)list,
                err);
}

static int reap(const struct raw_source *source, struct raw_channel *channel,
                struct multifd_error *err)
{
    struct ibv_wc completions[16];
    int got = verbs_poll(channel->link.send_cq, completions, 16, err);

    for (int i = 0; i < got; i++) {
        uint64_t oldest = channel->posted - channel->in_flight--;

        channel->entries -= channel->packets[oldest % source->bench->window];
    }
    return got < 0 ? -1 : 0;
}

static bool has_room(const struct raw_source *source, const struct raw_channel *channel)
{
    return channel->in_flight < source->bench->window &&
           source->depth - channel->entries >= packet_entries(source);
}

int raw_source_pass(struct raw_source *source, const uint64_t *order, struct multifd_error *err)
{
    uint64_t pages = source->memory->length / source->memory->page_size;
    uint64_t in_flight = 0;
    uint64_t next = 0;

    while (next < pages || in_flight != 0) {
        in_flight = 0;
        for (uint64_t i = 0; i < source->bench->channels; i++) {
            struct raw_channel *channel = &source->channels[i];
            uint64_t left = pages - next;
            uint64_t num = left < source->packet_pages ? left : source->packet_pages;

            if (reap(source, channel, err) != 0) {
                return -1;
            }
            if (num != 0 && has_room(source, channel)) {
                if (post_packet(source, channel, order + next, num, err) != 0) {
                    return -1;
                }
                next += num;
            }
            in_flight += channel->in_flight;
        }
    }
    return 0;
}
