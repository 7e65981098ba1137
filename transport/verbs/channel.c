/* SPDX-License-Identifier: MIT */
#include "transport/verbs/channel.h"

#include "core/base/error.h"
#include "transport/verbs/completion.h"
#include "transport/verbs/private_data.h"
#include "transport/verbs/queue_pair.h"
#include "transport/verbs/receiver.h"
#include "transport/verbs/sender.h"
#include "transport/verbs/work_request.h"

#include <stdlib.h>
#include <string.h>

/* Completions taken at a time. */
#define POLL_BATCH 16

/* Headers of up to 16 pages go inline; longer ones the device reads faster than it copies. */
#define INLINE_WANTED 448u

/*
 * Send-queue entries when the user names none: the window of whole packets, but no more than this.
 */
#define DEFAULT_TX_DEPTH 2048u

/* What the completion queue was asked to tell once, in the order in which one implies another. */
enum asked {
    ASKED_NOTHING,
    ASKED_SOLICITED,
    ASKED_ALL,
};

struct verbs_channel {
    struct transport_channel base;
    struct verbs_cm cm;
    struct verbs_completion completion;
    struct ibv_qp *qp;
    struct verbs_sender *sender;
    struct verbs_receiver *receiver;
    const struct verbs_domain *domain;
    const struct transport_settings *settings;
    uint32_t receive_slots;
    bool credits_due;
    enum asked asked;
    struct multifd_error failure; /* the first; reported when all that arrived before is taken */
};

static struct verbs_channel *of(struct transport_channel *base)
{
    return (struct verbs_channel *)base;
}

static const struct verbs_channel *of_const(const struct transport_channel *base)
{
    return (const struct verbs_channel *)base;
}

static const char *work_request_name(enum work_request_kind kind)
{
    static const char *const names[] = {
        [WORK_WRITE] = "RDMA WRITE",    [WORK_SEND] = "SEND",       [WORK_CREDIT] = "credit SEND",
        [WORK_KEEPALIVE] = "keepalive", [WORK_RECEIVE] = "receive",
    };

    return names[kind];
}

/* Whether another failure would tell more: none is known, or only that the connection has ended. */
static bool cause_is_open(const struct verbs_channel *channel)
{
    return channel->failure.code == MULTIFD_OK ||
           channel->failure.code == MULTIFD_ERROR_DISCONNECTED;
}

static void fail_completion(struct verbs_channel *channel, const struct ibv_wc *wc)
{
    if (!cause_is_open(channel) ||
        (wc->status == IBV_WC_WR_FLUSH_ERR && channel->failure.code != MULTIFD_OK)) {
        return;
    }
    if (wc->status == IBV_WC_WR_FLUSH_ERR) {
        error_set(&channel->failure, MULTIFD_ERROR_DISCONNECTED, "the connection to %s broke",
                  channel->cm.peer);
        return;
    }
    error_set(&channel->failure, MULTIFD_ERROR_COMPLETION, "%s with %s failed: %s (status %d)",
              work_request_name(work_request_kind(wc->wr_id)), channel->cm.peer,
              ibv_wc_status_str(wc->status), (int)wc->status);
}

static int take_message(struct verbs_channel *channel, const struct ibv_wc *wc,
                        struct multifd_error *err)
{
    uint32_t buffer = work_request_index(wc->wr_id);

    if (wc->byte_len != VERBS_CREDIT_BYTES) {
        verbs_receiver_arrived(channel->receiver, buffer, wc->byte_len);
        return 0;
    }
    if (verbs_sender_take_credits(channel->sender, verbs_receiver_bytes(channel->receiver, buffer),
                                  err) != 0) {
        return -1;
    }
    return verbs_receiver_repost(channel->receiver, buffer, err);
}

static int take_completion(struct verbs_channel *channel, const struct ibv_wc *wc,
                           struct multifd_error *err)
{
    if (wc->status != IBV_WC_SUCCESS) {
        fail_completion(channel, wc);
        return 0;
    }
    if (work_request_kind(wc->wr_id) == WORK_RECEIVE) {
        return take_message(channel, wc, err);
    }
    verbs_sender_complete(channel->sender, wc->wr_id);
    return 0;
}

