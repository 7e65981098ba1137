/* SPDX-License-Identifier: MIT */
#include "cm_queue_pairs.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

/* ---- The shared protection domain: made with the first id that has a device, gone with the last
 */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct ibv_pd *shared;
static unsigned users;

static struct ibv_pd *take_pd(struct ibv_context *context)
{
    struct ibv_pd *pd;

    (void)pthread_mutex_lock(&lock);
    if (users++ == 0) {
        shared = ibv_alloc_pd(context);
    }
    pd = shared;
    (void)pthread_mutex_unlock(&lock);
    return pd;
}

/* As there, one that still has regions stays behind. */
static void drop_pd(void)
{
    (void)pthread_mutex_lock(&lock);
    if (--users == 0) {
        (void)ibv_dealloc_pd(shared);
    }
    (void)pthread_mutex_unlock(&lock);
}

int __wrap_rdma_destroy_id(struct rdma_cm_id *id)
{
    bool had_pd = id->pd != NULL;
    int status = __real_rdma_destroy_id(id);

    if (had_pd) {
        drop_pd();
    }
    return status;
}

/* ---- Queue pairs ---- */

static int modify(struct rdma_cm_id *id, enum ibv_qp_state state)
{
    struct ibv_qp_attr attributes = {.qp_state = state};
    int mask;

    if (rdma_init_qp_attr(id, &attributes, &mask) != 0) {
        return -1;
    }
    if (state == IBV_QPS_INIT && attributes.qp_access_flags != 0) {
        attributes.qp_access_flags |= IBV_ACCESS_REMOTE_READ;
    }
    errno = ibv_modify_qp(id->qp, &attributes, mask);
    return errno == 0 ? 0 : -1;
}

/* From INIT anew: only an id that has a connection opens memory to the other side. */
static int modify_to_rts(struct rdma_cm_id *id)
{
    return modify(id, IBV_QPS_INIT) != 0 || modify(id, IBV_QPS_RTR) != 0 ||
                   modify(id, IBV_QPS_RTS) != 0
               ? -1
               : 0;
}

int rdma_create_qp(struct rdma_cm_id *id, struct ibv_pd *pd, struct ibv_qp_init_attr *attributes)
{
    id->qp = ibv_create_qp(pd, attributes);
    return id->qp == NULL ? -1 : modify(id, IBV_QPS_INIT);
}

void rdma_destroy_qp(struct rdma_cm_id *id)
{
    (void)ibv_destroy_qp(id->qp);
    id->qp = NULL;
}

int __wrap_rdma_connect(struct rdma_cm_id *id, struct rdma_conn_param *parameters)
{
    if (id->qp != NULL) {
        parameters->qp_num = id->qp->qp_num;
    }
    return __real_rdma_connect(id, parameters);
}

int __wrap_rdma_accept(struct rdma_cm_id *id, struct rdma_conn_param *parameters)
{
    if (id->qp != NULL) {
        if (modify_to_rts(id) != 0) {
            return -1;
        }
        parameters->qp_num = id->qp->qp_num;
    }
    return __real_rdma_accept(id, parameters);
}

int __wrap_rdma_get_cm_event(struct rdma_event_channel *channel, struct rdma_cm_event **event)
{
    int status = __real_rdma_get_cm_event(channel, event);

    if (status != 0) {
        return status;
    }
    struct rdma_cm_id *id = (*event)->id;
    switch ((*event)->event) {
    case RDMA_CM_EVENT_ADDR_RESOLVED:
    case RDMA_CM_EVENT_CONNECT_REQUEST:
        id->pd = take_pd(id->verbs);
        break;
    case RDMA_CM_EVENT_CONNECT_RESPONSE:
        if (id->qp != NULL) {
            bool fine = modify_to_rts(id) == 0 && rdma_establish(id) == 0;
            (*event)->event = fine ? RDMA_CM_EVENT_ESTABLISHED : RDMA_CM_EVENT_CONNECT_ERROR;
        }
        break;
    default:
        break;
    }
    return 0;
}

/* ---- Names ---- */

/* Numbers only. */
int rdma_getaddrinfo(const char *node, const char *service, const struct rdma_addrinfo *hints,
                     struct rdma_addrinfo **found)
{
    struct rdma_addrinfo *info = calloc(1, sizeof(*info));
    struct sockaddr_in *address = calloc(1, sizeof(*address));

    (void)hints;
    *found = info;
    if (info == NULL || address == NULL || inet_pton(AF_INET, node, &address->sin_addr) != 1) {
        free(info);
        free(address);
        return -1;
    }
    address->sin_family = AF_INET;
    address->sin_port = htons((uint16_t)strtoul(service, NULL, 10));
    info->ai_dst_addr = (struct sockaddr *)address;
    info->ai_dst_len = sizeof(*address);
    return 0;
}

void rdma_freeaddrinfo(struct rdma_addrinfo *info)
{
    free(info->ai_dst_addr);
    free(info);
}
