/*
 * SPDX-License-Identifier: MIT
 *
 * Connection manager: from the request to the end of a connection.
 */
#include <string.h>

#include "fabric_internal.h"

/* Reasons of a REJECTED event, as the InfiniBand specification numbers them. */
enum { REJECT_TIMEOUT = 4, REJECT_NO_SERVICE = 8, REJECT_BY_CONSUMER = 28 };

static int fail(int error)
{
    pthread_mutex_unlock(&fabric_cm_lock);
    errno = error;
    return -1;
}

static int succeed(void)
{
    pthread_mutex_unlock(&fabric_cm_lock);
    return 0;
}

static bool is_linked(const struct fabric_id *id)
{
    return id->state == FABRIC_ACCEPTED || id->state == FABRIC_RESPONDED ||
           id->state == FABRIC_CONNECTED;
}

/* The other side sees this side's limits exchanged: what one can start, the other has to answer. */
static struct rdma_conn_param as_seen(const struct rdma_conn_param *param)
{
    struct rdma_conn_param seen = *param;

    seen.responder_resources = param->initiator_depth;
    seen.initiator_depth = param->responder_resources;
    return seen;
}

static void keep(struct rdma_conn_param *kept, const struct rdma_conn_param *param)
{
    *kept = *param;
    kept->private_data = NULL;
    kept->private_data_len = 0;
}

static struct fabric_id *make_child(struct fabric_id *listener, struct fabric_id *active)
{
    struct fabric_id *child = fabric_id_new(listener->id.channel, NULL, listener->id.ps);

    child->state = FABRIC_REQUESTED;
    child->peer = active;
    child->remote = active->own;
    child->id.route.addr.src_storage = active->id.route.addr.dst_storage;
    child->id.route.addr.dst_storage = active->id.route.addr.src_storage;
    child->id.verbs = fabric_context_of(&child->id.route.addr.src_addr);
    child->id.port_num = 1;
    return child;
}

static void request(struct fabric_id *active, const struct rdma_conn_param *param)
{
    struct fabric_id *listener = fabric_listener_for(&active->id.route.addr.dst_addr);
    struct rdma_conn_param seen = as_seen(param), none = {0};

    if (!listener || listener->waiting >= listener->backlog) {
        active->state = FABRIC_ENDED;
        fabric_cm_notify(active, RDMA_CM_EVENT_REJECTED,
                         listener ? REJECT_BY_CONSUMER : REJECT_NO_SERVICE, &none,
                         FABRIC_REJECT_DATA);
        return;
    }
    active->peer = make_child(listener, active);
    fabric_cm_notify_request(listener, active->peer, &seen);
}

int rdma_connect(struct rdma_cm_id *id, struct rdma_conn_param *conn_param)
{
    int error = fabric_fault(FABRIC_CALL, "rdma_connect");
    struct fabric_id *own = fabric_id_of(id);

    pthread_mutex_lock(&fabric_cm_lock);
    if (!error && (own->state != FABRIC_ROUTE_RESOLVED || !conn_param ||
                   conn_param->private_data_len > FABRIC_REQUEST_DATA)) {
        error = EINVAL;
    }
    if (error) {
        return fail(error);
    }
    keep(&own->own, conn_param);
    own->state = FABRIC_CONNECTING;
    own->active = true;
    if (fabric_wire_is_cut()) {
        fabric_cm_timer_start(own);
    } else {
        request(own, conn_param);
    }
    return succeed();
}

int rdma_accept(struct rdma_cm_id *id, struct rdma_conn_param *conn_param)
{
    int error = fabric_fault(FABRIC_CALL, "rdma_accept");
    struct fabric_id *own = fabric_id_of(id), *active;
    struct rdma_conn_param seen;

    pthread_mutex_lock(&fabric_cm_lock);
    if (!error && (own->state != FABRIC_REQUESTED || !own->peer || !conn_param ||
                   conn_param->private_data_len > FABRIC_RESPONSE_DATA)) {
        error = EINVAL;
    }
    if (error) {
        return fail(error);
    }
    active = own->peer;
    keep(&own->own, conn_param);
    own->state = FABRIC_ACCEPTED;
    if (fabric_wire_is_cut()) {
        fabric_cm_timer_start(own);
        fabric_cm_timer_start(active);
        return succeed();
    }
    seen = as_seen(conn_param);
    active->remote = own->own;
    active->state = FABRIC_RESPONDED;
    fabric_cm_notify(active, RDMA_CM_EVENT_CONNECT_RESPONSE, 0, &seen, FABRIC_RESPONSE_DATA);
    return succeed();
}

