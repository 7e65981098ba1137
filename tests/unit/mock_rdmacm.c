/* SPDX-License-Identifier: MIT */
#include "mock_verbs.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define EVENTS_MAX   16
#define CHANNELS_MAX 8

struct mock_rdmacm mock_rdmacm;

struct mock_event_channel {
    struct rdma_event_channel channel;
    unsigned users;
};

struct mock_cm_event {
    struct rdma_cm_event event;
    uint8_t private_data[256];
};

static struct mock_cm_event events[EVENTS_MAX];
static unsigned events_num;
static unsigned events_taken;
static unsigned events_acked;
static struct mock_event_channel *channels[CHANNELS_MAX];

void mock_rdmacm_reset(void)
{
    memset(&mock_rdmacm, 0, sizeof(mock_rdmacm));
    memset(events, 0, sizeof(events));
    memset(channels, 0, sizeof(channels));
    events_num = 0;
    events_taken = 0;
    events_acked = 0;
    mock_rdmacm.resolved = mock_context();
}

void mock_rdmacm_check(void)
{
    assert_int_equal(events_acked, events_taken);
}

/* ---- Event channels ---- */

/* Makes the descriptors readable while there are events, as a real one is. */
static void signal_channels(void)
{
    uint64_t count = 1;

    for (unsigned i = 0; i < CHANNELS_MAX; i++) {
        if (channels[i] == NULL || channels[i]->channel.fd < 0) {
            continue;
        }
        (void)!read(channels[i]->channel.fd, &count, sizeof(count));
        count = 1;
        if (events_taken < events_num) {
            (void)!write(channels[i]->channel.fd, &count, sizeof(count));
        }
    }
}

struct rdma_event_channel *rdma_create_event_channel(void)
{
    struct mock_event_channel *channel;
    unsigned i = 0;

    if (mock_enter("rdma_create_event_channel") != 0) {
        return NULL;
    }
    while (channels[i] != NULL) {
        assert_true(++i < CHANNELS_MAX);
    }
    channel = mock_object(sizeof(*channel));
    channel->channel.fd = mock_verbs.bad_fd ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    channels[i] = channel;
    signal_channels();
    return &channel->channel;
}

void rdma_destroy_event_channel(struct rdma_event_channel *channel)
{
    struct mock_event_channel *gone = (struct mock_event_channel *)channel;

    mock_enter("rdma_destroy_event_channel");
    assert_int_equal(gone->users, 0);
    for (unsigned i = 0; i < CHANNELS_MAX; i++) {
        channels[i] = channels[i] == gone ? NULL : channels[i];
    }
    close(channel->fd);
    mock_object_free(gone);
}

void mock_event(enum rdma_cm_event_type type, int status, const void *private_data,
                uint8_t private_data_len, struct rdma_cm_id *id)
{
    struct mock_cm_event *made = &events[events_num++];

    assert_true(events_num < EVENTS_MAX);
    made->event.event = type;
    made->event.status = status;
    made->event.id = id;
    if (private_data != NULL) {
        memcpy(made->private_data, private_data, private_data_len);
        made->event.param.conn.private_data = made->private_data;
        made->event.param.conn.private_data_len = private_data_len;
    }
    signal_channels();
}

int rdma_get_cm_event(struct rdma_event_channel *channel, struct rdma_cm_event **event)
{
    (void)channel;
    if (mock_enter("rdma_get_cm_event") != 0) {
        return -1;
    }
    if (events_taken == events_num || mock_rdmacm.late != 0) {
        mock_rdmacm.late -= mock_rdmacm.late != 0;
        errno = EAGAIN;
        return -1;
    }
    *event = &events[events_taken++].event;
    signal_channels();
    return 0;
}

int rdma_ack_cm_event(struct rdma_cm_event *event)
{
    mock_enter("rdma_ack_cm_event");
    /* librdmacm frees the event here: what is read afterwards is garbage. */
    memset(event, 0xee, sizeof(struct mock_cm_event));
    events_acked++;
    return 0;
}

const char *rdma_event_str(enum rdma_cm_event_type event)
{
    return event == RDMA_CM_EVENT_TIMEWAIT_EXIT ? "RDMA_CM_EVENT_TIMEWAIT_EXIT"
                                                : "RDMA_CM_EVENT_OTHER";
}

/* ---- Identifiers ---- */

static void join(struct rdma_cm_id *id, struct rdma_event_channel *channel)
{
    id->channel = channel;
    if (channel != NULL) {
        ((struct mock_event_channel *)channel)->users++;
    }
}

static void leave(struct rdma_cm_id *id)
{
    if (id->channel != NULL) {
        ((struct mock_event_channel *)id->channel)->users--;
    }
}

int rdma_create_id(struct rdma_event_channel *channel, struct rdma_cm_id **id, void *context,
                   enum rdma_port_space ps)
{
    if (mock_enter("rdma_create_id") != 0) {
        return -1;
    }
    assert_int_equal(ps, RDMA_PS_TCP);
    *id = mock_object(sizeof(**id));
    (*id)->context = context;
    (*id)->verbs = mock_rdmacm.resolved;
    (*id)->port_num = 1;
    join(*id, channel);
    return 0;
}

