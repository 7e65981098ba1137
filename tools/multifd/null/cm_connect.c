/* SPDX-License-Identifier: MIT */
/* cm_connect - connections. Queue pairs are their users' to make and to bring up. */
#include "null/cm.h"
#include "null/null_device.h"

#include <errno.h>

static void link_pair(struct null_id *a, struct null_id *b, enum null_id_state state)
{
    a->peer = b;
    b->peer = a;
    a->state = state;
    b->state = state;
}

/* The identifier that the listener's user will get with the request. */
static int request(struct null_id *active, struct null_id *listener,
                   const struct rdma_conn_param *param)
{
    struct null_id *child = null_id_new(listener->id.channel, listener->id.context);

    if (child == NULL) {
        return ENOMEM;
    }
    child->listener = listener;
    null_id_use_device(&child->id);
    child->id.route.addr.src_storage = active->id.route.addr.dst_storage;
    child->id.route.addr.dst_storage = active->id.route.addr.src_storage;
    link_pair(active, child, NULL_ID_ASKED);
    null_cm_notify(child, RDMA_CM_EVENT_CONNECT_REQUEST, 0, param);
    return 0;
}

int rdma_connect(struct rdma_cm_id *id, struct rdma_conn_param *conn_param)
{
    struct null_id *own = null_id_of(id);
    struct null_id *listener;
    int error = 0;

    pthread_mutex_lock(&null_cm_lock);
    listener = null_listener_at(rdma_get_dst_port(id));
    own->qp_num = conn_param->qp_num;
    if (listener != NULL) {
        error = request(own, listener, conn_param);
    } else {
        null_cm_notify(own, RDMA_CM_EVENT_REJECTED, NULL_REJECT_NO_SERVICE, NULL);
    }
    return null_cm_leave(error);
}

int rdma_accept(struct rdma_cm_id *id, struct rdma_conn_param *conn_param)
{
    struct null_id *own = null_id_of(id);
    int error;

    pthread_mutex_lock(&null_cm_lock);
    error = own->state == NULL_ID_ASKED ? 0 : EINVAL;
    if (error == 0) {
        own->qp_num = conn_param->qp_num;
        link_pair(own, own->peer, NULL_ID_LINKED);
        null_cm_notify(own->peer, RDMA_CM_EVENT_CONNECT_RESPONSE, 0, conn_param);
    }
    return null_cm_leave(error);
}

int rdma_establish(struct rdma_cm_id *id)
{
    struct null_id *own = null_id_of(id);
    int error;

    pthread_mutex_lock(&null_cm_lock);
    error = own->state == NULL_ID_LINKED ? 0 : EINVAL;
    if (error == 0) {
        null_cm_notify(own->peer, RDMA_CM_EVENT_ESTABLISHED, 0, NULL);
    }
    return null_cm_leave(error);
}

static void end_with(struct null_id *id, enum rdma_cm_event_type type, int status,
                     const struct rdma_conn_param *param)
{
    link_pair(id, id->peer, NULL_ID_ENDED);
    if (id->peer->listener == NULL) { /* else nobody knows it yet: it is found ended */
        null_cm_notify(id->peer, type, status, param);
    }
    id->peer->peer = NULL;
    id->peer = NULL;
}

void null_id_end(struct null_id *id)
{
    if (id->state == NULL_ID_ASKED) {
        end_with(id, RDMA_CM_EVENT_REJECTED, NULL_REJECT_BY_CONSUMER, NULL);
    } else if (id->state == NULL_ID_LINKED) {
        end_with(id, RDMA_CM_EVENT_DISCONNECTED, 0, NULL);
    }
}

int rdma_reject(struct rdma_cm_id *id, const void *private_data, uint8_t private_data_len)
{
    const struct rdma_conn_param param = {.private_data = private_data,
                                          .private_data_len = private_data_len};
    struct null_id *own = null_id_of(id);
    int error;

    pthread_mutex_lock(&null_cm_lock);
    error = own->state == NULL_ID_ASKED ? 0 : EINVAL;
    if (error == 0) {
        end_with(own, RDMA_CM_EVENT_REJECTED, NULL_REJECT_BY_CONSUMER, &param);
    }
    return null_cm_leave(error);
}

int rdma_disconnect(struct rdma_cm_id *id)
{
    struct null_id *own = null_id_of(id);
    int error;

    pthread_mutex_lock(&null_cm_lock);
    error = own->state == NULL_ID_LINKED ? 0 : EINVAL;
    if (error == 0) {
        null_id_end(own);
        null_cm_notify(own, RDMA_CM_EVENT_DISCONNECTED, 0, NULL);
    }
    return null_cm_leave(error);
}

/* What the device does not look at is left out of the attributes, but not out of the mask. */
int rdma_init_qp_attr(struct rdma_cm_id *id, struct ibv_qp_attr *qp_attr, int *qp_attr_mask)
{
    enum ibv_qp_state state = qp_attr->qp_state;
    struct null_id *own = null_id_of(id);

    pthread_mutex_lock(&null_cm_lock);
    if (state > IBV_QPS_RTS || (state != IBV_QPS_INIT && own->peer == NULL)) {
        return null_cm_leave(EINVAL);
    }
    *qp_attr = (struct ibv_qp_attr){.qp_state = state, .port_num = 1, .path_mtu = IBV_MTU_4096};
    *qp_attr_mask = IBV_QP_STATE;
    if (state == IBV_QPS_INIT) {
        *qp_attr_mask |= IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS;
    } else if (state == IBV_QPS_RTR) {
        *qp_attr_mask |= IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
                         IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER;
        qp_attr->dest_qp_num = own->peer->qp_num;
    } else {
        *qp_attr_mask |= IBV_QP_SQ_PSN | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
                         IBV_QP_MAX_QP_RD_ATOMIC;
    }
    return null_cm_leave(0);
}