static int return_credits(struct verbs_channel *channel, struct multifd_error *err)
{
    int sent = verbs_sender_return_credits(channel->sender,
                                           verbs_receiver_released(channel->receiver), err);

    channel->credits_due = sent == 0;
    return sent < 0 ? -1 : 0;
}

static int channel_progress(struct transport_channel *base, struct multifd_error *err)
{
    struct verbs_channel *channel = of(base);
    struct ibv_wc wc[POLL_BATCH];
    int got;

    do {
        got = verbs_completion_poll(&channel->completion, wc, POLL_BATCH, err);
        for (int i = 0; i < got; i++) {
            if (take_completion(channel, &wc[i], err) != 0) {
                return -1;
            }
        }
    } while (got == POLL_BATCH);
    if (got < 0) {
        return -1;
    }
    if (channel->failure.code != MULTIFD_OK) {
        if (verbs_receiver_pending(channel->receiver)) {
            return 0; /* what the peer sent before, perhaps why it left */
        }
        *err = channel->failure;
        return -1;
    }
    return channel->credits_due ? return_credits(channel, err) : 0;
}

static uint8_t *channel_send_buffer(struct transport_channel *base, uint32_t writes)
{
    return verbs_sender_buffer(of(base)->sender, writes);
}

static bool channel_lacks_credit(const struct transport_channel *base)
{
    return !verbs_sender_needs_completion(of_const(base)->sender);
}

static int channel_send(struct transport_channel *base, const struct transport_write *writes,
                        uint32_t writes_num, uint32_t length, bool more, struct multifd_error *err)
{
    return verbs_sender_send(of(base)->sender, writes, writes_num, length, more, err);
}

static bool channel_receive(struct transport_channel *base, struct transport_message *message)
{
    return verbs_receiver_take(of(base)->receiver, message);
}

static int channel_release(struct transport_channel *base, struct multifd_error *err)
{
    struct verbs_channel *channel = of(base);
    int due;

    if (channel->failure.code != MULTIFD_OK) {
        return 0; /* broken: nothing can be posted any more, but what has arrived may be read */
    }
    due = verbs_receiver_release(channel->receiver, err);
    if (due <= 0) {
        return due;
    }
    return return_credits(channel, err);
}

static bool channel_drained(const struct transport_channel *base)
{
    return verbs_sender_drained(of_const(base)->sender);
}

/* A message's completion is the peer's acknowledgement. */
static bool channel_delivered(const struct transport_channel *base)
{
    return verbs_sender_delivered(of_const(base)->sender);
}

static int channel_keepalive(struct transport_channel *base, struct multifd_error *err)
{
    return verbs_sender_keepalive(of(base)->sender, err);
}

/*
 * Credits and whatever the peer wants to be heard come solicited, and so do failures: a completion
 * with an error breaks the queue pair, which flushes the receives that are always posted.
 */
static int channel_arm(struct transport_channel *base, bool completions, struct multifd_error *err)
{
    struct verbs_channel *channel = of(base);
    bool all =
        completions || channel->credits_due || verbs_sender_needs_completion(channel->sender);
    enum asked wanted = all ? ASKED_ALL : ASKED_SOLICITED;

    if (channel->asked >= wanted) {
        return 0; /* still asked, or told already: the next sleep ends at once. Each is a call. */
    }
    if (verbs_completion_arm(&channel->completion, !all, err) != 0) {
        return -1;
    }
    channel->asked = wanted;
    return 0;
}

static uint32_t channel_pollfds(const struct transport_channel *base, struct pollfd *fds)
{
    const struct verbs_channel *channel = of_const(base);

    fds[0] = (struct pollfd){.fd = verbs_completion_fd(&channel->completion), .events = POLLIN};
    fds[1] = (struct pollfd){.fd = verbs_cm_fd(&channel->cm), .events = POLLIN};
    return 2;
}

static int take_cm_events(struct verbs_channel *channel, struct multifd_error *err)
{
    struct verbs_cm_event event;
    int got;

    while ((got = verbs_cm_take_event(&channel->cm, &event, err)) > 0) {
        if (channel->failure.code != MULTIFD_OK) {
            continue;
        }
        if (event.type == RDMA_CM_EVENT_DISCONNECTED) {
            error_set(&channel->failure, MULTIFD_ERROR_DISCONNECTED, "%s closed the connection",
                      channel->cm.peer);
        } else if (event.type == RDMA_CM_EVENT_DEVICE_REMOVAL) {
            error_set(&channel->failure, MULTIFD_ERROR_DEVICE, "the RDMA device %s was removed",
                      verbs_domain_device(channel->domain));
        }
    }
    return got;
}

