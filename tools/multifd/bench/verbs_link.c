/* SPDX-License-Identifier: MIT */
#include "verbs_link.h"

#include "fail.h"
#include "verbs_link_qp.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAIT_MS 10000
#define BACKLOG 64

struct verbs_listener {
    const struct verbs_settings *settings;
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

/*
 * Waits for an event of this link, which must be `wanted` or `alternative` and becomes *type; of
 * others only a disconnect may come meanwhile.
 */
static int expect_either(struct verbs_link *link, struct rdma_event_channel *events,
                         enum rdma_cm_event_type wanted, enum rdma_cm_event_type alternative,
                         enum rdma_cm_event_type *type, struct multifd_error *err)
{
    for (;;) {
        struct rdma_cm_event *event;

        if (wait_for_event(events, &event, err) != 0) {
            return -1;
        }
        bool ours = event->id == link->id;
        bool fine = event->event == wanted || event->event == alternative;
        *type = event->event;
        if (ours && fine) {
            read_memory_message(link, event);
        }
        if (ours && !fine) {
            (void)tool_fail(err, MULTIFD_ERROR_CONNECT, "%s where %s is due (status %d)",
                            rdma_event_str(event->event), rdma_event_str(wanted), event->status);
        }
        (void)rdma_ack_cm_event(event);
        if (ours) {
            return fine ? 0 : -1;
        }
    }
}

static int expect(struct verbs_link *link, struct rdma_event_channel *events,
                  enum rdma_cm_event_type wanted, struct multifd_error *err)
{
    enum rdma_cm_event_type type;

    return expect_either(link, events, wanted, wanted, &type, err);
}

/* ---- The device ---- */

/* The address decides on the device and its port: whether these are the wanted ones. */
static int check_device(const struct verbs_link *link, struct multifd_error *err)
{
    const struct verbs_settings *settings = link->settings;
    const char *device = ibv_get_device_name(link->id->verbs->device);

    if (settings->device[0] != '\0' && strcmp(settings->device, device) != 0) {
        return tool_fail(err, MULTIFD_ERROR_INVALID,
                         "the address is reached through device %s, not %s: use an address of "
                         "that device, or its gid-index",
                         device, settings->device);
    }
    if (settings->port != 0 && settings->port != link->id->port_num) {
        return tool_fail(err, MULTIFD_ERROR_INVALID,
                         "the address is reached through port %u of %s, not port %u",
                         link->id->port_num, device, (unsigned)settings->port);
    }
    return 0;
}

/* ---- Server ---- */

/* Any address, of IPv4 too, or that of the wanted GID. */
static int choose_address(const struct verbs_settings *settings, struct sockaddr_storage *address,
                          struct multifd_error *err)
{
    *address = (struct sockaddr_storage){.ss_family = AF_INET6};
    return settings->gid_index == VERBS_AUTO ? 0 : verbs_settings_address(settings, address, err);
}

struct verbs_listener *verbs_listener_new(const struct verbs_settings *settings, uint16_t *port,
                                          struct multifd_error *err)
{
    struct verbs_listener *listener = calloc(1, sizeof(*listener));
    struct sockaddr_storage address;

