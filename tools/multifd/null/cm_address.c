/* SPDX-License-Identifier: MIT */
/* cm_address - addresses. Only the port counts: all hosts are this process. */
#include "null/cm.h"
#include "null/null_device.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_FREE_PORT 40000

/* The port stands at the same place for both families. */
static in_port_t *port_of(struct sockaddr *address)
{
    return &((struct sockaddr_in *)(void *)address)->sin_port;
}

static size_t size_of(const struct sockaddr *address)
{
    return address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                          : sizeof(struct sockaddr_in);
}

struct null_id *null_listener_at(in_port_t port)
{
    struct null_id *id = null_ids();

    while (id != NULL &&
           (id->state != NULL_ID_LISTENING || *port_of(&id->id.route.addr.src_addr) != port)) {
        id = id->next;
    }
    return id;
}

static in_port_t free_port(void)
{
    static uint16_t last = FIRST_FREE_PORT - 1;

    do {
        last = last == UINT16_MAX ? FIRST_FREE_PORT : (uint16_t)(last + 1);
    } while (null_listener_at(htons(last)) != NULL);
    return htons(last);
}

static void bind_to(struct rdma_cm_id *id, const struct sockaddr *address, in_port_t port)
{
    memcpy(&id->route.addr.src_storage, address, size_of(address));
    *port_of(&id->route.addr.src_addr) = port == 0 ? free_port() : port;
    null_id_use_device(id);
}

int rdma_bind_addr(struct rdma_cm_id *id, struct sockaddr *addr)
{
    pthread_mutex_lock(&null_cm_lock);
    bind_to(id, addr, *port_of(addr));
    return null_cm_leave(0);
}

int rdma_listen(struct rdma_cm_id *id, int backlog)
{
    int error;

    (void)backlog;
    pthread_mutex_lock(&null_cm_lock);
    error = null_listener_at(rdma_get_src_port(id)) != NULL ? EADDRINUSE : 0;
    if (error == 0) {
        null_id_of(id)->state = NULL_ID_LISTENING;
    }
    return null_cm_leave(error);
}

int rdma_resolve_addr(struct rdma_cm_id *id, struct sockaddr *src_addr, struct sockaddr *dst_addr,
                      int timeout_ms)
{
    (void)timeout_ms;
    pthread_mutex_lock(&null_cm_lock);
    bind_to(id, src_addr != NULL ? src_addr : dst_addr, 0);
    memcpy(&id->route.addr.dst_storage, dst_addr, size_of(dst_addr));
    null_cm_notify(null_id_of(id), RDMA_CM_EVENT_ADDR_RESOLVED, 0, NULL);
    return null_cm_leave(0);
}

int rdma_resolve_route(struct rdma_cm_id *id, int timeout_ms)
{
    (void)timeout_ms;
    pthread_mutex_lock(&null_cm_lock);
    null_cm_notify(null_id_of(id), RDMA_CM_EVENT_ROUTE_RESOLVED, 0, NULL);
    return null_cm_leave(0);
}

__be16 rdma_get_src_port(struct rdma_cm_id *id)
{
    return *port_of(&id->route.addr.src_addr);
}

__be16 rdma_get_dst_port(struct rdma_cm_id *id)
{
    return *port_of(&id->route.addr.dst_addr);
}

int rdma_set_option(struct rdma_cm_id *id, int level, int optname, void *optval, size_t optlen)
{
    (void)id;
    (void)level;
    (void)optname;
    (void)optval;
    (void)optlen;
    return 0;
}

int rdma_getaddrinfo(const char *node, const char *service, const struct rdma_addrinfo *hints,
                     struct rdma_addrinfo **res)
{
    const struct addrinfo wanted = {.ai_socktype = SOCK_STREAM};
    struct rdma_addrinfo *made = calloc(1, sizeof(*made) + sizeof(struct sockaddr_storage));
    struct addrinfo *found;

    (void)hints;
    if (made == NULL) {
        return EAI_MEMORY;
    }
    if (getaddrinfo(node, service, &wanted, &found) != 0) {
        free(made);
        return EAI_NONAME;
    }
    made->ai_family = found->ai_family;
    made->ai_dst_len = found->ai_addrlen;
    made->ai_dst_addr = (struct sockaddr *)(made + 1);
    memcpy(made->ai_dst_addr, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    *res = made;
    return 0;
}

void rdma_freeaddrinfo(struct rdma_addrinfo *res)
{
    free(res);
}
