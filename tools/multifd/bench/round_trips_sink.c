/* SPDX-License-Identifier: MIT */
#include "round_trips.h"

#include "verbs_exchange.h"

/* How many rounds the source wants next. */
static int expect_rounds(struct peer *peer, uint64_t *rounds, struct multifd_error *err)
{
    json_t *wanted = peer_receive(peer, err);
    int status = wanted == NULL ? -1 : peer_number(wanted, "rounds", 0, INT64_MAX, rounds, err);

    json_decref(wanted);
    return status;
}

static int answer_all(struct verbs_exchange *exchange, struct peer *peer, struct multifd_error *err)
{
    uint64_t number = 0;
    uint64_t rounds;

    while (expect_rounds(peer, &rounds, err) == 0) {
        if (rounds == 0) {
            return 0;
        }
        if (peer_send_mark(peer, "ready", err) != 0) {
            return -1;
        }
        for (uint64_t i = 0; exchange->kind != EXCHANGE_READ && i < rounds; i++) {
            number++;
            if (verbs_exchange_take(exchange, number, err) != 0 ||
                verbs_exchange_put(exchange, number, err) != 0) {
                return -1;
            }
        }
    }
    return -1;
}

static int serve(enum exchange_kind kind, const struct bench_case *bench, struct peer *peer,
                 struct multifd_error *err)
{
    struct verbs_exchange exchange = {0};
    uint16_t port;
    struct verbs_listener *listener = verbs_listener_new(&bench->verbs, &port, err);
    int status = -1;

    if (listener != NULL && peer_send(peer, json_pack("{s:i}", "port", port), err) == 0 &&
        verbs_exchange_accept(&exchange, bench, kind, listener, err) == 0 &&
        answer_all(&exchange, peer, err) == 0) {
        status = kind == EXCHANGE_READ ? 0 : verbs_exchange_check(&exchange, err);
    }
    verbs_exchange_close(&exchange);
    verbs_listener_delete(&listener);
    return status;
}

int send_serve(const struct bench_case *bench, struct peer *peer, json_t *result,
               struct multifd_error *err)
{
    (void)result;
    return serve(EXCHANGE_SEND, bench, peer, err);
}

int write_serve(const struct bench_case *bench, struct peer *peer, json_t *result,
                struct multifd_error *err)
{
    (void)result;
    return serve(EXCHANGE_WRITE, bench, peer, err);
}

int read_serve(const struct bench_case *bench, struct peer *peer, json_t *result,
               struct multifd_error *err)
{
    (void)result;
    return serve(EXCHANGE_READ, bench, peer, err);
}
