/* SPDX-License-Identifier: MIT */
#include "transport/verbs/domain.h"

#include "core/base/error.h"

#include <errno.h>
#include <stdlib.h>

uint32_t verbs_mtu_bytes(enum ibv_mtu code)
{
    return code >= IBV_MTU_256 && code <= IBV_MTU_4096 ? 128u << code : 0;
}

enum ibv_mtu verbs_mtu_code(uint32_t bytes)
{
    for (enum ibv_mtu code = IBV_MTU_256; code <= IBV_MTU_4096; code++) {
        if (verbs_mtu_bytes(code) == bytes) {
            return code;
        }
    }
    return (enum ibv_mtu)0;
}

const char *verbs_domain_device(const struct verbs_domain *domain)
{
    return ibv_get_device_name(domain->context->device);
}

static int read_limits(struct verbs_domain *domain, struct multifd_error *err)
{
    struct ibv_device_attr device;
    struct ibv_port_attr port;
    int errnum = ibv_query_device(domain->context, &device);

    if (errnum != 0) {
        return error_set_errno(err, MULTIFD_ERROR_DEVICE, errnum, "ibv_query_device(%s)",
                               verbs_domain_device(domain));
    }
    errnum = ibv_query_port(domain->context, (uint8_t)domain->port, &port);
    if (errnum != 0) {
        return error_set_errno(err, MULTIFD_ERROR_DEVICE, errnum, "ibv_query_port(%s, %u)",
                               verbs_domain_device(domain), domain->port);
    }
    domain->max_qp_wr = (uint32_t)device.max_qp_wr;
    domain->max_cqe = (uint32_t)device.max_cqe;
    domain->max_mr = (uint32_t)device.max_mr;
    domain->max_mr_size = device.max_mr_size;
    domain->max_msg_sz = port.max_msg_sz;
    domain->active_mtu = verbs_mtu_bytes(port.active_mtu);
    return 0;
}

struct verbs_domain *verbs_domain_new(struct ibv_context *context, uint32_t port,
                                      struct multifd_error *err)
{
    struct verbs_domain *domain = calloc(1, sizeof(*domain));

    if (domain == NULL) {
        error_set_nomem(err);
        return NULL;
    }
    domain->context = context;
    domain->port = port;
    if (read_limits(domain, err) != 0) {
        goto free_domain;
    }
    domain->pd = ibv_alloc_pd(context);
    if (domain->pd == NULL) {
        error_set_errno(err, MULTIFD_ERROR_DEVICE, errno, "ibv_alloc_pd(%s)",
                        verbs_domain_device(domain));
        goto free_domain;
    }
    domain->keepalive =
        ibv_reg_mr(domain->pd, domain->keepalive_bytes, sizeof(domain->keepalive_bytes),
                   IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE);
    if (domain->keepalive == NULL) {
        error_set_errno(err, MULTIFD_ERROR_DEVICE, errno, "ibv_reg_mr(keepalive, %zu bytes)",
                        sizeof(domain->keepalive_bytes));
        goto dealloc_pd;
    }
    return domain;

dealloc_pd:
    ibv_dealloc_pd(domain->pd);
free_domain:
    free(domain);
    return NULL;
}

void verbs_domain_delete(struct verbs_domain **domain)
{
    if (*domain == NULL) {
        return;
    }
    ibv_dereg_mr((*domain)->keepalive);
    ibv_dealloc_pd((*domain)->pd);
    free(*domain);
    *domain = NULL;
}
