/* SPDX-License-Identifier: MIT */
#include "transport/verbs/connect.h"

#include "core/base/clock.h"
#include "core/base/error.h"
#include "transport/verbs/channel.h"
#include "transport/verbs/private_data.h"
#include "transport/verbs/resolve.h"

#include <errno.h>
#include <stdlib.h>

/* How long a connection that was accepted may still take when the caller is to give up. */
#define STAND_MS 100

struct transport_request {
    struct verbs_cm cm;
    struct verbs_cm_event event;
    struct transport_greeting greeting;
};

static uint64_t deadline_of(const struct verbs_endpoint *endpoint)
{
    return clock_now_ns() + endpoint->settings.timeout_ms * NS_PER_MS;
}

/* Finds the route, and with it the device. */
static int find_route(const struct verbs_endpoint *endpoint, struct verbs_cm *cm, int wake_fd,
                      struct multifd_error *err)
{
    int timeout_ms = (int)endpoint->settings.timeout_ms;
    uint64_t deadline = deadline_of(endpoint);
    struct verbs_cm_event event;

    if (verbs_resolve_address(endpoint, cm, err) != 0 ||
        verbs_cm_expect(cm, RDMA_CM_EVENT_ADDR_RESOLVED, RDMA_CM_EVENT_ADDR_RESOLVED, deadline,
                        wake_fd, &event, err) != 0) {
        return -1;
    }
    if (rdma_resolve_route(cm->id, timeout_ms) != 0) {
        return error_set_errno(err, MULTIFD_ERROR_CONNECT, errno, "rdma_resolve_route(%s)",
                               cm->peer);
    }
    return verbs_cm_expect(cm, RDMA_CM_EVENT_ROUTE_RESOLVED, RDMA_CM_EVENT_ROUTE_RESOLVED, deadline,
                           wake_fd, &event, err);
}

/* Offers the connection and takes the peer's answer in. */
static int offer(struct verbs_channel *channel, const struct verbs_endpoint *endpoint,
                 const struct transport_greeting *greeting, int wake_fd,
                 struct transport_greeting *answer, struct multifd_error *err)
{
    struct verbs_cm *cm = verbs_channel_cm(channel);
    uint8_t data[VERBS_PRIVATE_DATA_MAX];
    struct rdma_conn_param param;
    struct verbs_cm_event event = {.private_data_len = 0};
    struct verbs_sender_peer peer;
    int status;

    verbs_channel_conn_param(channel, greeting, data, &param);
    if (rdma_connect(cm->id, &param) != 0) {
        return error_set_errno(err, MULTIFD_ERROR_CONNECT, errno, "rdma_connect(%s)", cm->peer);
    }
    /* iWARP brings the queue pair up by itself and reports it as established. */
    status = verbs_cm_expect(cm, RDMA_CM_EVENT_CONNECT_RESPONSE, RDMA_CM_EVENT_ESTABLISHED,
                             deadline_of(endpoint), wake_fd, &event, err);
    verbs_private_data_decode(event.private_data, event.private_data_len, answer, &peer);
    if (status != 0 || verbs_channel_meet(channel, &event, err) != 0) {
        return -1;
    }
    if (event.type == RDMA_CM_EVENT_ESTABLISHED) {
        return 0;
    }
    if (verbs_channel_ready(channel, err) != 0) {
        return verbs_cm_explain(cm, err);
    }
    if (rdma_establish(cm->id) != 0) {
        return error_set_errno(err, MULTIFD_ERROR_CONNECT, errno, "rdma_establish(%s)", cm->peer);
    }
    return 0;
}

struct transport_channel *verbs_connect(struct transport_endpoint *base,
                                        const struct transport_profile *profile,
                                        const struct transport_greeting *greeting, int wake_fd,
                                        struct transport_greeting *answer,
                                        struct multifd_error *err)
{
    struct verbs_endpoint *endpoint = (struct verbs_endpoint *)base;
    struct verbs_channel *channel;
    struct verbs_cm cm;

    answer->length = 0;
    if (verbs_cm_init(&cm, endpoint->name, err) != 0) {
        return NULL;
    }
    if (find_route(endpoint, &cm, wake_fd, err) != 0 ||
        verbs_endpoint_use_device(endpoint, cm.id, err) != 0) {
        goto fini_cm;
    }
    channel = verbs_channel_new(&cm, endpoint->domain, profile, &endpoint->settings, err);
    if (channel == NULL) {
        goto fini_cm;
    }
    if (offer(channel, endpoint, greeting, wake_fd, answer, err) != 0) {
        verbs_channel_delete(&channel);
        return NULL;
    }
    return verbs_channel_base(channel);

fini_cm:
    verbs_cm_fini(&cm);
    return NULL;
}

