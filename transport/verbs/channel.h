/* SPDX-License-Identifier: MIT */
/*
 * channel - a transport channel over one RC queue pair: it owns the rdma_cm identifier, the
 * completion queue, the queue pair, the sender and the receiver, and belongs to one thread at a
 * time.
 */
#ifndef MULTIFD_VERBS_CHANNEL_H
#define MULTIFD_VERBS_CHANNEL_H

#include <multifd_error.h>

#include "transport/transport.h"
#include "transport/verbs/cm.h"
#include "transport/verbs/domain.h"

struct verbs_channel;

/*
 * A channel around *cm, which it takes over (*cm is zeroed) when it succeeds. Its queue pair is in
 * INIT with all receives posted. NULL on error.
 */
struct verbs_channel *verbs_channel_new(struct verbs_cm *cm, const struct verbs_domain *domain,
                                        const struct transport_profile *profile,
                                        const struct transport_settings *settings,
                                        struct multifd_error *err);

/* Disconnects and frees; sets to NULL; accepts NULL. */
void verbs_channel_delete(struct verbs_channel **channel);

/* For the two sides of connection set-up. */
struct verbs_cm *verbs_channel_cm(struct verbs_channel *channel);

/* What rdma_connect and rdma_accept are given; `data` holds the private data they point to. */
void verbs_channel_conn_param(const struct verbs_channel *channel,
                              const struct transport_greeting *greeting,
                              uint8_t data[VERBS_PRIVATE_DATA_MAX], struct rdma_conn_param *param);

/* Brings the queue pair to RTS when rdma_cm knows the peer. */
int verbs_channel_ready(struct verbs_channel *channel, struct multifd_error *err);

/* The peer's private data; from now on messages may be sent. -1 when it is not a channel's. */
int verbs_channel_meet(struct verbs_channel *channel, const struct verbs_cm_event *event,
                       struct multifd_error *err);

/* The channel as the engines see it. */
struct transport_channel *verbs_channel_base(struct verbs_channel *channel);

#endif
