/* SPDX-License-Identifier: MIT */
#include "verbs_exchange.h"

#include "fail.h"
#include "message.h"

#include <string.h>

#define PAGE 4096u

/* So many SENDs share one completion, as in perftest; a WRITE and a READ have their own. */
#define SENDS 64

/* Receives posted; no more than one message is under way. */
#define RECEIVES 16

static uint8_t *outgoing(const struct verbs_exchange *exchange)
{
    return exchange->memory.bytes;
}

static uint8_t *incoming(const struct verbs_exchange *exchange)
{
    return exchange->memory.bytes + exchange->memory.page_size;
}

bool verbs_exchange_is_inline(const struct verbs_exchange *exchange)
{
    return exchange->kind != EXCHANGE_READ &&
           exchange->bench->size <= exchange->bench->inline_bytes;
}

/* ---- Setting up ---- */

static int map_messages(struct verbs_exchange *exchange, struct multifd_error *err)
{
    uint64_t size = exchange->bench->size;
    uint64_t room = (size + PAGE - 1) / PAGE * PAGE;

    if (bench_memory_map(&exchange->memory, 2 * room, room, err) != 0) {
        return -1;
    }
    message_fill(outgoing(exchange), size);
    message_stamp(outgoing(exchange), size, 0);
    memset(incoming(exchange), 0, size);
    exchange->region =
        verbs_link_register(&exchange->link, exchange->memory.bytes, exchange->memory.length, err);
    return exchange->region == NULL ? -1 : 0;
}

static struct verbs_depth depth_of(const struct verbs_exchange *exchange)
{
    return (struct verbs_depth){
        .send_wr = SENDS,
        .receive_wr = RECEIVES,
        .inline_data = verbs_exchange_is_inline(exchange) ? (uint32_t)exchange->bench->size : 0,
    };
}

static int post_receive(struct verbs_exchange *exchange, struct multifd_error *err)
{
    struct ibv_sge part = {.addr = (uintptr_t)incoming(exchange),
                           .length = (uint32_t)exchange->bench->size,
                           .lkey = exchange->region->lkey};
    struct ibv_recv_wr request = {.sg_list = &part, .num_sge = 1};
    struct ibv_recv_wr *bad;
    int status = ibv_post_recv(exchange->link.qp, &request, &bad);

    return status == 0
               ? 0
               : tool_fail(err, MULTIFD_ERROR_DEVICE, "ibv_post_recv: %s", strerror(status));
}

static int begin(struct verbs_exchange *exchange, struct multifd_error *err)
{
    if (exchange->link.remote_length < exchange->memory.length) {
        return tool_fail(err, MULTIFD_ERROR_PROTOCOL, "the other side's memory is too small");
    }
    verbs_wait_init(&exchange->wait, exchange->bench, &exchange->link);
    for (int i = 0; exchange->kind == EXCHANGE_SEND && i < RECEIVES; i++) {
        if (post_receive(exchange, err) != 0) {
            return -1;
        }
    }
    return 0;
}

int verbs_exchange_connect(struct verbs_exchange *exchange, const struct bench_case *bench,
                           enum exchange_kind kind, uint16_t port, struct multifd_error *err)
{
    *exchange = (struct verbs_exchange){.bench = bench, .kind = kind};
    struct verbs_depth depth = depth_of(exchange);

    if (verbs_link_resolve(&exchange->link, &bench->verbs, bench->address.host, port, err) != 0 ||
        map_messages(exchange, err) != 0 ||
        verbs_link_connect(&exchange->link, &depth, exchange->region, err) != 0) {
        return -1;
    }
    return begin(exchange, err);
}

int verbs_exchange_accept(struct verbs_exchange *exchange, const struct bench_case *bench,
                          enum exchange_kind kind, struct verbs_listener *listener,
                          struct multifd_error *err)
{
    *exchange = (struct verbs_exchange){.bench = bench, .kind = kind};
    struct verbs_depth depth = depth_of(exchange);

    if (verbs_link_take(&exchange->link, listener, err) != 0 || map_messages(exchange, err) != 0 ||
        verbs_link_accept(&exchange->link, &depth, exchange->region, err) != 0) {
        return -1;
    }
    return begin(exchange, err);
}

