/* SPDX-License-Identifier: MIT */
#include "transport/verbs/cm.h"

#include "core/base/clock.h"
#include "core/base/error.h"
#include "transport/address.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

/* Reject reasons of the InfiniBand specification (vol. 1, 12.6.7.2) that rdma_cm passes on. */
#define REJECT_INVALID_SERVICE_ID 8
#define REJECT_CONSUMER           28

/* How long the reason may take behind a call that failed for it. */
#define EXPLAIN_MS 100

static struct rdma_event_channel *new_channel(struct multifd_error *err)
{
    struct rdma_event_channel *channel = rdma_create_event_channel();

    if (channel == NULL) {
        error_set_errno(err, MULTIFD_ERROR_DEVICE, errno,
                        "no RDMA device, or rdma_cm is not loaded (see: multifd devices): "
                        "rdma_create_event_channel");
        return NULL;
    }
    if (fcntl(channel->fd, F_SETFL, fcntl(channel->fd, F_GETFL) | O_NONBLOCK) != 0) {
        error_set_errno(err, MULTIFD_ERROR_SYSTEM, errno, "event channel: fcntl(O_NONBLOCK)");
        rdma_destroy_event_channel(channel);
        return NULL;
    }
    return channel;
}

int verbs_cm_init(struct verbs_cm *cm, const char *peer, struct multifd_error *err)
{
    struct rdma_event_channel *channel = new_channel(err);
    struct rdma_cm_id *id;

    if (channel == NULL) {
        return -1;
    }
    if (rdma_create_id(channel, &id, NULL, RDMA_PS_TCP) != 0) {
        error_set_errno(err, MULTIFD_ERROR_DEVICE, errno, "rdma_create_id");
        rdma_destroy_event_channel(channel);
        return -1;
    }
    cm->channel = channel;
    cm->id = id;
    snprintf(cm->peer, sizeof(cm->peer), "%s", peer);
    return 0;
}

int verbs_cm_init_request(struct verbs_cm *cm, struct rdma_cm_id *id, struct multifd_error *err)
{
    struct rdma_event_channel *channel = new_channel(err);

    if (channel == NULL) {
        rdma_destroy_id(id);
        return -1;
    }
    if (rdma_migrate_id(id, channel) != 0) {
        error_set_errno(err, MULTIFD_ERROR_DEVICE, errno, "rdma_migrate_id");
        rdma_destroy_id(id);
        rdma_destroy_event_channel(channel);
        return -1;
    }
    cm->channel = channel;
    cm->id = id;
    snprintf(cm->peer, sizeof(cm->peer), "?");
    transport_address_name(rdma_get_peer_addr(id), cm->peer, sizeof(cm->peer));
    return 0;
}

void verbs_cm_fini(struct verbs_cm *cm)
{
    if (cm->id == NULL) {
        return;
    }
    rdma_destroy_id(cm->id);
    rdma_destroy_event_channel(cm->channel);
    cm->id = NULL;
    cm->channel = NULL;
}

int verbs_cm_fd(const struct verbs_cm *cm)
{
    return cm->channel->fd;
}

int verbs_cm_take_event(struct verbs_cm *cm, struct verbs_cm_event *event,
                        struct multifd_error *err)
{
    struct rdma_cm_event *raw;
    uint8_t length;

    if (rdma_get_cm_event(cm->channel, &raw) != 0) {
        if (errno == EAGAIN || errno == EINTR) {
            return 0;
        }
        return error_set_errno(err, MULTIFD_ERROR_DEVICE, errno, "rdma_get_cm_event");
    }
    length = raw->param.conn.private_data_len;
    if (length > VERBS_PRIVATE_DATA_MAX) {
        length = VERBS_PRIVATE_DATA_MAX; /* reported padded to what the transport carries */
    }
    event->type = raw->event;
    event->status = raw->status;
    event->id = raw->id;
    event->private_data_len = raw->param.conn.private_data == NULL ? 0 : length;
    if (event->private_data_len != 0) {
        memcpy(event->private_data, raw->param.conn.private_data, event->private_data_len);
    }
    /* Acknowledged now, since destroying or migrating the identifier waits for that. */
    rdma_ack_cm_event(raw);
    return 1;
}

