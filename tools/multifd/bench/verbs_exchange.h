/* SPDX-License-Identifier: MIT */
/*
 * verbs_exchange.h - one side of `send`, `write` and `read`: a link, a message that goes out and
 * one that comes in, and how they travel. One thread.
 */
#ifndef MULTIFD_BENCH_VERBS_EXCHANGE_H
#define MULTIFD_BENCH_VERBS_EXCHANGE_H

#include "bench_case.h"
#include "bench_memory.h"
#include "verbs_link.h"
#include "verbs_wait.h"

enum exchange_kind {
    EXCHANGE_SEND,
    EXCHANGE_WRITE,
    EXCHANGE_READ,
};

struct verbs_exchange {
    const struct bench_case *bench;
    enum exchange_kind kind;
    struct verbs_link link;
    struct verbs_wait wait;
    struct bench_memory memory; /* two pages: the outgoing message, then the incoming one */
    struct ibv_mr *region;
    uint64_t posted;
};

/* The source's side. verbs_exchange_close in either case. */
int verbs_exchange_connect(struct verbs_exchange *exchange, const struct bench_case *bench,
                           enum exchange_kind kind, uint16_t port, struct multifd_error *err);

/* The sink's side. verbs_exchange_close in either case, before the listener is deleted. */
int verbs_exchange_accept(struct verbs_exchange *exchange, const struct bench_case *bench,
                          enum exchange_kind kind, struct verbs_listener *listener,
                          struct multifd_error *err);

/* Accepts an exchange that is all zero. */
void verbs_exchange_close(struct verbs_exchange *exchange);

/* Sends or writes the outgoing message with this number. */
int verbs_exchange_put(struct verbs_exchange *exchange, uint64_t number, struct multifd_error *err);

/* Waits for the incoming message, which must have this number. */
int verbs_exchange_take(struct verbs_exchange *exchange, uint64_t number,
                        struct multifd_error *err);

/* Reads the other side's outgoing message, which has the number 0. */
int verbs_exchange_fetch(struct verbs_exchange *exchange, struct multifd_error *err);

/* Compares the whole of the last message that came in. */
int verbs_exchange_check(const struct verbs_exchange *exchange, struct multifd_error *err);

/* Whether the outgoing message travels inside its work request. */
bool verbs_exchange_is_inline(const struct verbs_exchange *exchange);

#endif
