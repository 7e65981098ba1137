/* SPDX-License-Identifier: MIT */
#include "transport/verbs/sender.h"

#include "core/base/bytes.h"
#include "core/base/error.h"
#include "transport/verbs/work_request.h"

#include <errno.h>
#include <stdlib.h>

#define CREDIT_MAGIC     0x63726474u /* "crdt" */
#define CREDIT_BUFFERS   (VERBS_SENDER_RESERVE - 1)
#define CREDIT_BYTES_ALL ((size_t)CREDIT_BUFFERS * VERBS_CREDIT_BYTES)

struct verbs_sender {
    struct ibv_qp *qp;
    struct ibv_mr *mr;
    uint8_t *memory; /* slots, then credit buffers */
    uint32_t slot_size;
    uint32_t slots;
    uint32_t next_slot;
    uint32_t slots_used;
    uint32_t *slot_entries; /* send-queue entries that each slot's message holds */
    uint32_t entries_free;  /* without the reserve */
    uint32_t inline_data;
    bool needs_completion;

    /* Counts of messages, wrapping; the peer may be sent to while sent != granted. */
    uint32_t sent;
    uint32_t granted;
    uint32_t released; /* as the peer said last */
    uint32_t peer_slots;

    uint32_t credits_posted;
    uint32_t credit_next;
    bool keepalive_posted;
    struct verbs_sender_peer peer;

    /* One chain for all posts: the SEND is its last entry, n writes are the n before it. */
    uint32_t writes_max;
    struct ibv_send_wr *chain;
    struct ibv_sge *sges;
};

static void link_chain(struct verbs_sender *sender)
{
    uint32_t last = sender->writes_max;

    for (uint32_t i = 0; i <= last; i++) {
        sender->chain[i] = (struct ibv_send_wr){
            .wr_id = work_request_id(WORK_WRITE, 0),
            .next = i < last ? &sender->chain[i + 1] : NULL,
            .sg_list = &sender->sges[i],
            .num_sge = 1,
            .opcode = i < last ? IBV_WR_RDMA_WRITE : IBV_WR_SEND,
        };
    }
    sender->sges[last].lkey = sender->mr->lkey;
}

static int allocate(struct verbs_sender *sender)
{
    size_t bytes = (size_t)sender->slots * sender->slot_size + CREDIT_BYTES_ALL;

    sender->memory = calloc(1, bytes);
    sender->slot_entries = calloc(sender->slots, sizeof(*sender->slot_entries));
    sender->chain = calloc(sender->writes_max + 1, sizeof(*sender->chain));
    sender->sges = calloc(sender->writes_max + 1, sizeof(*sender->sges));
    if (sender->memory == NULL || sender->slot_entries == NULL || sender->chain == NULL ||
        sender->sges == NULL) {
        return -1;
    }
    return 0;
}

struct verbs_sender *verbs_sender_new(struct ibv_pd *pd, const struct transport_profile *profile,
                                      uint32_t entries, struct multifd_error *err)
{
    struct verbs_sender *sender = calloc(1, sizeof(*sender));
    size_t bytes;

    if (sender == NULL) {
        error_set_nomem(err);
        return NULL;
    }
    sender->slots = profile->send_slots;
    sender->slot_size = (profile->send_size + 63u) & ~63u; /* no cache line of two messages */
    sender->writes_max = profile->writes;
    sender->entries_free = entries - VERBS_SENDER_RESERVE;
    if (allocate(sender) != 0) {
        error_set_nomem(err);
        goto delete_sender;
    }
    bytes = (size_t)sender->slots * sender->slot_size + CREDIT_BYTES_ALL;
    sender->mr = ibv_reg_mr(pd, sender->memory, bytes, IBV_ACCESS_LOCAL_WRITE);
    if (sender->mr == NULL) {
        error_set_errno(err, MULTIFD_ERROR_DEVICE, errno, "ibv_reg_mr(send slots, %zu bytes)",
                        bytes);
        goto delete_sender;
    }
    link_chain(sender);
    return sender;

delete_sender:
    verbs_sender_delete(&sender);
    return NULL;
}