void verbs_exchange_close(struct verbs_exchange *exchange)
{
    if (exchange->region != NULL) {
        (void)ibv_dereg_mr(exchange->region);
    }
    verbs_link_close(&exchange->link);
    bench_memory_unmap(&exchange->memory);
    *exchange = (struct verbs_exchange){0};
}

/* ---- To and fro ---- */

/* Posts one work request, whose completion is waited for when it has one. */
static int post(struct verbs_exchange *exchange, struct ibv_send_wr *request,
                struct multifd_error *err)
{
    struct ibv_send_wr *bad;
    struct ibv_wc completion;

    if (exchange->kind != EXCHANGE_SEND || ++exchange->posted % SENDS == 0) {
        request->send_flags |= IBV_SEND_SIGNALED;
    }
    int status = ibv_post_send(exchange->link.qp, request, &bad);
    if (status != 0) {
        return tool_fail(err, MULTIFD_ERROR_DEVICE, "ibv_post_send: %s", strerror(status));
    }
    return (request->send_flags & IBV_SEND_SIGNALED) == 0
               ? 0
               : verbs_wait_completion(&exchange->wait, exchange->link.send_cq, &completion, err);
}

int verbs_exchange_put(struct verbs_exchange *exchange, uint64_t number, struct multifd_error *err)
{
    const struct verbs_link *link = &exchange->link;
    struct ibv_sge part = {.addr = (uintptr_t)outgoing(exchange),
                           .length = (uint32_t)exchange->bench->size,
                           .lkey = exchange->region->lkey};
    struct ibv_send_wr request = {
        .sg_list = &part,
        .num_sge = 1,
        .opcode = exchange->kind == EXCHANGE_SEND ? IBV_WR_SEND : IBV_WR_RDMA_WRITE,
        .send_flags = verbs_exchange_is_inline(exchange) ? IBV_SEND_INLINE : 0,
        .wr.rdma = {.remote_addr = link->remote_address + exchange->memory.page_size,
                    .rkey = link->remote_key},
    };

    message_stamp(outgoing(exchange), exchange->bench->size, number);
    return post(exchange, &request, err);
}

static int fail_verify(uint64_t number, struct multifd_error *err)
{
    return tool_fail(err, MULTIFD_ERROR_VERIFY, "message %llu is not what was sent",
                     (unsigned long long)number);
}

static int take_sent(struct verbs_exchange *exchange, uint64_t number, struct multifd_error *err)
{
    uint64_t size = exchange->bench->size;
    struct ibv_wc completion;

    if (verbs_wait_completion(&exchange->wait, exchange->link.receive_cq, &completion, err) != 0) {
        return -1;
    }
    if (completion.byte_len != size || !message_has_stamp(incoming(exchange), size, number)) {
        return fail_verify(number, err);
    }
    return post_receive(exchange, err);
}

int verbs_exchange_take(struct verbs_exchange *exchange, uint64_t number, struct multifd_error *err)
{
    return exchange->kind == EXCHANGE_SEND ? take_sent(exchange, number, err)
                                           : verbs_wait_message(&exchange->wait, incoming(exchange),
                                                                exchange->bench->size, number, err);
}

int verbs_exchange_fetch(struct verbs_exchange *exchange, struct multifd_error *err)
{
    const struct verbs_link *link = &exchange->link;
    uint64_t size = exchange->bench->size;
    struct ibv_sge part = {.addr = (uintptr_t)incoming(exchange),
                           .length = (uint32_t)size,
                           .lkey = exchange->region->lkey};
    struct ibv_send_wr request = {
        .sg_list = &part,
        .num_sge = 1,
        .opcode = IBV_WR_RDMA_READ,
        .wr.rdma = {.remote_addr = link->remote_address, .rkey = link->remote_key},
    };

    message_stamp(incoming(exchange), size,
                  UINT64_MAX); /* so that an old one is not taken for it */
    if (post(exchange, &request, err) != 0) {
        return -1;
    }
    exchange->posted++;
    return message_has_stamp(incoming(exchange), size, 0) ? 0 : fail_verify(exchange->posted, err);
}

int verbs_exchange_check(const struct verbs_exchange *exchange, struct multifd_error *err)
{
    return message_is_filled(incoming(exchange), exchange->bench->size)
               ? 0
               : tool_fail(err, MULTIFD_ERROR_VERIFY, "the last message is not what was sent");
}
