/* SPDX-License-Identifier: MIT */
#include "raw_loop.h"

#include "fail.h"
#include "raw_packet.h"
#include "verbs_link.h"

#include <stdlib.h>
#include <string.h>

/*
 * Receives posted on each queue pair. The sink looks at them every few milliseconds only, so as not
 * to take the processor from the source: they last for 2 GiB meanwhile.
 */
#define RECEIVES 4096

struct raw_sink {
    const struct bench_case *bench;
    const struct bench_memory *memory;
    struct verbs_listener *listener;
    struct ibv_mr *region;
    struct ibv_mr *header_region;
    uint8_t *header; /* all headers go here; nobody reads them */
    uint32_t header_max;
    uint64_t accepted;
    struct verbs_link *links;
};

struct raw_sink *raw_sink_new(const struct bench_case *bench, const struct bench_memory *memory,
                              uint16_t *port, struct multifd_error *err)
{
    struct raw_sink *sink = calloc(1, sizeof(*sink));

    if (sink == NULL) {
        (void)tool_fail(err, MULTIFD_ERROR_SYSTEM, "no memory");
        return NULL;
    }
    sink->bench = bench;
    sink->memory = memory;
    sink->header_max = raw_header_bytes(raw_packet_pages(memory->page_size));
    sink->header = calloc(1, sink->header_max);
    sink->links = calloc(bench->channels, sizeof(*sink->links));
    if (sink->header == NULL || sink->links == NULL) {
        (void)tool_fail(err, MULTIFD_ERROR_SYSTEM, "no memory");
        raw_sink_delete(&sink);
        return NULL;
    }
    sink->listener = verbs_listener_new(&bench->verbs, port, err);
    if (sink->listener == NULL) {
        raw_sink_delete(&sink);
    }
    return sink;
}

void raw_sink_delete(struct raw_sink **sink)
{
    struct raw_sink *gone = *sink;

    if (gone == NULL) {
        return;
    }
    if (gone->region != NULL) {
        (void)ibv_dereg_mr(gone->region);
    }
    if (gone->header_region != NULL) {
        (void)ibv_dereg_mr(gone->header_region);
    }
    for (uint64_t i = 0; i < gone->accepted; i++) {
        verbs_link_close(&gone->links[i]);
    }
    verbs_listener_delete(&gone->listener);
    free(gone->header);
    free(gone->links);
    free(gone);
    *sink = NULL;
}

static int register_all(struct raw_sink *sink, struct multifd_error *err)
{
    const struct verbs_link *link = &sink->links[0];

    sink->region = verbs_link_register(link, sink->memory->bytes, sink->memory->length, err);
    if (sink->region == NULL) {
        return -1;
    }
    sink->header_region = verbs_link_register(link, sink->header, sink->header_max, err);
    return sink->header_region == NULL ? -1 : 0;
}

static int post_receives(struct raw_sink *sink, struct verbs_link *link, int num,
                         struct multifd_error *err)
{
    struct ibv_sge part = {.addr = (uintptr_t)sink->header,
                           .length = sink->header_max,
                           .lkey = sink->header_region->lkey};
    struct ibv_recv_wr request = {.sg_list = &part, .num_sge = 1};

    for (int i = 0; i < num; i++) {
        struct ibv_recv_wr *bad;
        int status = ibv_post_recv(link->qp, &request, &bad);

        if (status != 0) {
            return tool_fail(err, MULTIFD_ERROR_DEVICE, "ibv_post_recv: %s", strerror(status));
        }
    }
    return 0;
}

static int accept_one(struct raw_sink *sink, struct verbs_link *link, struct multifd_error *err)
{
    struct verbs_depth depth = {.send_wr = 1, .receive_wr = RECEIVES};

    if (sink->region == NULL && register_all(sink, err) != 0) {
        return -1;
    }
    if (verbs_link_accept(link, &depth, sink->region, err) != 0) {
        return -1;
    }
    return post_receives(sink, link, RECEIVES, err);
}

int raw_sink_accept(struct raw_sink *sink, struct multifd_error *err)
{
    while (sink->accepted < sink->bench->channels) {
        struct verbs_link *link = &sink->links[sink->accepted];
        int status = verbs_link_take(link, sink->listener, err);

        sink->accepted++;
        if (status != 0 || accept_one(sink, link, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int replenish(struct raw_sink *sink, struct verbs_link *link, struct multifd_error *err)
{
    struct ibv_wc completions[64];
    int got;

    do {
        got = verbs_poll(link->receive_cq, completions, 64, err);
        if (got < 0 || post_receives(sink, link, got, err) != 0) {
            return -1;
        }
    } while (got == 64);
    return 0;
}

int raw_sink_replenish(struct raw_sink *sink, struct multifd_error *err)
{
    for (uint64_t i = 0; i < sink->accepted; i++) {
        if (replenish(sink, &sink->links[i], err) != 0) {
            return -1;
        }
    }
    return 0;
}
