/* SPDX-License-Identifier: MIT */
#include "null/null_device.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#undef ibv_query_port
#undef ibv_reg_mr

static struct ibv_device null0 = {
    .node_type = IBV_NODE_CA,
    .transport_type = IBV_TRANSPORT_IB,
    .name = "null0",
    .dev_name = "null0",
};

struct ibv_context null_context = {
    .device = &null0,
    .ops = {.post_send = null_post_send,
            .post_recv = null_post_recv,
            .poll_cq = null_poll_cq,
            .req_notify_cq = null_req_notify_cq},
    .cmd_fd = -1,
    .async_fd = -1,
    .num_comp_vectors = 1,
    .mutex = PTHREAD_MUTEX_INITIALIZER,
};

struct ibv_device **ibv_get_device_list(int *num_devices)
{
    struct ibv_device **list = calloc(2, sizeof(struct ibv_device *));

    if (list == NULL) {
        return NULL;
    }
    list[0] = &null0;
    if (num_devices != NULL) {
        *num_devices = 1;
    }
    return list;
}

void ibv_free_device_list(struct ibv_device **list)
{
    free(list);
}

const char *ibv_get_device_name(struct ibv_device *device)
{
    return device->name;
}

struct ibv_context *ibv_open_device(struct ibv_device *device)
{
    (void)device;
    return &null_context;
}

int ibv_close_device(struct ibv_context *context)
{
    (void)context;
    return 0;
}

int ibv_query_device(struct ibv_context *context, struct ibv_device_attr *attr)
{
    (void)context;
    *attr = (struct ibv_device_attr){
        .fw_ver = "null",
        .max_mr_size = UINT64_C(1) << 62,
        .page_size_cap = 0xfffff000,
        .max_qp = 1 << 16,
        .max_qp_wr = NULL_DEVICE_MAX_WR,
        .max_sge = 1,
        .max_sge_rd = 1,
        .max_cq = 1 << 16,
        .max_cqe = NULL_DEVICE_MAX_CQE,
        .max_mr = 1 << 24,
        .max_pd = 1 << 16,
        .max_pkeys = 1,
        .phys_port_cnt = 1,
    };
    return 0;
}

int ibv_query_port(struct ibv_context *context, uint8_t port_num,
                   struct _compat_ibv_port_attr *port_attr)
{
    struct ibv_port_attr *attr = (struct ibv_port_attr *)port_attr;

    (void)context;
    if (port_num != 1) {
        return EINVAL;
    }
    *attr = (struct ibv_port_attr){
        .state = IBV_PORT_ACTIVE,
        .max_mtu = IBV_MTU_4096,
        .active_mtu = IBV_MTU_4096,
        .gid_tbl_len = 1,
        .max_msg_sz = UINT32_C(1) << 30,
        .pkey_tbl_len = 1,
        .link_layer = IBV_LINK_LAYER_ETHERNET,
    };
    return 0;
}

/* 127.0.0.1, as a RoCE device has it. */
int ibv_query_gid(struct ibv_context *context, uint8_t port_num, int index, union ibv_gid *gid)
{
    (void)context;
    if (port_num != 1 || index != 0) {
        errno = EINVAL;
        return -1;
    }
    *gid = (union ibv_gid){.raw = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1}};
    return 0;
}

struct ibv_pd *ibv_alloc_pd(struct ibv_context *context)
{
    struct ibv_pd *pd = calloc(1, sizeof(*pd));

    if (pd != NULL) {
        pd->context = context;
    }
    return pd;
}

int ibv_dealloc_pd(struct ibv_pd *pd)
{
    free(pd);
    return 0;
}

/* No page is looked at, so it takes no time. */
static struct ibv_mr *new_region(struct ibv_pd *pd, void *addr, size_t length)
{
    static _Atomic uint32_t last_key;
    struct ibv_mr *mr = calloc(1, sizeof(*mr));

    if (mr == NULL) {
        return NULL;
    }
    mr->context = pd->context;
    mr->pd = pd;
    mr->addr = addr;
    mr->length = length;
    mr->lkey = atomic_fetch_add(&last_key, 1) + 1;
    mr->rkey = mr->lkey;
    return mr;
}

/* Of the two that the macro ibv_reg_mr calls, either is called: that depends on the compiler. */
struct ibv_mr *ibv_reg_mr(struct ibv_pd *pd, void *addr, size_t length, int access)
{
    (void)access;
    return new_region(pd, addr, length);
}

struct ibv_mr *ibv_reg_mr_iova2(struct ibv_pd *pd, void *addr, size_t length, uint64_t iova,
                                unsigned int access)
{
    (void)iova;
    (void)access;
    return new_region(pd, addr, length);
}

int ibv_dereg_mr(struct ibv_mr *mr)
{
    free(mr);
    return 0;
}

/* Those that the device gives. */
const char *ibv_wc_status_str(enum ibv_wc_status status)
{
    switch (status) {
    case IBV_WC_SUCCESS:
        return "success";
    case IBV_WC_WR_FLUSH_ERR:
        return "the peer is gone";
    case IBV_WC_RNR_RETRY_EXC_ERR:
        return "no receive is posted";
    case IBV_WC_LOC_LEN_ERR:
        return "the message is longer than the receive";
    case IBV_WC_REM_INV_REQ_ERR:
        return "the message is longer than the peer's receive";
    case IBV_WC_LOC_QP_OP_ERR:
        return "neither RDMA WRITE nor SEND";
    default:
        return "unknown";
    }
}

const char *ibv_port_state_str(enum ibv_port_state state)
{
    return state == IBV_PORT_ACTIVE ? "PORT_ACTIVE" : "unknown";
}
