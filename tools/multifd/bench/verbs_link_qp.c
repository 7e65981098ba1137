/* SPDX-License-Identifier: MIT */
#include "verbs_link_qp.h"

#include "fail.h"

#include <errno.h>
#include <string.h>

/*
 * Bits that some kernels set in the mask of rdma_init_qp_attr for addresses that they resolve
 * themselves; libibverbs refuses them for anything but raw use.
 */
#define KERNEL_ONLY_ATTR_BITS 0xe00000

static int fail_errno(struct multifd_error *err, const char *call)
{
    return tool_fail(err, MULTIFD_ERROR_DEVICE, "%s: %s", call, strerror(errno));
}

/* ---- States ---- */

static int prepare(const struct verbs_link *link, struct ibv_qp_attr *attributes, int *mask,
                   struct multifd_error *err)
{
    if (rdma_init_qp_attr(link->id, attributes, mask) != 0) {
        return fail_errno(err, "rdma_init_qp_attr");
    }
    if (link->id->verbs->device->transport_type == IBV_TRANSPORT_IB) {
        *mask &= ~KERNEL_ONLY_ATTR_BITS;
    }
    return 0;
}

static int modify(const struct verbs_link *link, struct ibv_qp_attr *attributes, int mask,
                  struct multifd_error *err)
{
    errno = ibv_modify_qp(link->qp, attributes, mask);
    return errno == 0 ? 0 : fail_errno(err, "ibv_modify_qp");
}

static int to_init(const struct verbs_link *link, struct multifd_error *err)
{
    struct ibv_qp_attr attributes = {.qp_state = IBV_QPS_INIT};
    int mask = 0;

    if (prepare(link, &attributes, &mask, err) != 0) {
        return -1;
    }
    if ((mask & IBV_QP_ACCESS_FLAGS) != 0) {
        attributes.qp_access_flags =
            IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ;
    }
    return modify(link, &attributes, mask, err);
}

/* IBV_MTU_256 is 1, and each next one is twice as much. */
static uint64_t mtu_bytes(enum ibv_mtu mtu)
{
    return UINT64_C(128) << mtu;
}

static int apply_mtu(const struct verbs_link *link, struct ibv_qp_attr *attributes,
                     struct multifd_error *err)
{
    uint64_t wanted = link->settings->mtu;

    if (wanted > mtu_bytes(attributes->path_mtu)) {
        return tool_fail(err, MULTIFD_ERROR_LIMIT, "mtu %u is above the path's MTU of %u",
                         (unsigned)wanted, (unsigned)mtu_bytes(attributes->path_mtu));
    }
    while (wanted != 0 && mtu_bytes(attributes->path_mtu) > wanted) {
        attributes->path_mtu--;
    }
    return 0;
}

static int to_rtr(struct verbs_link *link, struct multifd_error *err)
{
    const struct verbs_settings *settings = link->settings;
    struct ibv_qp_attr attributes = {.qp_state = IBV_QPS_RTR};
    int mask = 0;

    if (prepare(link, &attributes, &mask, err) != 0 ||
        ((mask & IBV_QP_PATH_MTU) != 0 && apply_mtu(link, &attributes, err) != 0)) {
        return -1;
    }
    link->mtu = (mask & IBV_QP_PATH_MTU) != 0 ? (unsigned)mtu_bytes(attributes.path_mtu) : 0;
    if ((mask & IBV_QP_AV) != 0 && settings->traffic_class != VERBS_AUTO) {
        attributes.ah_attr.grh.traffic_class = (uint8_t)settings->traffic_class;
    }
    if ((mask & IBV_QP_AV) != 0 && settings->service_level != VERBS_AUTO) {
        attributes.ah_attr.sl = (uint8_t)settings->service_level;
    }
    attributes.min_rnr_timer = (uint8_t)settings->rnr_timer; /* rdma_cm's 0 means 655 ms */
    return modify(link, &attributes, mask, err);
}

static int to_rts(const struct verbs_link *link, struct multifd_error *err)
{
    const struct verbs_settings *settings = link->settings;
    struct ibv_qp_attr attributes = {.qp_state = IBV_QPS_RTS};
    int mask = 0;

    if (prepare(link, &attributes, &mask, err) != 0) {
        return -1;
    }
    if (settings->qp_timeout != VERBS_AUTO) {
        attributes.timeout = (uint8_t)settings->qp_timeout;
    }
    attributes.retry_cnt = (uint8_t)settings->retry_count;
    attributes.rnr_retry = 7; /* without end: a receiver that is late is asked again */
    return modify(link, &attributes, mask, err);
}

int verbs_link_qp_connect(struct verbs_link *link, struct multifd_error *err)
{
    return to_rtr(link, err) != 0 ? -1 : to_rts(link, err);
}

json_t *verbs_link_qp_json(const struct verbs_link *link)
{
    return json_pack("{s:s, s:i, s:i}", "device", ibv_get_device_name(link->id->verbs->device),
                     "port", (int)link->id->port_num, "mtu", (int)link->mtu);
}

/* ---- Making ---- */

static int make_completion_queues(struct verbs_link *link, const struct verbs_depth *depth,
                                  struct multifd_error *err)
{
    struct ibv_context *context = link->id->verbs;

    link->completions = ibv_create_comp_channel(context);
    if (link->completions == NULL) {
        return fail_errno(err, "ibv_create_comp_channel");
    }
    link->send_cq = ibv_create_cq(context, (int)depth->send_wr, NULL, link->completions, 0);
    link->receive_cq = ibv_create_cq(context, (int)depth->receive_wr, NULL, link->completions, 0);
    return link->send_cq != NULL && link->receive_cq != NULL ? 0 : fail_errno(err, "ibv_create_cq");
}

int verbs_link_qp_make(struct verbs_link *link, const struct verbs_depth *depth,
                       struct multifd_error *err)
{
    struct ibv_qp_init_attr attributes = {
        .cap = {.max_send_wr = depth->send_wr,
                .max_recv_wr = depth->receive_wr,
                .max_send_sge = 1,
                .max_recv_sge = 1,
                .max_inline_data = depth->inline_data},
        .qp_type = IBV_QPT_RC,
    };

    if (make_completion_queues(link, depth, err) != 0) {
        return -1;
    }
    attributes.send_cq = link->send_cq;
    attributes.recv_cq = link->receive_cq;
    link->qp = ibv_create_qp(link->id->pd, &attributes);
    return link->qp != NULL ? to_init(link, err) : fail_errno(err, "ibv_create_qp");
}
