/* SPDX-License-Identifier: MIT */
/* cm_event - event channels, identifiers and what waits for them. */
#include "null/cm.h"
#include "null/null_device.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct event {
    struct rdma_cm_event event;
    struct event *next;
    struct null_id *owner; /* with whom it goes: the listener of a request that nobody has taken */
    uint8_t private_data[UINT8_MAX];
};

/* The descriptor is readable exactly while there are events. */
struct channel {
    struct rdma_event_channel channel;
    struct event *first;
};

pthread_mutex_t null_cm_lock = PTHREAD_MUTEX_INITIALIZER;

static struct null_id *ids;

static struct channel *channel_of(struct rdma_event_channel *channel)
{
    return (struct channel *)(void *)channel;
}

struct rdma_event_channel *rdma_create_event_channel(void)
{
    struct channel *channel = calloc(1, sizeof(*channel));

    if (channel == NULL) {
        return NULL;
    }
    channel->channel.fd = eventfd(0, EFD_CLOEXEC);
    if (channel->channel.fd < 0) {
        free(channel);
        return NULL;
    }
    return &channel->channel;
}

void rdma_destroy_event_channel(struct rdma_event_channel *channel)
{
    close(channel->fd);
    free(channel_of(channel));
}

/* After a change of its list. Neither call blocks: nobody else reads or writes there. */
static void show_level(struct channel *channel, bool was_empty)
{
    uint64_t count = 1;

    if (was_empty && channel->first != NULL) {
        (void)!write(channel->channel.fd, &count, sizeof(count));
    } else if (!was_empty && channel->first == NULL) {
        (void)!read(channel->channel.fd, &count, sizeof(count));
    }
}

/* Adds a list of events at the end. */
static void append(struct channel *channel, struct event *events)
{
    bool was_empty = channel->first == NULL;
    struct event **link = &channel->first;

    while (*link != NULL) {
        link = &(*link)->next;
    }
    *link = events;
    show_level(channel, was_empty);
}

/* Takes the events of one owner out, in order. */
static struct event *take_all(struct channel *channel, const struct null_id *owner)
{
    bool was_empty = channel->first == NULL;
    struct event **link = &channel->first;
    struct event *taken = NULL;
    struct event **end = &taken;

    while (*link != NULL) {
        struct event *event = *link;

        if (event->owner == owner) {
            *link = event->next;
            event->next = NULL;
            *end = event;
            end = &event->next;
        } else {
            link = &event->next;
        }
    }
    show_level(channel, was_empty);
    return taken;
}

void null_cm_notify(struct null_id *id, enum rdma_cm_event_type type, int status,
                    const struct rdma_conn_param *param)
{
    struct event *event = calloc(1, sizeof(*event));

    if (event == NULL) {
        return;
    }
    event->owner = id->listener != NULL ? id->listener : id;
    event->event.id = &id->id;
    event->event.event = type;
    event->event.status = status;
    if (type == RDMA_CM_EVENT_CONNECT_REQUEST) {
        event->event.listen_id = &id->listener->id;
    }
    if (param != NULL) {
        event->event.param.conn = *param;
        event->event.param.conn.private_data = event->private_data;
        if (param->private_data_len != 0) {
            memcpy(event->private_data, param->private_data, param->private_data_len);
        }
    }
    append(channel_of(id->id.channel), event);
}

int null_cm_leave(int error)
{
    pthread_mutex_unlock(&null_cm_lock);
    if (error != 0) {
        errno = error;
        return -1;
    }
    return 0;
}

struct null_id *null_ids(void)
{
    return ids;
}

struct null_id *null_id_new(struct rdma_event_channel *channel, void *context)
{
    struct null_id *id = calloc(1, sizeof(*id));

    if (id != NULL) {
        id->id.channel = channel;
        id->id.context = context;
        id->id.ps = RDMA_PS_TCP;
        id->id.qp_type = IBV_QPT_RC;
        id->next = ids;
        ids = id;
    }
    return id;
}