void verbs_sender_delete(struct verbs_sender **sender)
{
    if (*sender == NULL) {
        return;
    }
    if ((*sender)->mr != NULL) {
        ibv_dereg_mr((*sender)->mr);
    }
    free((*sender)->memory);
    free((*sender)->slot_entries);
    free((*sender)->chain);
    free((*sender)->sges);
    free(*sender);
    *sender = NULL;
}

void verbs_sender_start(struct verbs_sender *sender, struct ibv_qp *qp, uint32_t inline_data)
{
    sender->qp = qp;
    sender->inline_data = inline_data;
}

void verbs_sender_connected(struct verbs_sender *sender, const struct verbs_sender_peer *peer)
{
    sender->peer = *peer;
    sender->peer_slots = peer->receive_slots;
    sender->granted = peer->receive_slots;
}

static uint8_t *slot_memory(const struct verbs_sender *sender, uint32_t slot)
{
    return sender->memory + (size_t)slot * sender->slot_size;
}

uint8_t *verbs_sender_buffer(struct verbs_sender *sender, uint32_t writes)
{
    sender->needs_completion =
        sender->slots_used == sender->slots || sender->entries_free <= writes;
    if (sender->needs_completion || sender->sent == sender->granted) {
        return NULL;
    }
    return slot_memory(sender, sender->next_slot);
}

bool verbs_sender_needs_completion(const struct verbs_sender *sender)
{
    return sender->needs_completion;
}

static void fill_write(struct ibv_send_wr *wr, const struct transport_write *write)
{
    wr->sg_list->addr = write->local_address;
    wr->sg_list->length = write->length;
    wr->sg_list->lkey = write->local_key;
    wr->wr.rdma.remote_addr = write->remote_address;
    wr->wr.rdma.rkey = write->remote_key;
}

/*
 * The peer sleeps until a solicited message comes: one behind which nothing follows at once, or the
 * one that takes half of its window, so that it gives credits back before the window is used up.
 */
static bool is_solicited(const struct verbs_sender *sender, bool more)
{
    uint32_t half = sender->peer_slots > 1 ? sender->peer_slots / 2 : 1;

    return !more || (sender->sent + 1) % half == 0;
}

static void fill_send(struct verbs_sender *sender, uint32_t length, bool more)
{
    struct ibv_send_wr *wr = &sender->chain[sender->writes_max];

    wr->wr_id = work_request_id(WORK_SEND, sender->next_slot);
    wr->sg_list->addr = (uintptr_t)slot_memory(sender, sender->next_slot);
    wr->sg_list->length = length;
    wr->send_flags = IBV_SEND_SIGNALED;
    if (length <= sender->inline_data) {
        wr->send_flags |= IBV_SEND_INLINE;
    }
    if (is_solicited(sender, more)) {
        wr->send_flags |= IBV_SEND_SOLICITED;
    }
}

int verbs_sender_send(struct verbs_sender *sender, const struct transport_write *writes,
                      uint32_t writes_num, uint32_t length, bool more, struct multifd_error *err)
{
    struct ibv_send_wr *first = &sender->chain[sender->writes_max - writes_num];
    struct ibv_send_wr *bad;
    int errnum;

    for (uint32_t i = 0; i < writes_num; i++) {
        fill_write(&first[i], &writes[i]);
    }
    fill_send(sender, length, more);
    errnum = ibv_post_send(sender->qp, first, &bad);
    if (errnum != 0) {
        return error_set_errno(err, MULTIFD_ERROR_DEVICE, errnum,
                               "ibv_post_send(%u RDMA WRITEs and a SEND of %u bytes)", writes_num,
                               length);
    }
    sender->slot_entries[sender->next_slot] = writes_num + 1;
    sender->entries_free -= writes_num + 1;
    sender->next_slot = sender->next_slot + 1 == sender->slots ? 0 : sender->next_slot + 1;
    sender->slots_used++;
    sender->sent++;
    return 0;
}

