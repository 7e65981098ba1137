/* SPDX-License-Identifier: MIT */
#include "round_trips.h"

#include "clocks.h"
#include "fail.h"
#include "rounds_common.h"
#include "samples.h"
#include "verbs_exchange.h"
#include "verbs_link_qp.h"

/* Rounds of the first batch when time is the limit; they tell how many fit into the next. */
#define FIRST_BATCH 10

struct round_trips {
    const struct bench_case *bench;
    struct peer *peer;
    struct verbs_exchange exchange;
    struct samples *samples;
    uint64_t number; /* of the last message */
};

static int do_round(struct round_trips *trips, struct multifd_error *err)
{
    struct verbs_exchange *exchange = &trips->exchange;
    uint64_t number = ++trips->number;

    if (exchange->kind == EXCHANGE_READ) {
        return verbs_exchange_fetch(exchange, err);
    }
    return verbs_exchange_put(exchange, number, err) != 0
               ? -1
               : verbs_exchange_take(exchange, number, err);
}

/* Some rounds that do not count, in which both sides come awake, then `rounds` that do. */
static int do_batch(struct round_trips *trips, uint64_t rounds, struct multifd_error *err)
{
    uint64_t all = ROUNDS_WARM_UP + rounds;
    uint64_t share = trips->exchange.kind == EXCHANGE_READ ? 1 : 2;

    if (peer_send(trips->peer, json_pack("{s:I}", "rounds", (json_int_t)all), err) != 0 ||
        peer_expect_mark(trips->peer, "ready", err) != 0) {
        return -1;
    }
    for (uint64_t i = 0; i < all; i++) {
        uint64_t start = now_ns();

        if (do_round(trips, err) != 0) {
            return -1;
        }
        if (i >= ROUNDS_WARM_UP) {
            samples_add(trips->samples, (now_ns() - start) / share);
        }
    }
    return 0;
}

/* As many batches as fit, each as long as the time that is left by what the rounds took so far. */
static int do_batches_for(struct round_trips *trips, uint64_t duration_ns,
                          struct multifd_error *err)
{
    uint64_t start = now_ns();
    uint64_t passed = 0;
    uint64_t batch = FIRST_BATCH;

    while (passed < duration_ns) {
        if (do_batch(trips, batch, err) != 0) {
            return -1;
        }
        passed = now_ns() - start;
        uint64_t left = passed < duration_ns ? duration_ns - passed : 0;
        uint64_t fitting = left / (passed / trips->number + 1) + 1;
        batch = fitting < 10 * trips->number ? fitting : 10 * trips->number;
    }
    return 0;
}

static int do_all(struct round_trips *trips, struct multifd_error *err)
{
    const struct bench_case *bench = trips->bench;
    int status = bench->duration_ns != 0 ? do_batches_for(trips, bench->duration_ns, err)
                                         : do_batch(trips, bench->iterations, err);

    if (status != 0 || peer_send(trips->peer, json_pack("{s:i}", "rounds", 0), err) != 0) {
        return -1;
    }
    return verbs_exchange_check(&trips->exchange, err);
}

static int connect_sink(struct round_trips *trips, enum exchange_kind kind,
                        struct multifd_error *err)
{
    json_t *answer = peer_receive(trips->peer, err);
    uint64_t port = 0;
    int status = answer == NULL ? -1 : peer_number(answer, "port", 1, UINT16_MAX, &port, err);

    json_decref(answer);
    return status != 0
               ? -1
               : verbs_exchange_connect(&trips->exchange, trips->bench, kind, (uint16_t)port, err);
}

static int run(enum exchange_kind kind, const struct bench_case *bench, struct peer *peer,
               json_t *row, struct multifd_error *err)
{
    struct round_trips trips = {.bench = bench, .peer = peer};
    int status = -1;

    if (!bench->address.rdma) {
        return tool_fail(err, MULTIFD_ERROR_INVALID, "verbs need an address rdma:HOST");
    }
    trips.samples = samples_new(rounds_room(bench), err);
    if (trips.samples != NULL && connect_sink(&trips, kind, err) == 0 && do_all(&trips, err) == 0) {
        status = json_object_set_new(row, "latency", samples_json(trips.samples)) == 0
                     ? 0
                     : tool_fail(err, MULTIFD_ERROR_SYSTEM, "no samples");
        (void)json_object_set_new(row, "inline",
                                  json_boolean(verbs_exchange_is_inline(&trips.exchange)));
        (void)json_object_set_new(row, "waiting",
                                  json_string(verbs_wait_name(&trips.exchange.wait)));
        (void)json_object_set_new(row, "link", verbs_link_qp_json(&trips.exchange.link));
    }
    verbs_exchange_close(&trips.exchange);
    samples_delete(&trips.samples);
    return status;
}

int send_run(const struct bench_case *bench, struct peer *peer, json_t *row,
             struct multifd_error *err)
{
    return run(EXCHANGE_SEND, bench, peer, row, err);
}

int write_run(const struct bench_case *bench, struct peer *peer, json_t *row,
              struct multifd_error *err)
{
    return run(EXCHANGE_WRITE, bench, peer, row, err);
}

int read_run(const struct bench_case *bench, struct peer *peer, json_t *row,
             struct multifd_error *err)
{
    return run(EXCHANGE_READ, bench, peer, row, err);
}
