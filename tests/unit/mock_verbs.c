/* SPDX-License-Identifier: MIT */
#include "mock_verbs.h"

#include <errno.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct mock_verbs mock_verbs;

/* Objects with the number of those that use them. */
struct mock_pd {
    struct ibv_pd pd;
    unsigned users;
};

struct mock_comp_channel {
    struct ibv_comp_channel channel;
    unsigned users;
};

struct mock_cq {
    struct ibv_cq cq;
    unsigned users;
};

struct mock_qp {
    struct ibv_qp qp;
};

static struct verbs_context shared_context;
static uint32_t last_key;

static struct mock_device *device_of(struct ibv_context *context)
{
    return (struct mock_device *)context->device;
}

/* ---- Devices ---- */

struct ibv_device **ibv_get_device_list(int *num_devices)
{
    struct ibv_device **list;

    if (mock_enter("ibv_get_device_list") != 0) {
        return NULL;
    }
    list = mock_object((MOCK_DEVICES + 1) * sizeof(struct ibv_device *));
    for (int i = 0; i < mock_verbs.devices_num; i++) {
        list[i] = &mock_verbs.devices[i].device;
    }
    if (num_devices != NULL) {
        *num_devices = mock_verbs.devices_num;
    }
    return list;
}

void ibv_free_device_list(struct ibv_device **list)
{
    mock_enter("ibv_free_device_list");
    mock_object_free(list);
}

const char *ibv_get_device_name(struct ibv_device *device)
{
    return device->name;
}

static int query_port(struct ibv_context *context, uint8_t port, struct ibv_port_attr *attr,
                      size_t size)
{
    int errnum = mock_enter("ibv_query_port");

    assert_int_equal(size, sizeof(*attr));
    if (errnum != 0) {
        return errnum;
    }
    assert_in_range(port, 1, MOCK_PORTS);
    *attr = device_of(context)->ports[port - 1];
    return 0;
}

static int query_device_ex(struct ibv_context *context,
                           const struct ibv_query_device_ex_input *input,
                           struct ibv_device_attr_ex *attr, size_t size)
{
    int errnum = mock_enter("ibv_query_device_ex");

    (void)input;
    assert_int_equal(size, sizeof(*attr));
    if (errnum != 0) {
        return errnum;
    }
    *attr = device_of(context)->attr_ex;
    return 0;
}

#undef ibv_query_port
int ibv_query_port(struct ibv_context *context, uint8_t port, struct _compat_ibv_port_attr *attr)
{
    (void)context;
    (void)port;
    (void)attr;
    fail_msg("the mocked context has a query_port of its own");
    return -1;
}

int ibv_query_device(struct ibv_context *context, struct ibv_device_attr *attr)
{
    int errnum = mock_enter("ibv_query_device");

    if (errnum != 0) {
        return errnum;
    }
    *attr = device_of(context)->attr;
    return 0;
}

int ibv_query_gid(struct ibv_context *context, uint8_t port, int index, union ibv_gid *gid)
{
    if (mock_check("ibv_query_gid") != 0) {
        return -1;
    }
    assert_in_range(index, 0, MOCK_GIDS - 1);
    if (port < 1 || port > MOCK_PORTS) {
        errno = EINVAL;
        return -1;
    }
    *gid = device_of(context)->gids[port - 1][index];
    return 0;
}

const char *ibv_port_state_str(enum ibv_port_state state)
{
    return state == IBV_PORT_ACTIVE ? "PORT_ACTIVE" : "PORT_DOWN";
}

const char *ibv_wc_status_str(enum ibv_wc_status status)
{
    return status == IBV_WC_RETRY_EXC_ERR ? "transport retry counter exceeded" : "some status";
}

/* ---- Protection domains and memory ---- */

struct ibv_pd *ibv_alloc_pd(struct ibv_context *context)
{
    struct mock_pd *pd;

