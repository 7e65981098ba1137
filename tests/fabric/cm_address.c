/*
 * SPDX-License-Identifier: MIT
 *
 * Connection manager: addresses, ports, listeners, options, queue pair attributes.
 */
#include <arpa/inet.h>
#include <string.h>

#include "fabric_internal.h"

enum { FIRST_FREE_PORT = 40000, DEFAULT_BACKLOG = 1024, DEFAULT_ACK_TIMEOUT = 18 };

static int fail(int error)
{
    pthread_mutex_unlock(&fabric_cm_lock);
    errno = error;
    return -1;
}

static int succeed(void)
{
    pthread_mutex_unlock(&fabric_cm_lock);
    return 0;
}

static socklen_t size_of(const struct sockaddr *address)
{
    switch (address->sa_family) {
    case AF_INET:
        return sizeof(struct sockaddr_in);
    case AF_INET6:
        return sizeof(struct sockaddr_in6);
    default:
        return 0;
    }
}

static in_port_t *port_of(struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        return &((struct sockaddr_in *)(void *)address)->sin_port;
    }
    return &((struct sockaddr_in6 *)(void *)address)->sin6_port;
}

static bool is_wildcard(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        return ((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr ==
               htonl(INADDR_ANY);
    }
    return IN6_IS_ADDR_UNSPECIFIED(
        &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr);
}

static bool same_host(const struct sockaddr *a, const struct sockaddr *b)
{
    if (a->sa_family != b->sa_family) {
        return false;
    }
    if (a->sa_family == AF_INET) {
        return ((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr ==
               ((const struct sockaddr_in *)(const void *)b)->sin_addr.s_addr;
    }
    return memcmp(&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr,
                  &((const struct sockaddr_in6 *)(const void *)b)->sin6_addr,
                  sizeof(struct in6_addr)) == 0;
}

/* Whether something sent to `address` would reach an id bound like this one. */
static bool covers(struct fabric_id *id, const struct sockaddr *address)
{
    const struct sockaddr *bound = &id->id.route.addr.src_addr;

    if (is_wildcard(bound)) {
        return bound->sa_family == address->sa_family ||
               (bound->sa_family == AF_INET6 && !id->v6_only);
    }
    return same_host(bound, address);
}

struct fabric_id *fabric_listener_for(struct sockaddr *address)
{
    struct fabric_id *id = fabric_ids_first();

    while (id &&
           (id->state != FABRIC_LISTENING ||
            *port_of(&id->id.route.addr.src_addr) != *port_of(address) || !covers(id, address))) {
        id = id->next;
    }
    return id;
}

/* Another id that holds this one's address, or would share it with a listener. */
static bool in_use(struct fabric_id *own, struct sockaddr *address, bool to_listen)
{
    for (struct fabric_id *id = fabric_ids_first(); id; id = id->next) {
        struct sockaddr *bound = &id->id.route.addr.src_addr;
        bool holds = id->state == FABRIC_LISTENING || (id->state == FABRIC_BOUND && !to_listen);

        if (id == own || !holds || *port_of(bound) != *port_of(address)) {
            continue;
        }
        if (!to_listen && id->reuse_address && own->reuse_address) {
            continue;
        }
        if (covers(id, address) ||
            (is_wildcard(address) && bound->sa_family == address->sa_family)) {
            return true;
        }
    }
    return false;
}

static void choose_port(struct fabric_id *own, struct sockaddr *address)
{
    static uint16_t next = FIRST_FREE_PORT;

    while (*port_of(address) == 0 || in_use(own, address, false)) {
        *port_of(address) = htons(next);
        next = next == UINT16_MAX ? FIRST_FREE_PORT : (uint16_t)(next + 1);
    }
}

static int bind_to(struct fabric_id *own, const struct sockaddr *address)
{
    struct sockaddr *bound = &own->id.route.addr.src_addr;
    struct sockaddr_storage copy = {0};

    if (own->state != FABRIC_IDLE) {
        return EINVAL;
    }
    if (size_of(address) == 0) {
        return EAFNOSUPPORT;
    }
    memcpy(&copy, address, size_of(address));
    if (*port_of((struct sockaddr *)&copy) == 0) {
        choose_port(own, (struct sockaddr *)&copy);
    } else if (in_use(own, (struct sockaddr *)&copy, false)) {
        return EADDRINUSE;
    }
    own->id.route.addr.src_storage = copy;
    own->state = FABRIC_BOUND;
    if (!is_wildcard(bound)) {
        own->id.verbs = fabric_context_of(bound);
        own->id.port_num = 1;
    }
    return 0;
}

int rdma_bind_addr(struct rdma_cm_id *id, struct sockaddr *addr)
{
    int error = fabric_fault(FABRIC_CALL, "rdma_bind_addr");

    pthread_mutex_lock(&fabric_cm_lock);
    error = error ? error : bind_to(fabric_id_of(id), addr);
    return error ? fail(error) : succeed();
}

int rdma_listen(struct rdma_cm_id *id, int backlog)
{
    int error = fabric_fault(FABRIC_CALL, "rdma_listen");
    struct fabric_id *own = fabric_id_of(id);

    pthread_mutex_lock(&fabric_cm_lock);
    if (!error && own->state != FABRIC_BOUND) {
        error = EINVAL;
    }
    if (!error && in_use(own, &id->route.addr.src_addr, true)) {
        error = EADDRINUSE;
    }
    if (error) {
        return fail(error);
    }
    own->backlog = backlog > 0 ? backlog : DEFAULT_BACKLOG;
    own->state = FABRIC_LISTENING;
    return succeed();
}

/* Both ends are this host: without a source address the destination's is taken. */
static int source_for(struct fabric_id *own, const struct sockaddr *src, const struct sockaddr *dst)
{
    struct sockaddr_storage source = {0};
    int error;

    if (own->state == FABRIC_IDLE) {
        memcpy(&source, src ? src : dst, size_of(src ? src : dst));
        if (!src) {
            *port_of((struct sockaddr *)&source) = 0;
        }
        error = bind_to(own, (const struct sockaddr *)&source);
        if (error) {
            return error;
        }
    }
    if (is_wildcard(&own->id.route.addr.src_addr)) {
        in_port_t port = *port_of(&own->id.route.addr.src_addr);
        memcpy(&own->id.route.addr.src_storage, dst, size_of(dst));
        *port_of(&own->id.route.addr.src_addr) = port;
    }
    return 0;
}

int rdma_resolve_addr(struct rdma_cm_id *id, struct sockaddr *src_addr, struct sockaddr *dst_addr,
                      int timeout_ms)
{
    int error = fabric_fault(FABRIC_CALL, "rdma_resolve_addr");
    struct fabric_id *own = fabric_id_of(id);

    (void)timeout_ms;
    pthread_mutex_lock(&fabric_cm_lock);
    if (!error && (own->state > FABRIC_BOUND || size_of(dst_addr) == 0 ||
                   (src_addr && size_of(src_addr) == 0))) {
        error = EINVAL;
    }
    error = error ? error : source_for(own, src_addr, dst_addr);
    if (error) {
        return fail(error);
    }
    memcpy(&id->route.addr.dst_storage, dst_addr, size_of(dst_addr));
    own->state = FABRIC_ADDR_RESOLVED;
    fabric_cm_notify(own, RDMA_CM_EVENT_ADDR_RESOLVED, 0, NULL, 0);
    return succeed();
}

int rdma_resolve_route(struct rdma_cm_id *id, int timeout_ms)
{
    int error = fabric_fault(FABRIC_CALL, "rdma_resolve_route");
    struct fabric_id *own = fabric_id_of(id);

    (void)timeout_ms;
    pthread_mutex_lock(&fabric_cm_lock);
    if (!error && own->state != FABRIC_ADDR_RESOLVED) {
        error = EINVAL;
    }
    if (error) {
        return fail(error);
    }
    own->state = FABRIC_ROUTE_RESOLVED;
    fabric_cm_notify(own, RDMA_CM_EVENT_ROUTE_RESOLVED, 0, NULL, 0);
    return succeed();
}

__be16 rdma_get_src_port(struct rdma_cm_id *id)
{
    return *port_of(&id->route.addr.src_addr);
}

__be16 rdma_get_dst_port(struct rdma_cm_id *id)
{
    return *port_of(&id->route.addr.dst_addr);
}

/* Returns an errno. */
static int set_option(struct fabric_id *own, int optname, const void *optval, size_t optlen)
{
    size_t size =
        optname == RDMA_OPTION_ID_REUSEADDR || optname == RDMA_OPTION_ID_AFONLY ? sizeof(int) : 1;
    int number = 0;

    if (optlen != size) {
        return EINVAL;
    }
    if (size == sizeof(int)) {
        memcpy(&number, optval, sizeof(number));
    }
    switch (optname) {
    case RDMA_OPTION_ID_TOS:
        return 0;
    case RDMA_OPTION_ID_REUSEADDR:
        own->reuse_address = number != 0;
        return 0;
    case RDMA_OPTION_ID_AFONLY:
        own->v6_only = number != 0;
        return 0;
    case RDMA_OPTION_ID_ACK_TIMEOUT:
        own->ack_timeout = *(const uint8_t *)optval;
        return own->ack_timeout > 31 ? EINVAL : 0;
    default:
        return ENOSYS;
    }
}

int rdma_set_option(struct rdma_cm_id *id, int level, int optname, void *optval, size_t optlen)
{
    int error = fabric_fault(FABRIC_CALL, "rdma_set_option");

    pthread_mutex_lock(&fabric_cm_lock);
    if (!error) {
        error = level == RDMA_OPTION_ID ? set_option(fabric_id_of(id), optname, optval, optlen)
                                        : ENOSYS;
    }
    return error ? fail(error) : succeed();
}

static void attributes_rtr(const struct fabric_id *id, struct ibv_qp_attr *attr, int *mask)
{
    *mask |= IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
             IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER;
    attr->ah_attr.is_global = 1;
    attr->ah_attr.port_num = 1;
    attr->path_mtu = fabric_opts()->active_mtu;
    attr->dest_qp_num = id->remote.qp_num;
    attr->max_dest_rd_atomic = id->own.responder_resources;
    attr->min_rnr_timer = 0; /* as the kernel leaves it: 655 ms */
}

/* Who answers decides how often to retry after "receiver not ready"; the active side's retry count
 * goes for both. */
static void attributes_rts(const struct fabric_id *id, struct ibv_qp_attr *attr, int *mask)
{
    *mask |= IBV_QP_SQ_PSN | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
             IBV_QP_MAX_QP_RD_ATOMIC;
    attr->timeout = id->ack_timeout ? id->ack_timeout : DEFAULT_ACK_TIMEOUT;
    attr->retry_cnt = (id->active ? id->own.retry_count : id->remote.retry_count) & 7;
    attr->rnr_retry = id->remote.rnr_retry_count & 7;
    attr->max_rd_atomic = id->own.initiator_depth;
}

int rdma_init_qp_attr(struct rdma_cm_id *id, struct ibv_qp_attr *qp_attr, int *qp_attr_mask)
{
    int error = fabric_fault(FABRIC_CALL, "rdma_init_qp_attr");
    enum ibv_qp_state state = qp_attr->qp_state;
    struct fabric_id *own = fabric_id_of(id);
    bool answered;

    pthread_mutex_lock(&fabric_cm_lock);
    answered = own->state >= FABRIC_REQUESTED && own->state <= FABRIC_CONNECTED;
    if (!error && (!id->verbs || (state != IBV_QPS_INIT && !answered) || state > IBV_QPS_RTS)) {
        error = EINVAL;
    }
    if (error) {
        return fail(error);
    }
    memset(qp_attr, 0, sizeof(*qp_attr));
    qp_attr->qp_state = state;
    *qp_attr_mask = IBV_QP_STATE;
    if (state == IBV_QPS_INIT) {
        *qp_attr_mask |= IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS;
        qp_attr->port_num = 1;
        /* The kernel opens the passive side only: its id has a communication id from the request
         * on. */
        qp_attr->qp_access_flags = answered ? IBV_ACCESS_REMOTE_WRITE : 0;
    } else if (state == IBV_QPS_RTR) {
        attributes_rtr(own, qp_attr, qp_attr_mask);
    } else {
        attributes_rts(own, qp_attr, qp_attr_mask);
    }
    return succeed();
}