void null_id_use_device(struct rdma_cm_id *id)
{
    static struct ibv_pd pd = {.context = &null_context};

    id->verbs = &null_context;
    id->pd = &pd;
    id->port_num = 1;
}

void null_id_free(struct null_id *id)
{
    struct event *event = take_all(channel_of(id->id.channel), id);
    struct null_id **link = &ids;

    while (event != NULL) {
        struct event *gone = event;

        event = event->next;
        free(gone);
    }
    while (*link != id) {
        link = &(*link)->next;
    }
    *link = id->next;
    free(id);
}

int rdma_create_id(struct rdma_event_channel *channel, struct rdma_cm_id **id, void *context,
                   enum rdma_port_space ps)
{
    struct null_id *made;

    if (channel == NULL || ps != RDMA_PS_TCP) {
        errno = EINVAL;
        return -1;
    }
    pthread_mutex_lock(&null_cm_lock);
    made = null_id_new(channel, context);
    pthread_mutex_unlock(&null_cm_lock);
    if (made == NULL) {
        return -1;
    }
    *id = &made->id;
    return 0;
}

/* A request that nobody has taken ends with its listener. */
static struct null_id *untaken(const struct null_id *listener)
{
    struct null_id *id = ids;

    while (id != NULL && id->listener != listener) {
        id = id->next;
    }
    return id;
}

int rdma_destroy_id(struct rdma_cm_id *id)
{
    struct null_id *own = null_id_of(id);
    struct null_id *child;

    pthread_mutex_lock(&null_cm_lock);
    while ((child = untaken(own)) != NULL) {
        null_id_end(child);
        null_id_free(child);
    }
    null_id_end(own);
    null_id_free(own);
    pthread_mutex_unlock(&null_cm_lock);
    return 0;
}

int rdma_migrate_id(struct rdma_cm_id *id, struct rdma_event_channel *channel)
{
    pthread_mutex_lock(&null_cm_lock);
    append(channel_of(channel), take_all(channel_of(id->channel), null_id_of(id)));
    id->channel = channel;
    pthread_mutex_unlock(&null_cm_lock);
    return 0;
}

/* The oldest event, NULL when there is none; a request's identifier is then the caller's. */
static struct event *take(struct channel *channel)
{
    struct event *event;
    struct null_id *id;

    pthread_mutex_lock(&null_cm_lock);
    event = channel->first;
    if (event != NULL) {
        channel->first = event->next;
        show_level(channel, false);
        id = null_id_of(event->event.id);
        if (event->event.event == RDMA_CM_EVENT_CONNECT_REQUEST) {
            id->listener = NULL;
        }
    }
    pthread_mutex_unlock(&null_cm_lock);
    return event;
}

int rdma_get_cm_event(struct rdma_event_channel *channel, struct rdma_cm_event **event)
{
    struct pollfd fd = {.fd = channel->fd, .events = POLLIN};
    struct event *taken;

    while ((taken = take(channel_of(channel))) == NULL) {
        if (fcntl(channel->fd, F_GETFL) & O_NONBLOCK) {
            errno = EAGAIN;
            return -1;
        }
        if (poll(&fd, 1, -1) < 0) {
            return -1;
        }
    }
    *event = &taken->event;
    return 0;
}

int rdma_ack_cm_event(struct rdma_cm_event *event)
{
    free((struct event *)(void *)event);
    return 0;
}

const char *rdma_event_str(enum rdma_cm_event_type event)
{
    static const char *const names[] = {
        [RDMA_CM_EVENT_ADDR_RESOLVED] = "address resolved",
        [RDMA_CM_EVENT_ROUTE_RESOLVED] = "route resolved",
        [RDMA_CM_EVENT_CONNECT_REQUEST] = "connect request",
        [RDMA_CM_EVENT_CONNECT_RESPONSE] = "connect response",
        [RDMA_CM_EVENT_REJECTED] = "rejected",
        [RDMA_CM_EVENT_ESTABLISHED] = "established",
        [RDMA_CM_EVENT_DISCONNECTED] = "disconnected",
    };

    return event <= RDMA_CM_EVENT_DISCONNECTED && names[event] != NULL ? names[event] : "unknown";
}