static int channel_wake(struct transport_channel *base, const struct pollfd *fds,
                        struct multifd_error *err)
{
    struct verbs_channel *channel = of(base);

    if (fds == NULL) {
        channel->asked = ASKED_NOTHING; /* Linux 6.1's rxe has been seen to forget what it owes */
        return 0;
    }
    if (fds[0].revents != 0) {
        channel->asked = ASKED_NOTHING;
        if (verbs_completion_take_event(&channel->completion, err) != 0) {
            return -1;
        }
    }
    if (fds[1].revents != 0) {
        return take_cm_events(channel, err);
    }
    return 0;
}

static void channel_free(struct transport_channel *base)
{
    struct verbs_channel *channel = of(base);

    verbs_channel_delete(&channel);
}

static const struct transport_channel_ops channel_ops = {
    .progress = channel_progress,
    .send_buffer = channel_send_buffer,
    .lacks_credit = channel_lacks_credit,
    .send = channel_send,
    .receive = channel_receive,
    .release = channel_release,
    .drained = channel_drained,
    .delivered = channel_delivered,
    .keepalive = channel_keepalive,
    .arm = channel_arm,
    .pollfds = channel_pollfds,
    .wake = channel_wake,
    .free = channel_free,
};

/* The depth of the send queue, without the reserve; 0 with *err when a limit is in the way. */
static uint32_t tx_depth(const struct verbs_channel *channel,
                         const struct transport_profile *profile, struct multifd_error *err)
{
    uint32_t least = profile->writes + 1;
    uint32_t most = channel->domain->max_qp_wr - VERBS_SENDER_RESERVE;
    uint32_t depth = channel->settings->tx_depth;

    if (depth == 0) {
        depth = profile->send_slots * least;
        depth = depth > DEFAULT_TX_DEPTH ? DEFAULT_TX_DEPTH : depth;
        depth = depth > most ? most : depth;
        depth = depth < least ? least : depth;
    }
    if (depth < least) {
        error_set(err, MULTIFD_ERROR_LIMIT,
                  "tx-depth %u is below the %u entries that one packet can take", depth, least);
        return 0;
    }
    if (depth > most) {
        error_set(err, MULTIFD_ERROR_LIMIT,
                  "tx-depth %u is above the limit of %s: max_qp_wr %u, %u of them reserved", depth,
                  verbs_domain_device(channel->domain), channel->domain->max_qp_wr,
                  VERBS_SENDER_RESERVE);
        return 0;
    }
    return depth;
}

static int check_receive_depth(const struct verbs_channel *channel, uint32_t entries,
                               struct multifd_error *err)
{
    if (entries > channel->domain->max_qp_wr) {
        return error_set(err, MULTIFD_ERROR_LIMIT,
                         "a window of %u is above the limit of %s: max_qp_wr %u",
                         channel->receive_slots, verbs_domain_device(channel->domain),
                         channel->domain->max_qp_wr);
    }
    return 0;
}

/* Everything that is posted may complete at once, as flushed: the queue must hold it all. */
static int make_queues(struct verbs_channel *channel, struct rdma_cm_id *id,
                       const struct verbs_queue_pair_size *wanted, struct multifd_error *err)
{
    struct verbs_queue_pair_size size = *wanted;
    uint32_t entries = size.send_wr + size.receive_wr;

    if (entries > channel->domain->max_cqe) {
        return error_set(err, MULTIFD_ERROR_LIMIT,
                         "%u completion-queue entries are above the limit of %s: max_cqe %u",
                         entries, verbs_domain_device(channel->domain), channel->domain->max_cqe);
    }
    if (verbs_completion_init(&channel->completion, channel->domain->context, entries, err) != 0) {
        return -1;
    }
    channel->qp = verbs_queue_pair_new(id, channel->domain->pd, channel->completion.cq, &size, err);
    if (channel->qp == NULL) {
        return -1;
    }
    verbs_sender_start(channel->sender, channel->qp, size.inline_data);
    return verbs_receiver_start(channel->receiver, channel->qp, err);
}

