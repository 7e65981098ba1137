/* SPDX-License-Identifier: MIT */
/*
 * cm_shared - what librdmacm has for all ids of a program, on the fake fabric: the protection
 * domain of the device, and names. It needs the linker's --wrap for the calls below.
 */
#ifndef CM_SHARED_H
#define CM_SHARED_H

#include <rdma/rdma_cma.h>

int __real_rdma_get_cm_event(struct rdma_event_channel *channel, struct rdma_cm_event **event);
int __wrap_rdma_get_cm_event(struct rdma_event_channel *channel, struct rdma_cm_event **event);
int __real_rdma_destroy_id(struct rdma_cm_id *id);
int __wrap_rdma_destroy_id(struct rdma_cm_id *id);

#endif