    if (listener == NULL) {
        (void)tool_fail(err, MULTIFD_ERROR_SYSTEM, "no memory");
        return NULL;
    }
    listener->settings = settings;
    /* Now: a client that comes over another device would be noticed at the client only. */
    if (verbs_settings_check(settings, err) != 0 || choose_address(settings, &address, err) != 0) {
        verbs_listener_delete(&listener);
        return NULL;
    }
    listener->events = rdma_create_event_channel();
    if (listener->events == NULL ||
        rdma_create_id(listener->events, &listener->id, NULL, RDMA_PS_TCP) != 0 ||
        rdma_bind_addr(listener->id, (struct sockaddr *)&address) != 0 ||
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
    *link = (struct verbs_link){.settings = listener->settings};
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
    return check_device(link, err);
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

/* From the wanted GID, and with the wanted traffic class: rdma_cm asks the network for the path. */
static int resolve_address(struct verbs_link *link, struct sockaddr *destination,
                           struct multifd_error *err)
{
    const struct verbs_settings *settings = link->settings;
    struct sockaddr_storage local;
    bool bound = settings->gid_index != VERBS_AUTO;
    uint8_t tos = (uint8_t)settings->traffic_class;

    if (bound && verbs_settings_address(settings, &local, err) != 0) {
        return -1;
    }
    if (settings->traffic_class != VERBS_AUTO &&
        rdma_set_option(link->id, RDMA_OPTION_ID, RDMA_OPTION_ID_TOS, &tos, sizeof(tos)) != 0) {
        return fail_errno(err, "rdma_set_option");
    }
    if (rdma_resolve_addr(link->id, bound ? (struct sockaddr *)&local : NULL, destination,
                          WAIT_MS) != 0) {
        return fail_errno(err, "rdma_resolve_addr");
    }
    return expect(link, link->events, RDMA_CM_EVENT_ADDR_RESOLVED, err);
}

int verbs_link_resolve(struct verbs_link *link, const struct verbs_settings *settings,
                       const char *host, uint16_t port, struct multifd_error *err)
{
    struct rdma_addrinfo *found;
    int status = -1;

    *link = (struct verbs_link){.settings = settings};
    if (resolve_name(host, port, &found, err) != 0) {
        return -1;
    }
    link->events = rdma_create_event_channel();
    if (link->events == NULL || rdma_create_id(link->events, &link->id, NULL, RDMA_PS_TCP) != 0) {
        (void)fail_errno(err, "rdma_create_id");
    } else if (resolve_address(link, found->ai_dst_addr, err) == 0) {
        status = rdma_resolve_route(link->id, WAIT_MS) == 0
                     ? expect(link, link->events, RDMA_CM_EVENT_ROUTE_RESOLVED, err)
                     : fail_errno(err, "rdma_resolve_route");
    }
    rdma_freeaddrinfo(found);
    return status == 0 ? check_device(link, err) : -1;
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

static struct rdma_conn_param parameters_with(const struct verbs_link *link,
                                              const struct ibv_mr *memory,
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
        .retry_count = (uint8_t)link->settings->retry_count,
        .rnr_retry_count = 7,
        .qp_num = link->qp->qp_num,
    };
}

/* What the server answers with. iWARP brings the queue pair up by itself. */
static int await_answer(struct verbs_link *link, struct multifd_error *err)
{
    enum rdma_cm_event_type type;

    if (expect_either(link, link->events, RDMA_CM_EVENT_CONNECT_RESPONSE, RDMA_CM_EVENT_ESTABLISHED,
                      &type, err) != 0) {
        return -1;
    }
    if (type == RDMA_CM_EVENT_ESTABLISHED) {
        return 0;
    }
    if (verbs_link_qp_connect(link, err) != 0) {
        return -1;
    }
    return rdma_establish(link->id) == 0 ? 0 : fail_errno(err, "rdma_establish");
}

int verbs_link_connect(struct verbs_link *link, const struct verbs_depth *depth,
                       const struct ibv_mr *memory, struct multifd_error *err)
{
    struct memory_message message;

    if (verbs_link_qp_make(link, depth, err) != 0) {
        return -1;
    }
    struct rdma_conn_param parameters = parameters_with(link, memory, &message);
    return rdma_connect(link->id, &parameters) == 0 ? await_answer(link, err)
                                                    : fail_errno(err, "rdma_connect");
}

int verbs_link_accept(struct verbs_link *link, const struct verbs_depth *depth,
                      const struct ibv_mr *memory, struct multifd_error *err)
{
    struct memory_message message;

    if (verbs_link_qp_make(link, depth, err) != 0 || verbs_link_qp_connect(link, err) != 0) {
        return -1;
    }
    struct rdma_conn_param parameters = parameters_with(link, memory, &message);
    return rdma_accept(link->id, &parameters) == 0
               ? expect(link, link->id->channel, RDMA_CM_EVENT_ESTABLISHED, err)
               : fail_errno(err, "rdma_accept");
}

void verbs_link_close(struct verbs_link *link)
{
    if (link->qp != NULL) {
        (void)rdma_disconnect(link->id);
        (void)ibv_destroy_qp(link->qp);
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
