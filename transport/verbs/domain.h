/* SPDX-License-Identifier: MIT */
/*
 * domain - the protection domain that all channels and all memory of one endpoint share, with the
 * limits of its device, read once. Immutable after verbs_domain_new, so any thread may use it.
 */
#ifndef MULTIFD_VERBS_DOMAIN_H
#define MULTIFD_VERBS_DOMAIN_H

#include <infiniband/verbs.h>
#include <multifd_error.h>
#include <stdint.h>

struct verbs_domain {
    struct ibv_context *context; /* owned by librdmacm */
    struct ibv_pd *pd;
    struct ibv_mr *keepalive; /* where the peer's zero-length writes go; never read */
    uint8_t keepalive_bytes[8];
    uint32_t port;
    uint32_t active_mtu; /* bytes */
    uint32_t max_qp_wr;
    uint32_t max_cqe;
    uint32_t max_mr;
    uint64_t max_mr_size;
    uint64_t max_msg_sz;
};

/* A domain on a port of an open device. NULL on error. */
struct verbs_domain *verbs_domain_new(struct ibv_context *context, uint32_t port,
                                      struct multifd_error *err);

/*
 * Releases *domain and sets it to NULL; NULL is accepted. Its channels and memory are gone by then.
 */
void verbs_domain_delete(struct verbs_domain **domain);

/* The device's name. */
const char *verbs_domain_device(const struct verbs_domain *domain);

/* Bytes of an MTU code and the other way round; 0 for a size that is no MTU. */
uint32_t verbs_mtu_bytes(enum ibv_mtu code);
enum ibv_mtu verbs_mtu_code(uint32_t bytes);

#endif
