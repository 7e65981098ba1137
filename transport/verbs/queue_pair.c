/* SPDX-License-Identifier: MIT */
#include "transport/verbs/queue_pair.h"

#include "core/base/error.h"
#include "transport/verbs/domain.h"

#include <errno.h>

/*
 * Bits that some kernels set in the mask of rdma_init_qp_attr for addresses that they resolve
 * themselves; libibverbs refuses them for anything but raw use.
 */
#define KERNEL_ONLY_ATTR_BITS 0xe00000

uint8_t verbs_ack_timeout(uint32_t timeout_ms, uint32_t retries)
{
    uint64_t limit_ns = (uint64_t)timeout_ms * 1000000u / 4u / (retries + 1u);
    uint8_t code = 1;

    while (code < 31 && (4096ull << (code + 1)) <= limit_ns) {
        code++;
    }
    return code;
}

static int modify(struct ibv_qp *qp, struct ibv_qp_attr *attr, int mask, const char *state,
                  struct multifd_error *err)
{
    int errnum = ibv_modify_qp(qp, attr, mask);

    if (errnum != 0) {
        return error_set_errno(err, MULTIFD_ERROR_DEVICE, errnum, "ibv_modify_qp(%s)", state);
    }
    return 0;
}

static int init_attr(struct rdma_cm_id *id, struct ibv_qp_attr *attr, int *mask, const char *state,
                     struct multifd_error *err)
{
    if (rdma_init_qp_attr(id, attr, mask) != 0) {
        return error_set_errno(err, MULTIFD_ERROR_DEVICE, errno, "rdma_init_qp_attr(%s)", state);
    }
    if (id->verbs->device->transport_type == IBV_TRANSPORT_IB) {
        *mask &= ~KERNEL_ONLY_ATTR_BITS;
    }
    return 0;
}

static int to_init(struct ibv_qp *qp, struct rdma_cm_id *id, struct multifd_error *err)
{
    struct ibv_qp_attr attr = {.qp_state = IBV_QPS_INIT};
    int mask = 0;

    if (init_attr(id, &attr, &mask, "INIT", err) != 0) {
        return -1;
    }
    if (mask & IBV_QP_ACCESS_FLAGS) {
        attr.qp_access_flags = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE;
    }
    return modify(qp, &attr, mask, "INIT", err);
}

static int apply_mtu(struct ibv_qp_attr *attr, uint32_t mtu, struct multifd_error *err)
{
    if (mtu == 0) {
        return 0;
    }
    if (mtu > verbs_mtu_bytes(attr->path_mtu)) {
        return error_set(err, MULTIFD_ERROR_LIMIT, "mtu %u is above the path's MTU of %u", mtu,
                         verbs_mtu_bytes(attr->path_mtu));
    }
    attr->path_mtu = verbs_mtu_code(mtu);
    return 0;
}

static int to_rtr(struct ibv_qp *qp, struct rdma_cm_id *id,
                  const struct transport_settings *settings, struct multifd_error *err)
{
    struct ibv_qp_attr attr = {.qp_state = IBV_QPS_RTR};
    int mask = 0;

    if (init_attr(id, &attr, &mask, "RTR", err) != 0) {
        return -1;
    }
    if ((mask & IBV_QP_PATH_MTU) && apply_mtu(&attr, settings->mtu, err) != 0) {
        return -1;
    }
    if ((mask & IBV_QP_AV) && settings->traffic_class >= 0) {
        attr.ah_attr.grh.traffic_class = (uint8_t)settings->traffic_class;
    }
    if ((mask & IBV_QP_AV) && settings->service_level >= 0) {
        attr.ah_attr.sl = (uint8_t)settings->service_level;
    }
    /*
     * rdma_cm leaves 0 here, which encodes 655 ms: an eternity for a receive posted just too late.
     */
    attr.min_rnr_timer = (uint8_t)settings->rnr_timer;
    return modify(qp, &attr, mask, "RTR", err);
}

static int to_rts(struct ibv_qp *qp, struct rdma_cm_id *id,
                  const struct transport_settings *settings, struct multifd_error *err)
{
    struct ibv_qp_attr attr = {.qp_state = IBV_QPS_RTS};
    int mask = 0;

    if (init_attr(id, &attr, &mask, "RTS", err) != 0) {
        return -1;
    }
    attr.timeout = settings->qp_timeout >= 0
                       ? (uint8_t)settings->qp_timeout
                       : verbs_ack_timeout(settings->timeout_ms, settings->retry_count);
    attr.retry_cnt = (uint8_t)settings->retry_count;
    attr.rnr_retry = 7; /* without end: credits are the mechanism, liveness is watched elsewhere */
    return modify(qp, &attr, mask, "RTS", err);
}

int verbs_queue_pair_connect(struct ibv_qp *qp, struct rdma_cm_id *id,
                             const struct transport_settings *settings, struct multifd_error *err)
{
    if (to_rtr(qp, id, settings, err) != 0) {
        return -1;
    }
    return to_rts(qp, id, settings, err);
}

/* Devices do not tell how much inline data they take; those that take less than wanted refuse. */
static struct ibv_qp *create(struct ibv_pd *pd, struct ibv_cq *cq,
                             struct verbs_queue_pair_size *size)
{
    struct ibv_qp_init_attr attr = {
        .send_cq = cq,
        .recv_cq = cq,
        .cap = {.max_send_wr = size->send_wr,
                .max_recv_wr = size->receive_wr,
                .max_send_sge = 1,
                .max_recv_sge = 1,
                .max_inline_data = size->inline_data},
        .qp_type = IBV_QPT_RC,
    };
    struct ibv_qp *qp = ibv_create_qp(pd, &attr);

    if (qp == NULL && errno == EINVAL && size->inline_data != 0) {
        size->inline_data = 0;
        attr.cap = (struct ibv_qp_cap){.max_send_wr = size->send_wr,
                                       .max_recv_wr = size->receive_wr,
                                       .max_send_sge = 1,
                                       .max_recv_sge = 1};
        qp = ibv_create_qp(pd, &attr);
    }
    return qp;
}

struct ibv_qp *verbs_queue_pair_new(struct rdma_cm_id *id, struct ibv_pd *pd, struct ibv_cq *cq,
                                    struct verbs_queue_pair_size *size, struct multifd_error *err)
{
    struct ibv_qp *qp = create(pd, cq, size);

    if (qp == NULL) {
        error_set_errno(err, MULTIFD_ERROR_DEVICE, errno,
                        "ibv_create_qp(%s, %u send and %u receive entries)",
                        ibv_get_device_name(pd->context->device), size->send_wr, size->receive_wr);
        return NULL;
    }
    if (to_init(qp, id, err) != 0) {
        ibv_destroy_qp(qp);
        return NULL;
    }
    return qp;
}