struct rdma_cm_id *mock_request_id(const struct sockaddr *peer, size_t length)
{
    struct rdma_cm_id *id = mock_object(sizeof(*id));

    id->verbs = mock_rdmacm.resolved;
    id->port_num = 1;
    memcpy(&id->route.addr.dst_storage, peer, length);
    return id;
}

int rdma_destroy_id(struct rdma_cm_id *id)
{
    int errnum = mock_enter("rdma_destroy_id");

    if (events_acked != events_taken) {
        fail_msg("rdma_destroy_id would wait for an event that is not acknowledged");
    }
    leave(id);
    mock_object_free(id);
    return errnum == 0 ? 0 : -1;
}

int rdma_migrate_id(struct rdma_cm_id *id, struct rdma_event_channel *channel)
{
    if (mock_enter("rdma_migrate_id") != 0) {
        return -1;
    }
    leave(id);
    join(id, channel);
    return 0;
}

static void copy_address(struct sockaddr_storage *to, const struct sockaddr *from)
{
    memset(to, 0, sizeof(*to));
    memcpy(to, from,
           from->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
}

int rdma_bind_addr(struct rdma_cm_id *id, struct sockaddr *addr)
{
    (void)id;
    copy_address(&mock_rdmacm.bound, addr);
    return mock_enter("rdma_bind_addr") == 0 ? 0 : -1;
}

int rdma_set_option(struct rdma_cm_id *id, int level, int optname, void *optval, size_t optlen)
{
    (void)id;
    assert_int_equal(level, RDMA_OPTION_ID);
    assert_int_equal(optname, RDMA_OPTION_ID_TOS);
    assert_int_equal(optlen, 1);
    mock_rdmacm.tos = *(uint8_t *)optval;
    return mock_enter("rdma_set_option") == 0 ? 0 : -1;
}

int rdma_resolve_addr(struct rdma_cm_id *id, struct sockaddr *src_addr, struct sockaddr *dst_addr,
                      int timeout_ms)
{
    (void)id;
    mock_rdmacm.has_source = src_addr != NULL;
    if (src_addr != NULL) {
        copy_address(&mock_rdmacm.source, src_addr);
    }
    copy_address(&mock_rdmacm.destination, dst_addr);
    mock_rdmacm.timeout_ms = timeout_ms;
    return mock_enter("rdma_resolve_addr") == 0 ? 0 : -1;
}

int rdma_resolve_route(struct rdma_cm_id *id, int timeout_ms)
{
    (void)id;
    mock_rdmacm.timeout_ms = timeout_ms;
    return mock_enter("rdma_resolve_route") == 0 ? 0 : -1;
}

int rdma_listen(struct rdma_cm_id *id, int backlog)
{
    (void)id;
    mock_rdmacm.backlog = backlog;
    return mock_enter("rdma_listen") == 0 ? 0 : -1;
}

__be16 rdma_get_src_port(struct rdma_cm_id *id)
{
    (void)id;
    return htobe16(mock_rdmacm.port);
}

static void keep_param(const struct rdma_conn_param *param)
{
    mock_rdmacm.param = *param;
    memcpy(mock_rdmacm.private_data, param->private_data, param->private_data_len);
}

int rdma_connect(struct rdma_cm_id *id, struct rdma_conn_param *param)
{
    (void)id;
    keep_param(param);
    return mock_enter("rdma_connect") == 0 ? 0 : -1;
}

int rdma_establish(struct rdma_cm_id *id)
{
    (void)id;
    return mock_enter("rdma_establish") == 0 ? 0 : -1;
}

int rdma_accept(struct rdma_cm_id *id, struct rdma_conn_param *param)
{
    (void)id;
    keep_param(param);
    return mock_enter("rdma_accept") == 0 ? 0 : -1;
}

int rdma_reject(struct rdma_cm_id *id, const void *private_data, uint8_t private_data_len)
{
    const struct rdma_conn_param param = {.private_data = private_data,
                                          .private_data_len = private_data_len};

    (void)id;
    keep_param(&param);
    return mock_enter("rdma_reject") == 0 ? 0 : -1;
}

int rdma_disconnect(struct rdma_cm_id *id)
{
    (void)id;
    return mock_enter("rdma_disconnect") == 0 ? 0 : -1;
}

int rdma_init_qp_attr(struct rdma_cm_id *id, struct ibv_qp_attr *attr, int *mask)
{
    enum ibv_qp_state state = attr->qp_state;

    (void)id;
    if (mock_enter("rdma_init_qp_attr") != 0) {
        return -1;
    }
    *attr = mock_rdmacm.init_attr;
    attr->qp_state = state;
    *mask = mock_rdmacm.init_attr_mask;
    return 0;
}