    if (mock_enter("ibv_alloc_pd") != 0) {
        return NULL;
    }
    pd = mock_object(sizeof(*pd));
    pd->pd.context = context;
    return &pd->pd;
}

int ibv_dealloc_pd(struct ibv_pd *pd)
{
    int errnum = mock_enter("ibv_dealloc_pd");

    assert_int_equal(((struct mock_pd *)pd)->users, 0);
    mock_object_free(pd);
    return errnum;
}

static struct ibv_mr *reg_mr(struct ibv_pd *pd, void *address, size_t length, unsigned access)
{
    struct mock_mr *mr;

    if (mock_enter("ibv_reg_mr") != 0) {
        return NULL;
    }
    mr = mock_object(sizeof(*mr));
    last_key++;
    mr->mr = (struct ibv_mr){.context = pd->context,
                             .pd = pd,
                             .addr = address,
                             .length = length,
                             .lkey = 0x1000 + last_key,
                             .rkey = 0x2000 + last_key};
    mr->access = access;
    ((struct mock_pd *)pd)->users++;
    mock_verbs.last_mr = mr;
    return &mr->mr;
}

#undef ibv_reg_mr
struct ibv_mr *ibv_reg_mr(struct ibv_pd *pd, void *addr, size_t length, int access)
{
    return reg_mr(pd, addr, length, (unsigned)access);
}

struct ibv_mr *ibv_reg_mr_iova2(struct ibv_pd *pd, void *addr, size_t length, uint64_t iova,
                                unsigned int access)
{
    assert_int_equal(iova, (uintptr_t)addr);
    return reg_mr(pd, addr, length, access);
}

int ibv_dereg_mr(struct ibv_mr *mr)
{
    int errnum = mock_enter("ibv_dereg_mr");

    ((struct mock_pd *)mr->pd)->users--;
    mock_object_free(mr);
    return errnum;
}

/* ---- Completion queues ---- */

struct ibv_comp_channel *ibv_create_comp_channel(struct ibv_context *context)
{
    struct mock_comp_channel *channel;

    if (mock_enter("ibv_create_comp_channel") != 0) {
        return NULL;
    }
    channel = mock_object(sizeof(*channel));
    channel->channel.context = context;
    channel->channel.fd = mock_verbs.bad_fd ? -1 : eventfd(0, EFD_CLOEXEC);
    return &channel->channel;
}

int ibv_destroy_comp_channel(struct ibv_comp_channel *channel)
{
    int errnum = mock_enter("ibv_destroy_comp_channel");

    assert_int_equal(((struct mock_comp_channel *)channel)->users, 0);
    close(channel->fd);
    mock_object_free(channel);
    return errnum;
}

struct ibv_cq *ibv_create_cq(struct ibv_context *context, int cqe, void *cq_context,
                             struct ibv_comp_channel *channel, int comp_vector)
{
    struct mock_cq *cq;

    if (mock_enter("ibv_create_cq") != 0) {
        return NULL;
    }
    assert_int_equal(comp_vector, 0);
    cq = mock_object(sizeof(*cq));
    cq->cq.context = context;
    cq->cq.cq_context = cq_context;
    cq->cq.channel = channel;
    cq->cq.cqe = cqe;
    mock_verbs.cqe = cqe;
    if (channel != NULL) {
        ((struct mock_comp_channel *)channel)->users++;
    }
    return &cq->cq;
}

int ibv_destroy_cq(struct ibv_cq *cq)
{
    int errnum = mock_enter("ibv_destroy_cq");

    assert_int_equal(((struct mock_cq *)cq)->users, 0);
    if (cq->channel != NULL) {
        ((struct mock_comp_channel *)cq->channel)->users--;
    }
    mock_object_free(cq);
    return errnum;
}

