/* SPDX-License-Identifier: MIT */
#include "verbs_link.h"

#include "fail.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAIT_MS         10000
#define BACKLOG         64
#define RNR_TIMER_640US 12 /* rdma_cm begins with 0, which means 655 ms */

struct verbs_listener {
    struct rdma_event_channel *events;
    struct rdma_cm_id *id;
};

/* What a side tells of its memory, big-endian. */
struct memory_message {
    uint64_t address;
    uint64_t length;
    uint32_t key;
    uint32_t reserved;
};

static int fail_errno(struct multifd_error *err, const char *call)
{
    return tool_fail(err, MULTIFD_ERROR_DEVICE, "%s: %s", call, strerror(errno));
}

/* ---- Events ---- */

static int wait_for_event(struct rdma_event_channel *events, struct rdma_cm_event **event,
                          struct multifd_error *err)
{
    struct pollfd poll_fd = {.fd = events->fd, .events = POLLIN};

    if (poll(&poll_fd, 1, WAIT_MS) <= 0) {
        return tool_fail(err, MULTIFD_ERROR_TIMEOUT, "no answer from rdma_cm within %d s",
                         WAIT_MS / 1000);
    }
    return rdma_get_cm_event(events, event) == 0 ? 0 : fail_errno(err, "rdma_get_cm_event");
}

static void read_memory_message(struct verbs_link *link, const struct rdma_cm_event *event)
{
    const struct rdma_conn_param *parameters = &event->param.conn;
    struct memory_message message;

    if (parameters->private_data_len >= sizeof(message)) {
        memcpy(&message, parameters->private_data, sizeof(message));
        link->remote_address = be64toh(message.address);
        link->remote_length = be64toh(message.length);
        link->remote_key = be32toh(message.key);
    }
}

/* Waits for an event of this link; of others only a disconnect may come meanwhile. */
static int expect(struct verbs_link *link, struct rdma_event_channel *events,
                  enum rdma_cm_event_type type, struct multifd_error *err)
{
    for (;;) {
        struct rdma_cm_event *event;

        if (wait_for_event(events, &event, err) != 0) {
            return -1;
        }
        bool ours = event->id == link->id;
        bool fine = event->event == type;
        if (ours && fine) {
            read_memory_message(link, event);
        }
        if (ours && !fine) {
            (void)tool_fail(err, MULTIFD_ERROR_CONNECT, "%s where %s is due (status %d)",
                            rdma_event_str(event->event), rdma_event_str(type), event->status);
        }
        (void)rdma_ack_cm_event(event);
        if (ours) {
            return fine ? 0 : -1;
        }
    }
}

/* ---- Server ---- */

struct verbs_listener *verbs_listener_new(uint16_t *port, struct multifd_error *err)
{
    struct verbs_listener *listener = calloc(1, sizeof(*listener));
    struct sockaddr_in6 any = {.sin6_family = AF_INET6}; /* takes IPv4, too */

    if (listener == NULL) {
        (void)tool_fail(err, MULTIFD_ERROR_SYSTEM, "no memory");
        return NULL;
    }
    listener->events = rdma_create_event_channel();
    if (listener->events == NULL ||
        rdma_create_id(listener->events, &listener->id, NULL, RDMA_PS_TCP) != 0 ||
        rdma_bind_addr(listener->id, (struct sockaddr *)&any) != 0 ||
        rdma_listen(listener->id, BACKLOG) != 0) {
        (void)fail_errno(err, "rdma_cm, listening");
        verbs_listener_delete(&listener);
        return NULL;
    }
    *port = ntohs(rdma_get_src_port(listener->id));
    return listener;
}

void verbs_listener_delete(struct verbs_listener **listener)
{
    struct verbs_listener *gone = *listener;

    if (gone == NULL) {
        return;
    }
    if (gone->id != NULL) {
        (void)rdma_destroy_id(gone->id);
    }
    if (gone->events != NULL) {
        rdma_destroy_event_channel(gone->events);
    }
    free(gone);
    *listener = NULL;
}

int verbs_link_take(struct verbs_link *link, struct verbs_listener *listener,
                    struct multifd_error *err)
{
    *link = (struct verbs_link){0};
    while (link->id == NULL) {
        struct rdma_cm_event *event;

        if (wait_for_event(listener->events, &event, err) != 0) {
            return -1;
        }
        if (event->event == RDMA_CM_EVENT_CONNECT_REQUEST) {
            link->id = event->id;
            read_memory_message(link, event);
        }
        (void)rdma_ack_cm_event(event);
    }
    return 0;
}

/* ---- Client ---- */

static int resolve_name(const char *host, uint16_t port, struct rdma_addrinfo **found,
                        struct multifd_error *err)
{
    struct rdma_addrinfo hints = {.ai_port_space = RDMA_PS_TCP};
    char service[8];

    (void)snprintf(service, sizeof(service), "%u", port);
    if (rdma_getaddrinfo(host, service, &hints, found) != 0) {
        return tool_fail(err, MULTIFD_ERROR_ADDRESS, "%s: no such host for RDMA", host);
    }
    return 0;
}

int verbs_link_resolve(struct verbs_link *link, const char *host, uint16_t port,
                       struct multifd_error *err)
{
    struct rdma_addrinfo *found;
    int status = -1;

    *link = (struct verbs_link){0};
    if (resolve_name(host, port, &found, err) != 0) {
        return -1;
    }
    link->events = rdma_create_event_channel();
    if (link->events == NULL || rdma_create_id(link->events, &link->id, NULL, RDMA_PS_TCP) != 0 ||
        rdma_resolve_addr(link->id, NULL, found->ai_dst_addr, WAIT_MS) != 0) {
        (void)fail_errno(err, "rdma_resolve_addr");
    } else if (expect(link, link->events, RDMA_CM_EVENT_ADDR_RESOLVED, err) == 0) {
        status = rdma_resolve_route(link->id, WAIT_MS) == 0
                     ? expect(link, link->events, RDMA_CM_EVENT_ROUTE_RESOLVED, err)
                     : fail_errno(err, "rdma_resolve_route");
    }
    rdma_freeaddrinfo(found);
    return status;
}

