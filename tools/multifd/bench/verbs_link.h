/* SPDX-License-Identifier: MIT */
/*
 * verbs_link.h - RC connections for the bare verbs loops, which use nothing of the library.
 *
 * Client: verbs_link_resolve, verbs_link_register, verbs_link_connect. Server: verbs_listener_new,
 * then for each link verbs_link_take, verbs_link_register, verbs_link_accept. While they connect
 * each tells the other where its memory is. One thread for a link or a listener.
 */
#ifndef MULTIFD_BENCH_VERBS_LINK_H
#define MULTIFD_BENCH_VERBS_LINK_H

#include "verbs_settings.h"

#include <multifd_error.h>
#include <rdma/rdma_cma.h>
#include <stddef.h>
#include <stdint.h>

struct verbs_listener;

struct verbs_link {
    const struct verbs_settings *settings;
    struct rdma_event_channel *events; /* NULL at the server: the listener's serves */
    struct rdma_cm_id *id;
    struct ibv_qp *qp;
    struct ibv_comp_channel *completions; /* of both queues, for those who sleep */
    struct ibv_cq *send_cq;
    struct ibv_cq *receive_cq;
    unsigned mtu;            /* bytes, of the path; 0: there is none, as with iWARP */
    uint64_t remote_address; /* the other side's memory */
    uint64_t remote_length;
    uint32_t remote_key;
};

/* What a link's queue pair has room for. */
struct verbs_depth {
    uint32_t send_wr;
    uint32_t receive_wr;
    uint32_t inline_data;
};

/*
 * Listens on any address, or on that of the GID in the settings, and on a free port, which *port
 * receives. The settings are kept, and are its links' too. NULL on error.
 */
struct verbs_listener *verbs_listener_new(const struct verbs_settings *settings, uint16_t *port,
                                          struct multifd_error *err);

/* After its links are closed. Accepts NULL, sets to NULL. */
void verbs_listener_delete(struct verbs_listener **listener);

/* Waits for a client. verbs_link_close in either case. */
int verbs_link_take(struct verbs_link *link, struct verbs_listener *listener,
                    struct multifd_error *err);

/* Finds the way to the server. The settings are kept. verbs_link_close in either case. */
int verbs_link_resolve(struct verbs_link *link, const struct verbs_settings *settings,
                       const char *host, uint16_t port, struct multifd_error *err);

/*
 * Registers memory for this link and the others of the same device; the caller gives it back with
 * ibv_dereg_mr before it closes them: with the last link of a device rdma_cm drops its protection
 * domain, which stays behind for good if it has regions. NULL on error.
 */
struct ibv_mr *verbs_link_register(const struct verbs_link *link, void *memory, size_t length,
                                   struct multifd_error *err);

/* Makes the queue pair and completes the connection, with `memory` open to the other side. */
int verbs_link_connect(struct verbs_link *link, const struct verbs_depth *depth,
                       const struct ibv_mr *memory, struct multifd_error *err);
int verbs_link_accept(struct verbs_link *link, const struct verbs_depth *depth,
                      const struct ibv_mr *memory, struct multifd_error *err);

/* Disconnects and releases everything; accepts a link that never was. */
void verbs_link_close(struct verbs_link *link);

/* Polls a queue once, up to `most`; the number got, or -1 for a completion that failed. */
int verbs_poll(struct ibv_cq *cq, struct ibv_wc *completions, int most, struct multifd_error *err);

#endif
