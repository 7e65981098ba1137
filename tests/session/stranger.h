/* SPDX-License-Identifier: MIT */
/* stranger - somebody at the other end of a connection who is not this library. */
#ifndef STRANGER_H
#define STRANGER_H

#include <rdma/rdma_cma.h>
#include <stdint.h>

/* How the far side answers. */
enum stranger_answer {
    STRANGER_ACCEPTS,
    STRANGER_REJECTS,
    STRANGER_IS_SILENT,
};

/* Connects to a port with this private data, until the answer: the event that came. */
enum rdma_cm_event_type stranger_connect(uint16_t port, const void *data, uint8_t length);

/* Listens, and gives one connection this answer. */
struct stranger;
struct stranger *stranger_listen(enum stranger_answer answer, const void *data, uint8_t length);
uint16_t stranger_port(const struct stranger *stranger);
/* After the one connection has come and gone. */
void stranger_delete(struct stranger **stranger);

#endif