/* ---- Both ---- */

struct ibv_mr *verbs_link_register(const struct verbs_link *link, void *memory, size_t length,
                                   struct multifd_error *err)
{
    struct ibv_mr *region =
        ibv_reg_mr(link->id->pd, memory, length,
                   IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ);

    if (region == NULL) {
        (void)tool_fail(err, MULTIFD_ERROR_DEVICE, "ibv_reg_mr of %zu bytes: %s", length,
                        strerror(errno));
    }
    return region;
}

static int make_queue_pair(struct verbs_link *link, const struct verbs_depth *depth,
                           struct multifd_error *err)
{
    struct ibv_context *context = link->id->verbs;
    struct ibv_qp_init_attr attributes = {
        .cap = {.max_send_wr = depth->send_wr,
                .max_recv_wr = depth->receive_wr,
                .max_send_sge = 1,
                .max_recv_sge = 1,
                .max_inline_data = depth->inline_data},
        .qp_type = IBV_QPT_RC,
    };

    link->completions = ibv_create_comp_channel(context);
    if (link->completions == NULL) {
        return fail_errno(err, "ibv_create_comp_channel");
    }
    link->send_cq = ibv_create_cq(context, (int)depth->send_wr, NULL, link->completions, 0);
    link->receive_cq = ibv_create_cq(context, (int)depth->receive_wr, NULL, link->completions, 0);
    if (link->send_cq == NULL || link->receive_cq == NULL) {
        return fail_errno(err, "ibv_create_cq");
    }
    attributes.send_cq = link->send_cq;
    attributes.recv_cq = link->receive_cq;
    return rdma_create_qp(link->id, link->id->pd, &attributes) == 0
               ? 0
               : fail_errno(err, "rdma_create_qp");
}

static struct rdma_conn_param parameters_with(const struct ibv_mr *memory,
                                              struct memory_message *message)
{
    *message = (struct memory_message){
        .address = htobe64((uintptr_t)memory->addr),
        .length = htobe64(memory->length),
        .key = htobe32(memory->rkey),
    };
    return (struct rdma_conn_param){
        .private_data = message,
        .private_data_len = sizeof(*message),
        .responder_resources = 1,
        .initiator_depth = 1,
        .retry_count = 7,
        .rnr_retry_count = 7,
    };
}

/* A receiver that is late is asked again soon. */
static int set_rnr_timer(const struct verbs_link *link, struct multifd_error *err)
{
    struct ibv_qp_attr attributes = {.min_rnr_timer = RNR_TIMER_640US};
    int status = ibv_modify_qp(link->id->qp, &attributes, IBV_QP_MIN_RNR_TIMER);

    return status == 0
               ? 0
               : tool_fail(err, MULTIFD_ERROR_DEVICE, "ibv_modify_qp: %s", strerror(status));
}

int verbs_link_connect(struct verbs_link *link, const struct verbs_depth *depth,
                       const struct ibv_mr *memory, struct multifd_error *err)
{
    struct memory_message message;
    struct rdma_conn_param parameters = parameters_with(memory, &message);

    if (make_queue_pair(link, depth, err) != 0) {
        return -1;
    }
    if (rdma_connect(link->id, &parameters) != 0) {
        return fail_errno(err, "rdma_connect");
    }
    return expect(link, link->events, RDMA_CM_EVENT_ESTABLISHED, err) != 0
               ? -1
               : set_rnr_timer(link, err);
}

int verbs_link_accept(struct verbs_link *link, const struct verbs_depth *depth,
                      const struct ibv_mr *memory, struct multifd_error *err)
{
    struct memory_message message;
    struct rdma_conn_param parameters = parameters_with(memory, &message);

    if (make_queue_pair(link, depth, err) != 0) {
        return -1;
    }
    if (rdma_accept(link->id, &parameters) != 0) {
        return fail_errno(err, "rdma_accept");
    }
    return expect(link, link->id->channel, RDMA_CM_EVENT_ESTABLISHED, err) != 0
               ? -1
               : set_rnr_timer(link, err);
}

void verbs_link_close(struct verbs_link *link)
{
    if (link->id != NULL && link->id->qp != NULL) {
        (void)rdma_disconnect(link->id);
        rdma_destroy_qp(link->id);
    }
    if (link->send_cq != NULL) {
        (void)ibv_destroy_cq(link->send_cq);
    }
    if (link->receive_cq != NULL) {
        (void)ibv_destroy_cq(link->receive_cq);
    }
    if (link->completions != NULL) {
        (void)ibv_destroy_comp_channel(link->completions);
    }
    if (link->id != NULL) {
        (void)rdma_destroy_id(link->id);
    }
    if (link->events != NULL) {
        rdma_destroy_event_channel(link->events);
    }
    *link = (struct verbs_link){0};
}

int verbs_poll(struct ibv_cq *cq, struct ibv_wc *completions, int most, struct multifd_error *err)
{
    int got = ibv_poll_cq(cq, most, completions);

    if (got < 0) {
        return tool_fail(err, MULTIFD_ERROR_DEVICE, "ibv_poll_cq failed");
    }
    for (int i = 0; i < got; i++) {
        if (completions[i].status != IBV_WC_SUCCESS) {
            return tool_fail(err, MULTIFD_ERROR_COMPLETION, "a work request completed with %s",
                             ibv_wc_status_str(completions[i].status));
        }
    }
    return got;
}