int ibv_get_cq_event(struct ibv_comp_channel *channel, struct ibv_cq **cq, void **cq_context)
{
    (void)channel;
    (void)cq;
    (void)cq_context;
    if (mock_enter("ibv_get_cq_event") != 0) {
        return -1;
    }
    if (mock_verbs.cq_events == 0) {
        errno = EAGAIN;
        return -1;
    }
    mock_verbs.cq_events--;
    return 0;
}

void ibv_ack_cq_events(struct ibv_cq *cq, unsigned int nevents)
{
    (void)cq;
    mock_enter("ibv_ack_cq_events");
    mock_verbs.cq_events_acked += nevents;
}

static int poll_cq(struct ibv_cq *cq, int most, struct ibv_wc *wc)
{
    int got = 0;

    (void)cq;
    if (mock_enter("ibv_poll_cq") != 0) {
        return -1;
    }
    while (got < most && mock_verbs.completions_taken < mock_verbs.completions_num) {
        wc[got++] = mock_verbs.completions[mock_verbs.completions_taken++];
    }
    return got;
}

static int req_notify_cq(struct ibv_cq *cq, int solicited_only)
{
    (void)cq;
    mock_verbs.solicited_only = solicited_only;
    return mock_enter("ibv_req_notify_cq");
}

void mock_complete(uint64_t wr_id, enum ibv_wc_status status, uint32_t byte_len)
{
    assert_true(mock_verbs.completions_num < COUNT_OF(mock_verbs.completions));
    mock_verbs.completions[mock_verbs.completions_num++] =
        (struct ibv_wc){.wr_id = wr_id, .status = status, .byte_len = byte_len};
}

/* ---- Queue pairs ---- */

struct ibv_qp *ibv_create_qp(struct ibv_pd *pd, struct ibv_qp_init_attr *attr)
{
    struct mock_qp *qp;

    mock_verbs.qp_attr = *attr;
    if (mock_enter("ibv_create_qp") != 0) {
        return NULL;
    }
    qp = mock_object(sizeof(*qp));
    qp->qp.context = pd->context;
    qp->qp.pd = pd;
    qp->qp.send_cq = attr->send_cq;
    qp->qp.recv_cq = attr->recv_cq;
    qp->qp.qp_num = 0x777;
    qp->qp.qp_type = attr->qp_type;
    ((struct mock_pd *)pd)->users++;
    ((struct mock_cq *)attr->send_cq)->users++;
    return &qp->qp;
}

int ibv_modify_qp(struct ibv_qp *qp, struct ibv_qp_attr *attr, int mask)
{
    int errnum = mock_enter("ibv_modify_qp");

    (void)qp;
    assert_true(mock_verbs.modify_num < COUNT_OF(mock_verbs.modify));
    mock_verbs.modify[mock_verbs.modify_num++] = (struct mock_modify){*attr, mask};
    return errnum;
}

int ibv_destroy_qp(struct ibv_qp *qp)
{
    int errnum = mock_enter("ibv_destroy_qp");

    ((struct mock_pd *)qp->pd)->users--;
    ((struct mock_cq *)qp->send_cq)->users--;
    mock_object_free(qp);
    return errnum;
}

static int post_send(struct ibv_qp *qp, struct ibv_send_wr *wr, struct ibv_send_wr **bad)
{
    struct mock_post *post = &mock_verbs.sends[mock_verbs.sends_num];
    int errnum = mock_enter("ibv_post_send");

    (void)qp;
    *bad = wr;
    if (errnum != 0) {
        return errnum;
    }
    assert_true(++mock_verbs.sends_num < MOCK_POSTS);
    for (; wr != NULL; wr = wr->next) {
        assert_true(post->num < MOCK_CHAIN);
        assert_true(wr->num_sge <= 1);
        post->sends[post->num] = *wr;
        if (wr->num_sge == 1) {
            post->sges[post->num] = wr->sg_list[0];
        }
        post->num++;
    }
    return 0;
}

