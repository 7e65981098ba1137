/*
 * SPDX-License-Identifier: MIT
 *
 * Connection manager: event channels, ids, events.
 */
#include <stdlib.h>
#include <string.h>

#include "fabric_internal.h"

enum { ACK_TIMEOUT_US = 5000000 };

struct fabric_channel {
    struct rdma_event_channel channel;
    struct fabric_object object;
    struct fabric_queue queue;
};

struct fabric_cm_event {
    struct rdma_cm_event event;
    struct fabric_object object;
    struct fabric_event link;
    struct fabric_id
        *owner; /* who waits for the acknowledgement: a listener for its connection requests */
    uint8_t private_data[UINT8_MAX + 1];
};

pthread_mutex_t fabric_cm_lock = PTHREAD_MUTEX_INITIALIZER;

static pthread_cond_t acknowledged;
static struct fabric_id *ids;

__attribute__((constructor)) static void start(void)
{
    fabric_cond_init(&acknowledged);
}

static struct fabric_channel *channel_of(struct rdma_event_channel *channel)
{
    return container_of(channel, struct fabric_channel, channel);
}

static struct fabric_cm_event *event_of(struct fabric_event *link)
{
    return container_of(link, struct fabric_cm_event, link);
}

struct fabric_id *fabric_id_of(struct rdma_cm_id *id)
{
    return container_of(id, struct fabric_id, id);
}

struct fabric_id *fabric_ids_first(void)
{
    return ids;
}

struct rdma_event_channel *rdma_create_event_channel(void)
{
    int error = fabric_fault(FABRIC_CALL, "rdma_create_event_channel");
    struct fabric_channel *channel;

    if (!error && fabric_opts()->devices == 0) {
        error = ENODEV;
    }
    if (error) {
        errno = error;
        return NULL;
    }
    channel = fabric_calloc(1, sizeof(*channel));
    if (fabric_queue_init(&channel->queue) < 0) {
        free(channel);
        return NULL;
    }
    channel->channel.fd = channel->queue.fd;
    fabric_object_add(&channel->object, FABRIC_EVENT_CHANNEL);
    return &channel->channel;
}

void rdma_destroy_event_channel(struct rdma_event_channel *channel)
{
    struct fabric_channel *own = channel_of(channel);

    if (fabric_object_remove(&own->object)) {
        fabric_misuse("rdma_destroy_event_channel while %u ids use it", own->object.users);
    }
    fabric_queue_fini(&own->queue);
    free(own);
}

struct fabric_id *fabric_id_new(struct rdma_event_channel *channel, void *context,
                                enum rdma_port_space ps)
{
    struct fabric_id *id = fabric_calloc(1, sizeof(*id));

    id->id.channel = channel;
    id->id.context = context;
    id->id.ps = ps;
    id->id.qp_type = IBV_QPT_RC;
    id->next = ids;
    ids = id;
    return id;
}

void fabric_id_free(struct fabric_id *id)
{
    struct fabric_id **link = &ids;

    while (*link != id) {
        link = &(*link)->next;
    }
    *link = id->next;
    fabric_cm_timer_cancel(id);
    free(id);
}

int rdma_create_id(struct rdma_event_channel *channel, struct rdma_cm_id **id, void *context,
                   enum rdma_port_space ps)
{
    int error = fabric_fault(FABRIC_CALL, "rdma_create_id");
    struct fabric_id *own;

    if (!error && (!channel || ps != RDMA_PS_TCP)) {
        error = EINVAL;
    }
    if (error) {
        errno = error;
        return -1;
    }
    pthread_mutex_lock(&fabric_cm_lock);
    own = fabric_id_new(channel, context, ps);
    fabric_object_add(&own->object, FABRIC_ID);
    fabric_object_use(&channel_of(channel)->object);
    pthread_mutex_unlock(&fabric_cm_lock);
    *id = &own->id;
    return 0;
}

static void wait_for_acknowledgements(struct fabric_id *id, const char *function)
{
    uint64_t give_up = fabric_now_us() + ACK_TIMEOUT_US;

    while (id->unacked > 0) {
        if (fabric_now_us() > give_up) {
            fabric_misuse("%s with %u events not acknowledged would hang", function, id->unacked);
        }
        fabric_cond_wait_us(&acknowledged, &fabric_cm_lock, ACK_TIMEOUT_US);
    }
}

/* Events that the user never took go with their id, and so do the connections they announce. */
static void discard_events(struct fabric_id *id)
{
    struct fabric_event *links = fabric_queue_take(&channel_of(id->id.channel)->queue, id);

    while (links) {
        struct fabric_cm_event *event = event_of(links);
        links = links->next;
        if (event->event.event == RDMA_CM_EVENT_CONNECT_REQUEST) {
            struct fabric_id *child = fabric_id_of(event->event.id);
            fabric_cm_abandon(child);
            fabric_id_free(child);
        }
        free(event);
    }
}

int rdma_destroy_id(struct rdma_cm_id *id)
{
    int injected = fabric_fault(FABRIC_CLEANUP, "rdma_destroy_id");
    struct fabric_id *own = fabric_id_of(id);

    pthread_mutex_lock(&fabric_cm_lock);
    fabric_cm_abandon(own);
    discard_events(own);
    wait_for_acknowledgements(own, "rdma_destroy_id");
    fabric_object_unuse(&channel_of(id->channel)->object);
    fabric_object_remove(&own->object);
    fabric_id_free(own);
    pthread_mutex_unlock(&fabric_cm_lock);
    if (injected) {
        errno = injected;
        return -1;
    }
    return 0;
}