int verbs_cm_wait_event(struct verbs_cm *cm, uint64_t deadline_ns, int wake_fd,
                        struct verbs_cm_event *event, struct multifd_error *err)
{
    struct pollfd fds[] = {
        {.fd = verbs_cm_fd(cm), .events = POLLIN},
        {.fd = wake_fd, .events = POLLIN},
    };

    for (;;) {
        int got = verbs_cm_take_event(cm, event, err);

        if (got != 0) {
            return got;
        }
        got = poll(fds, 2, deadline_ns == UINT64_MAX ? -1 : clock_ms_until(deadline_ns));
        if (got < 0 && errno != EINTR) {
            return error_set_errno(err, MULTIFD_ERROR_SYSTEM, errno, "poll");
        }
        if (got == 0 || (got > 0 && fds[1].revents != 0)) {
            return 0;
        }
    }
}

static int rejected(const struct verbs_cm *cm, int status, struct multifd_error *err)
{
    /* Whoever has a reason puts it into a greeting, which the caller then prefers to this. The
     * kernel says the same for a listener that ends with requests that it never took. */
    if (status == REJECT_CONSUMER) {
        return error_set(err, MULTIFD_ERROR_REFUSED,
                         "%s refused the connection without a reason: it may just have ended",
                         cm->peer);
    }
    if (status == REJECT_INVALID_SERVICE_ID || status == -ECONNREFUSED) {
        return error_set(err, MULTIFD_ERROR_CONNECT, "nobody listens at %s", cm->peer);
    }
    return error_set(err, MULTIFD_ERROR_CONNECT, "%s rejected the connection (reason %d)", cm->peer,
                     status);
}

static int unexpected(const struct verbs_cm *cm, const struct verbs_cm_event *event,
                      struct multifd_error *err)
{
    switch (event->type) {
    case RDMA_CM_EVENT_REJECTED:
        return rejected(cm, event->status, err);
    case RDMA_CM_EVENT_ADDR_ERROR:
    case RDMA_CM_EVENT_ROUTE_ERROR:
    case RDMA_CM_EVENT_UNREACHABLE:
    case RDMA_CM_EVENT_CONNECT_ERROR:
        return error_set_errno(err, MULTIFD_ERROR_CONNECT, -event->status, "cannot reach %s",
                               cm->peer);
    case RDMA_CM_EVENT_DISCONNECTED:
        return error_set(err, MULTIFD_ERROR_DISCONNECTED, "%s closed the connection", cm->peer);
    default:
        return error_set(err, MULTIFD_ERROR_DEVICE, "%s: unexpected %s (%d)", cm->peer,
                         rdma_event_str(event->type), event->status);
    }
}

int verbs_cm_expect(struct verbs_cm *cm, enum rdma_cm_event_type wanted,
                    enum rdma_cm_event_type alternative, uint64_t deadline_ns, int wake_fd,
                    struct verbs_cm_event *event, struct multifd_error *err)
{
    int got = verbs_cm_wait_event(cm, deadline_ns, wake_fd, event, err);

    if (got < 0) {
        return -1;
    }
    if (got == 0) {
        return error_set(err, MULTIFD_ERROR_TIMEOUT, "%s did not answer in time", cm->peer);
    }
    if (event->type == wanted || event->type == alternative) {
        return 0;
    }
    return unexpected(cm, event, err);
}

int verbs_cm_explain(struct verbs_cm *cm, struct multifd_error *err)
{
    struct verbs_cm_event event = {.private_data_len = 0};
    struct pollfd fd = {.fd = verbs_cm_fd(cm), .events = POLLIN};
    struct multifd_error unused;

    /* The kernel knows that the peer has gone a moment before it says so. */
    if (poll(&fd, 1, EXPLAIN_MS) < 0 || verbs_cm_take_event(cm, &event, &unused) <= 0 ||
        (event.type != RDMA_CM_EVENT_REJECTED && event.type != RDMA_CM_EVENT_DISCONNECTED)) {
        return -1;
    }
    /* Either way no refusal: it had agreed. */
    return error_set(err, MULTIFD_ERROR_DISCONNECTED, "%s closed the connection while it was made",
                     cm->peer);
}