static int post_recv(struct ibv_qp *qp, struct ibv_recv_wr *wr, struct ibv_recv_wr **bad)
{
    struct mock_post *post = &mock_verbs.receives[mock_verbs.receives_num];
    int errnum = mock_enter("ibv_post_recv");

    (void)qp;
    *bad = wr;
    if (errnum != 0) {
        return errnum;
    }
    assert_true(++mock_verbs.receives_num < MOCK_POSTS);
    for (; wr != NULL; wr = wr->next) {
        assert_true(post->num < MOCK_CHAIN);
        assert_int_equal(wr->num_sge, 1);
        post->receives[post->num] = *wr;
        post->sges[post->num++] = wr->sg_list[0];
    }
    return 0;
}

/* ---- Contexts ---- */

static void fill_context(struct verbs_context *context, struct ibv_device *device)
{
    context->query_port = query_port;
    context->query_device_ex = query_device_ex;
    context->sz = sizeof(*context);
    context->context.device = device;
    context->context.abi_compat = __VERBS_ABI_IS_EXTENDED;
    context->context.ops.poll_cq = poll_cq;
    context->context.ops.req_notify_cq = req_notify_cq;
    context->context.ops.post_send = post_send;
    context->context.ops.post_recv = post_recv;
}

struct ibv_context *ibv_open_device(struct ibv_device *device)
{
    struct verbs_context *context;

    if (mock_enter("ibv_open_device") != 0) {
        return NULL;
    }
    context = mock_object(sizeof(*context));
    fill_context(context, device);
    return &context->context;
}

int ibv_close_device(struct ibv_context *context)
{
    int errnum = mock_enter("ibv_close_device");

    mock_object_free(verbs_get_ctx(context));
    return errnum;
}

struct ibv_context *mock_context(void)
{
    return &shared_context.context;
}

/* Objects that live as long as the program, so they are no one's to count. */
static struct mock_pd shared_pd;
static struct mock_cq shared_cq;
static struct mock_qp shared_qp;

struct ibv_pd *mock_pd(void)
{
    return &shared_pd.pd;
}

struct ibv_qp *mock_qp(void)
{
    return &shared_qp.qp;
}

static void fill_device(struct mock_device *device, int number)
{
    snprintf(device->device.name, sizeof(device->device.name), "mock%d", number);
    device->device.transport_type = IBV_TRANSPORT_IB;
    device->attr = (struct ibv_device_attr){.max_mr_size = UINT64_C(1) << 40,
                                            .max_qp = 100,
                                            .max_qp_wr = 1024,
                                            .max_sge = 16,
                                            .max_cqe = 4096,
                                            .max_mr = 200,
                                            .phys_port_cnt = 1};
    for (int i = 0; i < MOCK_PORTS; i++) {
        device->ports[i] = (struct ibv_port_attr){.state = IBV_PORT_ACTIVE,
                                                  .max_mtu = IBV_MTU_4096,
                                                  .active_mtu = IBV_MTU_1024,
                                                  .gid_tbl_len = MOCK_GIDS,
                                                  .max_msg_sz = 1u << 30,
                                                  .link_layer = IBV_LINK_LAYER_ETHERNET};
    }
}

void mock_verbs_reset(void)
{
    memset(&mock_verbs, 0, sizeof(mock_verbs));
    memset(&shared_context, 0, sizeof(shared_context));
    memset(&shared_pd, 0, sizeof(shared_pd));
    mock_verbs.devices_num = 1;
    for (int i = 0; i < MOCK_DEVICES; i++) {
        fill_device(&mock_verbs.devices[i], i);
    }
    fill_context(&shared_context, &mock_verbs.devices[0].device);
    shared_pd.pd.context = mock_context();
    shared_cq.cq.context = mock_context();
    shared_qp.qp = (struct ibv_qp){.context = mock_context(),
                                   .pd = &shared_pd.pd,
                                   .send_cq = &shared_cq.cq,
                                   .recv_cq = &shared_cq.cq,
                                   .qp_num = 0x555};
}