int verbs_wait_request(struct transport_endpoint *base, int wake_fd, int timeout_ms,
                       struct transport_request **request, struct multifd_error *err)
{
    struct verbs_endpoint *endpoint = (struct verbs_endpoint *)base;
    uint64_t deadline =
        timeout_ms < 0 ? UINT64_MAX : clock_now_ns() + (uint64_t)timeout_ms * NS_PER_MS;
    struct verbs_sender_peer peer;
    struct transport_request *made;
    struct verbs_cm_event event;
    int got;

    *request = NULL;
    got = verbs_cm_wait_event(&endpoint->listener, deadline, wake_fd, &event, err);
    if (got > 0 && event.type == RDMA_CM_EVENT_DEVICE_REMOVAL) {
        return error_set(err, MULTIFD_ERROR_DEVICE, "the RDMA device behind %s was removed",
                         endpoint->name);
    }
    if (got <= 0 || event.type != RDMA_CM_EVENT_CONNECT_REQUEST) {
        return got < 0 ? -1 : 0;
    }
    made = calloc(1, sizeof(*made));
    if (made == NULL) {
        rdma_destroy_id(event.id);
        return error_set_nomem(err);
    }
    made->event = event;
    if (verbs_cm_init_request(&made->cm, event.id, err) != 0) {
        free(made);
        return -1;
    }
    verbs_private_data_decode(event.private_data, event.private_data_len, &made->greeting, &peer);
    *request = made;
    return 0;
}

const struct transport_greeting *verbs_request_greeting(const struct transport_request *request)
{
    return &request->greeting;
}

/*
 * Whoever is to give up waits a little longer for a connection that is as good as made: the peer
 * then hears over it why, and not only that it was closed.
 */
static int await_established(struct verbs_cm *cm, uint64_t deadline_ns, int wake_fd,
                             struct multifd_error *err)
{
    struct verbs_cm_event event;
    uint64_t most_ns;

    if (verbs_cm_expect(cm, RDMA_CM_EVENT_ESTABLISHED, RDMA_CM_EVENT_ESTABLISHED, deadline_ns,
                        wake_fd, &event, err) == 0) {
        return 0;
    }
    if (err->code != MULTIFD_ERROR_TIMEOUT) {
        return -1;
    }
    most_ns = clock_earlier(deadline_ns, clock_now_ns() + STAND_MS * NS_PER_MS);
    return verbs_cm_expect(cm, RDMA_CM_EVENT_ESTABLISHED, RDMA_CM_EVENT_ESTABLISHED, most_ns, -1,
                           &event, err);
}

/* Answers the request and waits until the connection stands. */
static int answer_request(struct verbs_channel *channel, const struct verbs_endpoint *endpoint,
                          const struct transport_request *request,
                          const struct transport_greeting *answer, int wake_fd,
                          struct multifd_error *err)
{
    struct verbs_cm *cm = verbs_channel_cm(channel);
    uint8_t data[VERBS_PRIVATE_DATA_MAX];
    struct rdma_conn_param param;

    if (verbs_channel_meet(channel, &request->event, err) != 0) {
        return -1;
    }
    if (verbs_channel_ready(channel, err) != 0) {
        return verbs_cm_explain(cm, err);
    }
    verbs_channel_conn_param(channel, answer, data, &param);
    if (rdma_accept(cm->id, &param) != 0) {
        return error_set_errno(err, MULTIFD_ERROR_CONNECT, errno, "rdma_accept(%s)", cm->peer);
    }
    return await_established(cm, deadline_of(endpoint), wake_fd, err);
}

struct transport_channel *verbs_accept(struct transport_endpoint *base,
                                       struct transport_request *request,
                                       const struct transport_profile *profile,
                                       const struct transport_greeting *answer, int wake_fd,
                                       struct multifd_error *err)
{
    struct verbs_endpoint *endpoint = (struct verbs_endpoint *)base;
    struct verbs_channel *channel = NULL;

    if (verbs_endpoint_use_device(endpoint, request->cm.id, err) != 0) {
        goto free_request;
    }
    channel = verbs_channel_new(&request->cm, endpoint->domain, profile, &endpoint->settings, err);
    if (channel == NULL) {
        goto free_request;
    }
    if (answer_request(channel, endpoint, request, answer, wake_fd, err) != 0) {
        verbs_channel_delete(&channel);
    }

free_request:
    verbs_cm_fini(&request->cm);
    free(request);
    return channel == NULL ? NULL : verbs_channel_base(channel);
}

void verbs_reject(struct transport_endpoint *base, struct transport_request *request,
                  const struct transport_greeting *answer)
{
    const struct verbs_sender_peer nobody = {0};
    uint8_t data[VERBS_PRIVATE_DATA_BYTES];

    (void)base;
    verbs_private_data_encode(answer, &nobody, data);
    rdma_reject(request->cm.id, data, VERBS_PRIVATE_DATA_BYTES);
    verbs_cm_fini(&request->cm);
    free(request);
}
