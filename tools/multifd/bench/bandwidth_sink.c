/* SPDX-License-Identifier: MIT */
#include "bandwidth.h"

#include "clocks.h"
#include "fail.h"
#include "lowest_rate.h"
#include "raw_loop.h"
#include "session_sink.h"
#include "ticker.h"

/* How long the raw loop's receives last; see raw_sink.c. */
#define REPLENISH_MS 2

/* How often the progress of a watched pass is looked at. */
#define LOOK_NS UINT64_C(1000000)

/* The lowest rate is that of so small a part of the memory. */
#define PARTS 16

struct bandwidth_sink {
    const struct bench_case *bench;
    struct peer *peer;
    struct bench_memory memory;
    struct raw_sink *raw;
    struct session_sink session;
    uint64_t cpu_ns; /* used in measured passes of the session, without checking what came */
    uint64_t bytes;  /* received in them */
    uint64_t before; /* guest bytes of the session's passes until now */
    struct lowest_rate *lowest; /* in the watched pass; NULL where there was none */
};

/* What the source wants: passes of which kind. */
static int start(struct bandwidth_sink *sink, struct multifd_error *err)
{
    json_t *wanted = peer_receive(sink->peer, err);
    bool raw = json_is_true(json_object_get(wanted, "raw"));
    bool session = json_is_true(json_object_get(wanted, "session"));
    uint16_t raw_port = 0;
    uint16_t port = 0;

    if (wanted == NULL) {
        return -1;
    }
    json_decref(wanted);
    if (raw) {
        sink->raw = raw_sink_new(sink->bench, &sink->memory, &raw_port, err);
    }
    if ((raw && sink->raw == NULL) ||
        (session &&
         session_sink_listen(&sink->session, sink->bench, &sink->memory, &port, err) != 0) ||
        peer_send(sink->peer, json_pack("{s:i, s:i}", "raw_port", raw_port, "port", port), err) !=
            0) {
        return -1;
    }
    if (raw && (raw_sink_accept(sink->raw, err) != 0 ||
                peer_send_mark(sink->peer, "accepted", err) != 0)) {
        return -1;
    }
    return session ? session_sink_accept(&sink->session, sink->peer, err) : 0;
}

static int receive_raw(struct bandwidth_sink *sink, struct multifd_error *err)
{
    while (!peer_has_sent(sink->peer, REPLENISH_MS)) {
        if (raw_sink_replenish(sink->raw, err) != 0) {
            return -1;
        }
    }
    return peer_expect_mark(sink->peer, "sent", err) != 0 ? -1 : raw_sink_replenish(sink->raw, err);
}

static void look(void *opaque)
{
    const struct bandwidth_sink *sink = opaque;
    uint64_t bytes = session_sink_guest_bytes(&sink->session);

    lowest_rate_look(sink->lowest, now_ns(), bytes);
}

/* A thread looks on meanwhile at what has come. */
static int receive_watched(struct bandwidth_sink *sink, struct multifd_error *err)
{
    struct ticker *ticker;
    int status;

    lowest_rate_delete(&sink->lowest);
    sink->lowest = lowest_rate_new(sink->memory.length / PARTS, sink->before, err);
    if (sink->lowest == NULL) {
        return -1;
    }
    look(sink);
    if (peer_send_mark(sink->peer, "watching", err) != 0) {
        return -1;
    }
    ticker = ticker_start(LOOK_NS, look, sink);
    if (ticker == NULL) {
        return tool_fail(err, MULTIFD_ERROR_SYSTEM, "no thread");
    }
    status = session_sink_round(&sink->session, err);
    ticker_stop(&ticker);
    look(sink);
    return status < 0 ? -1 : 0;
}

static int receive_session(struct bandwidth_sink *sink, bool warm_up, struct multifd_error *err)
{
    uint64_t before = session_sink_cpu_ns(&sink->session);

    if (session_sink_round(&sink->session, err) < 0) {
        return -1;
    }
    if (!warm_up) {
        sink->cpu_ns += session_sink_cpu_ns(&sink->session) - before;
        sink->bytes += sink->memory.length;
    }
    return 0;
}

/* As the order says. */
static int receive_kind(struct bandwidth_sink *sink, const json_t *order, struct multifd_error *err)
{
    if (json_is_true(json_object_get(order, "raw"))) {
        return receive_raw(sink, err);
    }
    int status = json_is_true(json_object_get(order, "watched"))
                     ? receive_watched(sink, err)
                     : receive_session(sink, json_is_true(json_object_get(order, "warm_up")), err);
    sink->before += sink->memory.length;
    return status;
}

static int receive_pass(struct bandwidth_sink *sink, const json_t *order, uint64_t pass,
                        struct multifd_error *err)
{
    bool raw = json_is_true(json_object_get(order, "raw"));
    uint64_t seed;

    if (peer_number(order, "seed", 0, INT64_MAX, &seed, err) != 0) {
        return -1;
    }
    if ((raw && sink->raw == NULL) || (!raw && sink->session.destination == NULL)) {
        return tool_fail(err, MULTIFD_ERROR_PROTOCOL, "a pass of a kind that was not agreed on");
    }
    if (receive_kind(sink, order, err) != 0) {
        return -1;
    }
    if (!sink->bench->null_device && bench_memory_check(&sink->memory, seed, pass, err) != 0) {
        return -1;
    }
    return peer_send_mark(sink->peer, "equal", err);
}

static int receive_all(struct bandwidth_sink *sink, struct multifd_error *err)
{
    for (;;) {
        json_t *order = peer_receive(sink->peer, err);
        uint64_t pass;

        if (order == NULL) {
            return -1;
        }
        int status = peer_number(order, "pass", 0, INT64_MAX, &pass, err);
        if (status == 0 && pass != 0) {
            status = receive_pass(sink, order, pass, err);
        }
        json_decref(order);
        if (status != 0 || pass == 0) {
            return status;
        }
    }
}

static void add_figures(const struct bandwidth_sink *sink, json_t *result)
{
    if (sink->bytes != 0) {
        (void)json_object_set_new(result, "cpu_s_per_gb",
                                  json_real((double)sink->cpu_ns / (double)sink->bytes));
    }
    if (sink->lowest != NULL) {
        (void)json_object_set_new(result, "lowest_gbps", json_real(lowest_rate_gbps(sink->lowest)));
    }
}

static int receive(struct bandwidth_sink *sink, json_t *result, struct multifd_error *err)
{
    if (receive_all(sink, err) != 0) {
        return -1;
    }
    if (sink->session.destination == NULL) {
        return 0;
    }
    add_figures(sink, result);
    return session_sink_round(&sink->session, err);
}

int bandwidth_serve(const struct bench_case *bench, struct peer *peer, json_t *result,
                    struct multifd_error *err)
{
    struct bandwidth_sink sink = {.bench = bench, .peer = peer};
    int status = bench_memory_map(&sink.memory, bench->memory, bench->page_size, err);

    if (status == 0) {
        status = start(&sink, err) != 0 ? -1 : receive(&sink, result, err);
    }
    session_sink_close(&sink.session);
    raw_sink_delete(&sink.raw);
    lowest_rate_delete(&sink.lowest);
    bench_memory_unmap(&sink.memory);
    return status;
}
