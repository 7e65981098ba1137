/* SPDX-License-Identifier: MIT */
#include "cm_shared.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

/* ---- The protection domain: made with the first id that has a device, gone with the last ---- */

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

int __wrap_rdma_get_cm_event(struct rdma_event_channel *channel, struct rdma_cm_event **event)
{
    int status = __real_rdma_get_cm_event(channel, event);

    if (status == 0 && ((*event)->event == RDMA_CM_EVENT_ADDR_RESOLVED ||
                        (*event)->event == RDMA_CM_EVENT_CONNECT_REQUEST)) {
        (*event)->id->pd = take_pd((*event)->id->verbs);
    }
    return status;
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
