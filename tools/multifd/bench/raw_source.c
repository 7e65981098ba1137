/* SPDX-License-Identifier: MIT */
#include "raw_loop.h"

#include "fail.h"
#include "raw_packet.h"
#include "verbs_link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct raw_channel {
    struct verbs_link link;
    uint64_t in_flight; /* packets whose SEND has not completed */
};

struct raw_source {
    const struct bench_case *bench;
    const struct bench_memory *memory;
    uint32_t packet_pages;
    uint64_t window;
    struct ibv_mr *region;
    struct ibv_mr *header_region;
    uint8_t *header; /* what every packet ends with; its content is not looked at */
    struct ibv_send_wr *requests;
    struct ibv_sge *parts;
    struct raw_channel *channels;
};

/* As many packets in flight as were asked for, if the device's send queues take them. */
static int choose_window(struct raw_source *source, struct multifd_error *err)
{
    struct ibv_device_attr attributes;
    uint64_t room;

    if (ibv_query_device(source->channels[0].link.id->verbs, &attributes) != 0) {
        return tool_fail(err, MULTIFD_ERROR_DEVICE, "ibv_query_device: %s", strerror(errno));
    }
    room = (uint64_t)attributes.max_qp_wr / (source->packet_pages + 1);
    source->window = source->bench->window < room ? source->bench->window : room;
    return source->window > 0 ? 0
                              : tool_fail(err, MULTIFD_ERROR_LIMIT,
                                          "the device's send queues have no room for a packet");
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
    return source->header_region == NULL ? -1 : choose_window(source, err);
}

static int connect_channels(struct raw_source *source, uint16_t port, struct multifd_error *err)
{
    struct verbs_depth depth = {.receive_wr = 1};

    for (uint64_t i = 0; i < source->bench->channels; i++) {
        struct verbs_link *link = &source->channels[i].link;

        if (verbs_link_resolve(link, source->bench->address.host, port, err) != 0 ||
            (i == 0 && register_all(source, err) != 0)) {
            return -1;
        }
        depth.send_wr = (uint32_t)(source->window * (source->packet_pages + 1));
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
    source->requests = calloc(source->packet_pages + 1, sizeof(*source->requests));
    source->parts = calloc(source->packet_pages + 1, sizeof(*source->parts));
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
    }
    free(gone->header);
    free(gone->requests);
    free(gone->parts);
    free(gone->channels);
    free(gone);
    *source = NULL;
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
    channel->in_flight++;
    return post(channel->link.id->qp, source->requests, num + 1,
                list == 0 ? num + 1 : (uint32_t)list, err);
}

static int reap(struct raw_channel *channel, struct multifd_error *err)
{
    struct ibv_wc completions[16];
    int got = verbs_poll(channel->link.send_cq, completions, 16, err);

    if (got > 0) {
        channel->in_flight -= (uint64_t)got;
    }
    return got < 0 ? -1 : 0;
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

            if (reap(channel, err) != 0) {
                return -1;
            }
            if (num != 0 && channel->in_flight < source->window) {
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