bool verbs_sender_drained(const struct verbs_sender *sender)
{
    return sender->slots_used == 0 && sender->credits_posted == 0 && !sender->keepalive_posted;
}

bool verbs_sender_delivered(const struct verbs_sender *sender)
{
    return sender->slots_used == 0;
}

int verbs_sender_keepalive(struct verbs_sender *sender, struct multifd_error *err)
{
    struct ibv_send_wr wr = {
        .wr_id = work_request_id(WORK_KEEPALIVE, 0),
        .opcode = IBV_WR_RDMA_WRITE,
        .send_flags = IBV_SEND_SIGNALED,
        /* No byte is written, but some devices check address and key even so. */
        .wr.rdma = {.remote_addr = sender->peer.keepalive_address,
                    .rkey = sender->peer.keepalive_key},
    };
    struct ibv_send_wr *bad;
    int errnum;

    if (!verbs_sender_drained(sender)) {
        return 0; /* what is under way needs an answer already */
    }
    errnum = ibv_post_send(sender->qp, &wr, &bad);
    if (errnum != 0) {
        return error_set_errno(err, MULTIFD_ERROR_DEVICE, errnum, "ibv_post_send(keepalive)");
    }
    sender->keepalive_posted = true;
    return 0;
}

int verbs_sender_return_credits(struct verbs_sender *sender, uint32_t released,
                                struct multifd_error *err)
{
    uint8_t *message =
        slot_memory(sender, sender->slots) + (size_t)sender->credit_next * VERBS_CREDIT_BYTES;
    struct ibv_sge sge = {
        .addr = (uintptr_t)message, .length = VERBS_CREDIT_BYTES, .lkey = sender->mr->lkey};
    struct ibv_send_wr wr = {
        .wr_id = work_request_id(WORK_CREDIT, sender->credit_next),
        .sg_list = &sge,
        .num_sge = 1,
        .opcode = IBV_WR_SEND,
        .send_flags = IBV_SEND_SIGNALED | IBV_SEND_SOLICITED,
    };
    struct ibv_send_wr *bad;
    int errnum;

    if (sender->credits_posted == CREDIT_BUFFERS) {
        return 0;
    }
    if (sender->inline_data >= VERBS_CREDIT_BYTES) {
        wr.send_flags |= IBV_SEND_INLINE;
    }
    put_be32(message, CREDIT_MAGIC);
    put_be32(message + 4, released);
    errnum = ibv_post_send(sender->qp, &wr, &bad);
    if (errnum != 0) {
        return error_set_errno(err, MULTIFD_ERROR_DEVICE, errnum, "ibv_post_send(credits)");
    }
    sender->credits_posted++;
    sender->credit_next = (sender->credit_next + 1) % CREDIT_BUFFERS;
    return 1;
}

int verbs_sender_take_credits(struct verbs_sender *sender, const uint8_t *message,
                              struct multifd_error *err)
{
    uint32_t released = get_be32(message + 4);

    if (get_be32(message) != CREDIT_MAGIC) {
        return error_set(err, MULTIFD_ERROR_PROTOCOL, "a credit message with magic 0x%08x",
                         get_be32(message));
    }
    /* Counts wrap, so compare how far they are ahead: never back, never beyond what was sent. */
    if (released - sender->released > sender->sent - sender->released) {
        return error_set(err, MULTIFD_ERROR_PROTOCOL,
                         "credits for %u messages returned, but only %u were sent", released,
                         sender->sent);
    }
    sender->released = released;
    sender->granted = released + sender->peer_slots;
    return 0;
}

void verbs_sender_complete(struct verbs_sender *sender, uint64_t wr_id)
{
    switch (work_request_kind(wr_id)) {
    case WORK_SEND:
        sender->entries_free += sender->slot_entries[work_request_index(wr_id)];
        sender->slots_used--;
        break;
    case WORK_CREDIT:
        sender->credits_posted--;
        break;
    case WORK_KEEPALIVE:
        sender->keepalive_posted = false;
        break;
    case WORK_WRITE:
    case WORK_RECEIVE:
        break;
    }
}
