/* SPDX-License-Identifier: MIT */
#include "transport/verbs/receiver.h"

#include "core/base/error.h"
#include "transport/verbs/work_request.h"

#include <errno.h>
#include <stdlib.h>

struct arrival {
    uint32_t buffer;
    uint32_t length;
};

struct verbs_receiver {
    struct ibv_qp *qp;
    struct ibv_mr *mr;
    uint8_t *memory;
    uint32_t size; /* bytes of a buffer */
    uint32_t buffers;
    struct ibv_recv_wr *wrs; /* one for each buffer */
    struct ibv_sge *sges;

    struct arrival *arrivals; /* ring of as many entries as buffers: it cannot overflow */
    uint32_t first;
    uint32_t waiting;
    uint32_t taken; /* buffer of the message taken last */

    struct ibv_recv_wr *given_back; /* chain of buffers to post again */
    struct ibv_recv_wr **given_back_end;
    uint32_t given_back_num;
    uint32_t batch;
    uint32_t released;
};

uint32_t verbs_receiver_entries(const struct transport_profile *profile)
{
    return profile->receive_slots + VERBS_RECEIVER_RESERVE;
}

static int allocate(struct verbs_receiver *receiver)
{
    receiver->memory = calloc(receiver->buffers, receiver->size);
    receiver->wrs = calloc(receiver->buffers, sizeof(*receiver->wrs));
    receiver->sges = calloc(receiver->buffers, sizeof(*receiver->sges));
    receiver->arrivals = calloc(receiver->buffers, sizeof(*receiver->arrivals));
    if (receiver->memory == NULL || receiver->wrs == NULL || receiver->sges == NULL ||
        receiver->arrivals == NULL) {
        return -1;
    }
    return 0;
}

static void fill_requests(struct verbs_receiver *receiver)
{
    for (uint32_t i = 0; i < receiver->buffers; i++) {
        receiver->sges[i] = (struct ibv_sge){.addr = (uintptr_t)verbs_receiver_bytes(receiver, i),
                                             .length = receiver->size,
                                             .lkey = receiver->mr->lkey};
        receiver->wrs[i] = (struct ibv_recv_wr){
            .wr_id = work_request_id(WORK_RECEIVE, i), .sg_list = &receiver->sges[i], .num_sge = 1};
    }
}

struct verbs_receiver *verbs_receiver_new(struct ibv_pd *pd,
                                          const struct transport_profile *profile,
                                          struct multifd_error *err)
{
    struct verbs_receiver *receiver = calloc(1, sizeof(*receiver));
    size_t bytes;

    if (receiver == NULL) {
        error_set_nomem(err);
        return NULL;
    }
    receiver->size = (profile->receive_size + 63u) & ~63u;
    receiver->buffers = verbs_receiver_entries(profile);
    receiver->batch = profile->receive_slots > 1 ? profile->receive_slots / 2 : 1;
    receiver->given_back_end = &receiver->given_back;
    if (allocate(receiver) != 0) {
        error_set_nomem(err);
        goto delete_receiver;
    }
    bytes = (size_t)receiver->buffers * receiver->size;
    receiver->mr = ibv_reg_mr(pd, receiver->memory, bytes, IBV_ACCESS_LOCAL_WRITE);
    if (receiver->mr == NULL) {
        error_set_errno(err, MULTIFD_ERROR_DEVICE, errno, "ibv_reg_mr(receives, %zu bytes)", bytes);
        goto delete_receiver;
    }
    fill_requests(receiver);
    return receiver;

delete_receiver:
    verbs_receiver_delete(&receiver);
    return NULL;
}

void verbs_receiver_delete(struct verbs_receiver **receiver)
{
    if (*receiver == NULL) {
        return;
    }
    if ((*receiver)->mr != NULL) {
        ibv_dereg_mr((*receiver)->mr);
    }
    free((*receiver)->memory);
    free((*receiver)->wrs);
    free((*receiver)->sges);
    free((*receiver)->arrivals);
    free(*receiver);
    *receiver = NULL;
}

static int post(struct verbs_receiver *receiver, struct ibv_recv_wr *chain,
                struct multifd_error *err)
{
    struct ibv_recv_wr *bad;
    int errnum = ibv_post_recv(receiver->qp, chain, &bad);

    if (errnum != 0) {
        return error_set_errno(err, MULTIFD_ERROR_DEVICE, errnum, "ibv_post_recv(%u bytes)",
                               receiver->size);
    }
    return 0;
}

int verbs_receiver_start(struct verbs_receiver *receiver, struct ibv_qp *qp,
                         struct multifd_error *err)
{
    receiver->qp = qp;
    for (uint32_t i = 0; i + 1 < receiver->buffers; i++) {
        receiver->wrs[i].next = &receiver->wrs[i + 1];
    }
    receiver->wrs[receiver->buffers - 1].next = NULL;
    return post(receiver, receiver->wrs, err);
}

const uint8_t *verbs_receiver_bytes(const struct verbs_receiver *receiver, uint32_t buffer)
{
    return receiver->memory + (size_t)buffer * receiver->size;
}

void verbs_receiver_arrived(struct verbs_receiver *receiver, uint32_t buffer, uint32_t length)
{
    uint32_t last = (receiver->first + receiver->waiting) % receiver->buffers;

    receiver->arrivals[last] = (struct arrival){buffer, length};
    receiver->waiting++;
}

int verbs_receiver_repost(struct verbs_receiver *receiver, uint32_t buffer,
                          struct multifd_error *err)
{
    receiver->wrs[buffer].next = NULL;
    return post(receiver, &receiver->wrs[buffer], err);
}

bool verbs_receiver_pending(const struct verbs_receiver *receiver)
{
    return receiver->waiting != 0;
}

bool verbs_receiver_take(struct verbs_receiver *receiver, struct transport_message *message)
{
    const struct arrival *arrival = &receiver->arrivals[receiver->first];

    if (receiver->waiting == 0) {
        return false;
    }
    receiver->taken = arrival->buffer;
    message->bytes = verbs_receiver_bytes(receiver, arrival->buffer);
    message->length = arrival->length;
    receiver->first = (receiver->first + 1) % receiver->buffers;
    receiver->waiting--;
    return true;
}

int verbs_receiver_release(struct verbs_receiver *receiver, struct multifd_error *err)
{
    struct ibv_recv_wr *wr = &receiver->wrs[receiver->taken];

    wr->next = NULL;
    *receiver->given_back_end = wr;
    receiver->given_back_end = &wr->next;
    receiver->given_back_num++;
    if (receiver->given_back_num < receiver->batch) {
        return 0;
    }
    /* Posted before the credits go out: a credit is a receive that exists. */
    if (post(receiver, receiver->given_back, err) != 0) {
        return -1;
    }
    receiver->released += receiver->given_back_num;
    receiver->given_back = NULL;
    receiver->given_back_end = &receiver->given_back;
    receiver->given_back_num = 0;
    return 1;
}

uint32_t verbs_receiver_released(const struct verbs_receiver *receiver)
{
    return receiver->released;
}