int rdma_establish(struct rdma_cm_id *id)
{
    int error = fabric_fault(FABRIC_CALL, "rdma_establish");
    struct fabric_id *own = fabric_id_of(id);

    pthread_mutex_lock(&fabric_cm_lock);
    if (!error && (own->state != FABRIC_RESPONDED || !own->peer)) {
        error = EINVAL;
    }
    if (error) {
        return fail(error);
    }
    own->state = FABRIC_CONNECTED;
    if (fabric_wire_is_cut()) {
        fabric_cm_timer_start(own->peer);
    } else {
        own->peer->state = FABRIC_CONNECTED;
        fabric_cm_notify(own->peer, RDMA_CM_EVENT_ESTABLISHED, 0, NULL, 0);
    }
    return succeed();
}

static void unlink_pair(struct fabric_id *id)
{
    if (id->peer) {
        id->peer->peer = NULL;
        id->peer = NULL;
    }
}

/* The two queue pairs follow the connection, unless the fabric is to be as strict as hardware. */
static void end_queue_pairs(const struct fabric_id *id, bool told)
{
    if (!fabric_opts()->strict_cm) {
        fabric_qp_error_by_number(id->own.qp_num);
        if (told) {
            fabric_qp_error_by_number(id->remote.qp_num);
        }
    }
}

/* Tells the peer why this connection, or this attempt, is over; nobody hears it on a cut wire. */
static void part(struct fabric_id *id, enum rdma_cm_event_type type, int status,
                 const struct rdma_conn_param *param)
{
    struct fabric_id *peer = id->peer;
    bool told = peer && !fabric_wire_is_cut();

    if (is_linked(id)) {
        end_queue_pairs(id, told);
    }
    if (told) {
        peer->state = FABRIC_ENDED;
        /* A request that nobody has taken yet is found dead when it is accepted. */
        if (!peer->listener) {
            fabric_cm_notify(peer, type, status, param, param ? FABRIC_REJECT_DATA : 0);
        }
    } else if (peer && (peer->state == FABRIC_CONNECTING || peer->state == FABRIC_RESPONDED)) {
        fabric_cm_timer_start(peer);
    }
    id->state = FABRIC_ENDED;
    unlink_pair(id);
}

int rdma_reject(struct rdma_cm_id *id, const void *private_data, uint8_t private_data_len)
{
    int error = fabric_fault(FABRIC_CALL, "rdma_reject");
    struct rdma_conn_param param = {.private_data = private_data,
                                    .private_data_len = private_data_len};
    struct fabric_id *own = fabric_id_of(id);

    pthread_mutex_lock(&fabric_cm_lock);
    if (!error && ((own->state != FABRIC_REQUESTED && own->state != FABRIC_RESPONDED) ||
                   !own->peer || private_data_len > FABRIC_REJECT_DATA)) {
        error = EINVAL;
    }
    if (error) {
        return fail(error);
    }
    part(own, RDMA_CM_EVENT_REJECTED, REJECT_BY_CONSUMER, &param);
    return succeed();
}

int rdma_disconnect(struct rdma_cm_id *id)
{
    int injected = fabric_fault(FABRIC_CLEANUP, "rdma_disconnect");
    struct fabric_id *own = fabric_id_of(id);

    pthread_mutex_lock(&fabric_cm_lock);
    if (!is_linked(own) && own->state != FABRIC_ENDED) {
        return fail(EINVAL);
    }
    if (is_linked(own)) {
        part(own, RDMA_CM_EVENT_DISCONNECTED, 0, NULL);
        fabric_cm_notify(own, RDMA_CM_EVENT_DISCONNECTED, 0, NULL, 0);
    }
    return injected ? fail(injected) : succeed();
}

void fabric_cm_abandon(struct fabric_id *id)
{
    struct rdma_conn_param none = {0};

    switch (id->state) {
    case FABRIC_CONNECTING:
        part(id, RDMA_CM_EVENT_REJECTED, REJECT_TIMEOUT, &none);
        break;
    case FABRIC_REQUESTED:
    case FABRIC_ACCEPTED:
    case FABRIC_RESPONDED:
        part(id, RDMA_CM_EVENT_REJECTED, REJECT_BY_CONSUMER, &none);
        break;
    case FABRIC_CONNECTED:
        part(id, RDMA_CM_EVENT_DISCONNECTED, 0, NULL);
        break;
    default:
        unlink_pair(id);
    }
}

void fabric_cm_qp_gone(uint32_t qp_num)
{
    if (fabric_opts()->strict_cm) {
        return;
    }
    pthread_mutex_lock(&fabric_cm_lock);
    for (struct fabric_id *id = fabric_ids_first(); id; id = id->next) {
        if (id->own.qp_num == qp_num && is_linked(id)) {
            part(id, RDMA_CM_EVENT_DISCONNECTED, 0, NULL);
            fabric_cm_notify(id, RDMA_CM_EVENT_DISCONNECTED, 0, NULL, 0);
        }
    }
    pthread_mutex_unlock(&fabric_cm_lock);
}