int rdma_migrate_id(struct rdma_cm_id *id, struct rdma_event_channel *channel)
{
    int error = fabric_fault(FABRIC_CALL, "rdma_migrate_id");
    struct fabric_id *own = fabric_id_of(id);
    struct fabric_event *links;

    if (error || !channel) {
        errno = error ? error : EINVAL;
        return -1;
    }
    pthread_mutex_lock(&fabric_cm_lock);
    links = fabric_queue_take(&channel_of(id->channel)->queue, own);
    while (links) {
        struct fabric_event *link = links;
        links = link->next;
        fabric_queue_push(&channel_of(channel)->queue, link);
    }
    wait_for_acknowledgements(own, "rdma_migrate_id");
    fabric_object_unuse(&channel_of(id->channel)->object);
    fabric_object_use(&channel_of(channel)->object);
    id->channel = channel;
    pthread_mutex_unlock(&fabric_cm_lock);
    return 0;
}

static struct fabric_cm_event *event_new(struct fabric_id *id, enum rdma_cm_event_type type,
                                         int status, const struct rdma_conn_param *param,
                                         uint8_t padded)
{
    struct fabric_cm_event *event = fabric_calloc(1, sizeof(*event));

    event->event.id = &id->id;
    event->event.event = type;
    event->event.status = status;
    event->owner = id;
    if (param) {
        event->event.param.conn = *param;
        if (param->private_data_len > 0) {
            memcpy(event->private_data, param->private_data, param->private_data_len);
        }
        event->event.param.conn.private_data = padded ? event->private_data : NULL;
        event->event.param.conn.private_data_len = padded;
    }
    return event;
}

static void push(struct rdma_event_channel *channel, struct fabric_cm_event *event)
{
    event->link.owner = event->owner;
    fabric_queue_push(&channel_of(channel)->queue, &event->link);
}

void fabric_cm_notify(struct fabric_id *id, enum rdma_cm_event_type type, int status,
                      const struct rdma_conn_param *param, uint8_t padded)
{
    int final_type = (int)type;

    if (fabric_event_fault(&final_type, &status)) {
        param = NULL;
    }
    if (final_type != FABRIC_EVENT_LOST) {
        push(id->id.channel,
             event_new(id, (enum rdma_cm_event_type)final_type, status, param, padded));
    }
}

void fabric_cm_notify_request(struct fabric_id *listener, struct fabric_id *child,
                              const struct rdma_conn_param *param)
{
    int type = RDMA_CM_EVENT_CONNECT_REQUEST, status = 0;
    struct fabric_cm_event *event;

    if (fabric_event_fault(&type, &status)) {
        child->peer->peer = NULL;
        fabric_id_free(child);
        return;
    }
    child->listener = listener;
    listener->waiting++;
    event = event_new(child, RDMA_CM_EVENT_CONNECT_REQUEST, 0, param, FABRIC_REQUEST_DATA);
    event->event.listen_id = &listener->id;
    event->owner = listener;
    push(listener->id.channel, event);
}

/* What becomes true for the user only when the event is taken. */
static void taken(struct rdma_event_channel *channel, struct fabric_cm_event *event)
{
    struct rdma_cm_id *id = event->event.id;

    event->owner->unacked++;
    fabric_object_add(&event->object, FABRIC_CM_EVENT);
    if (event->event.event == RDMA_CM_EVENT_CONNECT_REQUEST) {
        struct fabric_id *child = fabric_id_of(id);
        child->listener->waiting--;
        child->listener = NULL;
        id->channel = channel;
        id->context = event->event.listen_id->context;
        fabric_object_add(&child->object, FABRIC_ID);
        fabric_object_use(&channel_of(channel)->object);
    } else if (event->event.event == RDMA_CM_EVENT_ADDR_RESOLVED) {
        id->verbs = fabric_context_of(&id->route.addr.src_addr);
        id->port_num = 1;
    }
}

int rdma_get_cm_event(struct rdma_event_channel *channel, struct rdma_cm_event **event)
{
    struct fabric_queue *queue = &channel_of(channel)->queue;
    struct fabric_event *link = NULL;
    int error;

    while (!link) {
        if (fabric_queue_wait(queue) < 0) {
            return -1;
        }
        error = fabric_fault(FABRIC_CALL, "rdma_get_cm_event");
        if (error) {
            errno = error;
            return -1;
        }
        pthread_mutex_lock(&fabric_cm_lock);
        link = fabric_queue_pop(queue);
        if (link) {
            taken(channel, event_of(link));
        }
        pthread_mutex_unlock(&fabric_cm_lock);
    }
    *event = &event_of(link)->event;
    return 0;
}

int rdma_ack_cm_event(struct rdma_cm_event *event)
{
    struct fabric_cm_event *own = container_of(event, struct fabric_cm_event, event);

    pthread_mutex_lock(&fabric_cm_lock);
    own->owner->unacked--;
    fabric_object_remove(&own->object);
    pthread_cond_broadcast(&acknowledged);
    pthread_mutex_unlock(&fabric_cm_lock);
    free(own);
    return 0;
}