static int make_parts(struct verbs_channel *channel, struct rdma_cm_id *id,
                      const struct transport_profile *profile, struct multifd_error *err)
{
    struct verbs_queue_pair_size size = {.receive_wr = verbs_receiver_entries(profile),
                                         .inline_data = INLINE_WANTED};
    uint32_t depth = tx_depth(channel, profile, err);

    if (depth == 0 || check_receive_depth(channel, size.receive_wr, err) != 0) {
        return -1;
    }
    size.send_wr = depth + VERBS_SENDER_RESERVE;
    channel->sender = verbs_sender_new(channel->domain->pd, profile, size.send_wr, err);
    if (channel->sender == NULL) {
        return -1;
    }
    channel->receiver = verbs_receiver_new(channel->domain->pd, profile, err);
    if (channel->receiver == NULL) {
        return -1;
    }
    return make_queues(channel, id, &size, err);
}

struct verbs_channel *verbs_channel_new(struct verbs_cm *cm, const struct verbs_domain *domain,
                                        const struct transport_profile *profile,
                                        const struct transport_settings *settings,
                                        struct multifd_error *err)
{
    struct verbs_channel *channel = calloc(1, sizeof(*channel));

    if (channel == NULL) {
        error_set_nomem(err);
        return NULL;
    }
    channel->base.ops = &channel_ops;
    channel->domain = domain;
    channel->settings = settings;
    channel->receive_slots = profile->receive_slots;
    error_clear(&channel->failure);
    if (make_parts(channel, cm->id, profile, err) != 0) {
        verbs_channel_delete(&channel);
        return NULL;
    }
    channel->cm = *cm;
    memset(cm, 0, sizeof(*cm));
    return channel;
}

void verbs_channel_delete(struct verbs_channel **channel)
{
    struct verbs_channel *gone = *channel;

    if (gone == NULL) {
        return;
    }
    if (gone->cm.id != NULL) {
        rdma_disconnect(gone->cm.id); /* fails when never connected or already gone: no matter */
    }
    if (gone->qp != NULL) {
        ibv_destroy_qp(gone->qp);
    }
    verbs_cm_fini(&gone->cm);
    verbs_completion_fini(&gone->completion);
    verbs_sender_delete(&gone->sender);
    verbs_receiver_delete(&gone->receiver);
    free(gone);
    *channel = NULL;
}

struct verbs_cm *verbs_channel_cm(struct verbs_channel *channel)
{
    return &channel->cm;
}

struct transport_channel *verbs_channel_base(struct verbs_channel *channel)
{
    return &channel->base;
}

void verbs_channel_conn_param(const struct verbs_channel *channel,
                              const struct transport_greeting *greeting,
                              uint8_t data[VERBS_PRIVATE_DATA_MAX], struct rdma_conn_param *param)
{
    const struct verbs_sender_peer self = {
        .receive_slots = channel->receive_slots,
        .keepalive_key = channel->domain->keepalive->rkey,
        .keepalive_address = (uintptr_t)channel->domain->keepalive_bytes,
    };

    verbs_private_data_encode(greeting, &self, data);
    *param = (struct rdma_conn_param){
        .private_data = data,
        .private_data_len = VERBS_PRIVATE_DATA_BYTES,
        /* No RDMA READs are made, but some providers want to hear of one. */
        .responder_resources = 1,
        .initiator_depth = 1,
        .retry_count = (uint8_t)channel->settings->retry_count,
        .rnr_retry_count = 7,
        .qp_num = channel->qp->qp_num,
    };
}

int verbs_channel_ready(struct verbs_channel *channel, struct multifd_error *err)
{
    return verbs_queue_pair_connect(channel->qp, channel->cm.id, channel->settings, err);
}

int verbs_channel_meet(struct verbs_channel *channel, const struct verbs_cm_event *event,
                       struct multifd_error *err)
{
    struct transport_greeting greeting;
    struct verbs_sender_peer peer;

    verbs_private_data_decode(event->private_data, event->private_data_len, &greeting, &peer);
    if (greeting.length == 0 || peer.receive_slots == 0) {
        return error_set(err, MULTIFD_ERROR_CONNECT, "the peer at %s is not multifd",
                         channel->cm.peer);
    }
    verbs_sender_connected(channel->sender, &peer);
    return 0;
}
