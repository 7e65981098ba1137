/* SPDX-License-Identifier: MIT */
#include "bandwidth.h"

#include "clocks.h"
#include "fail.h"
#include "raw_loop.h"
#include "samples.h"
#include "session_source.h"
#include "units.h"

#include <stdlib.h>

/* What the session has sent up to some point. */
struct sent {
    uint64_t guest_bytes;
    uint64_t wire_bytes;
    uint64_t *channels; /* guest bytes of each */
};

struct bandwidth_source {
    const struct bench_case *bench;
    struct peer *peer;
    struct bench_memory memory;
    uint64_t *order;
    uint64_t passes;
    uint64_t contents;             /* that the memory has had */
    struct raw_source *raw;        /* NULL for passes of the session only */
    struct session_source session; /* its source is NULL for raw ones only */
    uint64_t cpu_ns;               /* used in measured passes of the session */
    uint64_t caller_cpu_ns;        /* that of the thread that queues pages */
    struct sent warm_up;           /* when it was over */
    struct sent all;               /* when the last pass was */
    double *raw_gbps;
    double *session_gbps;
    double *wire_gbps;   /* of the same passes */
    uint64_t wire_bytes; /* of the session's last pass */
    double *ratios;
};

/* ---- Setting up ---- */

static int connect_all(struct bandwidth_source *source, bool raw, bool session,
                       struct multifd_error *err)
{
    uint64_t raw_port = 0;
    uint64_t port = 0;

    if (peer_send(source->peer, json_pack("{s:b, s:b}", "raw", raw, "session", session), err) !=
        0) {
        return -1;
    }
    json_t *ports = peer_receive(source->peer, err);
    if (ports == NULL || peer_number(ports, "raw_port", raw, UINT16_MAX, &raw_port, err) != 0 ||
        peer_number(ports, "port", 0, UINT16_MAX, &port, err) != 0) {
        json_decref(ports);
        return -1;
    }
    json_decref(ports);
    if (raw) {
        source->raw = raw_source_new(source->bench, &source->memory, (uint16_t)raw_port, err);
        if (source->raw == NULL || peer_expect_mark(source->peer, "accepted", err) != 0) {
            return -1;
        }
    }
    return session ? session_source_open(&source->session, source->bench, &source->memory,
                                         (uint16_t)port, err)
                   : 0;
}

static int allocate_figures(struct bandwidth_source *source, struct multifd_error *err)
{
    const struct bench_case *bench = source->bench;

    source->raw_gbps = calloc(bench->repeat, sizeof(double));
    source->session_gbps = calloc(bench->repeat, sizeof(double));
    source->wire_gbps = calloc(bench->repeat, sizeof(double));
    source->ratios = calloc(bench->repeat, sizeof(double));
    source->warm_up.channels = calloc(bench->channels, sizeof(uint64_t));
    source->all.channels = calloc(bench->channels, sizeof(uint64_t));
    if (source->raw_gbps == NULL || source->session_gbps == NULL || source->wire_gbps == NULL ||
        source->ratios == NULL || source->warm_up.channels == NULL ||
        source->all.channels == NULL) {
        return tool_fail(err, MULTIFD_ERROR_SYSTEM, "no memory");
    }
    return 0;
}

static int allocate(struct bandwidth_source *source, struct multifd_error *err)
{
    const struct bench_case *bench = source->bench;
    uint64_t run = bench->size / bench->page_size;

    if (run == 0 || bench->size % bench->page_size != 0) {
        return tool_fail(err, MULTIFD_ERROR_INVALID,
                         "option size: not a multiple of the page size (%llu)",
                         (unsigned long long)bench->page_size);
    }
    if (allocate_figures(source, err) != 0 ||
        bench_memory_map(&source->memory, bench->memory, bench->page_size, err) != 0) {
        return -1;
    }
    source->order = bench_memory_order(&source->memory, run, err);
    return source->order == NULL ? -1 : 0;
}

static void clear(struct bandwidth_source *source)
{
    session_source_close(&source->session);
    raw_source_delete(&source->raw);
    bench_memory_unmap(&source->memory);
    free(source->order);
    free(source->raw_gbps);
    free(source->session_gbps);
    free(source->wire_gbps);
    free(source->ratios);
    free(source->warm_up.channels);
    free(source->all.channels);
}

/* ---- Passes ---- */

static int send_session(struct bandwidth_source *source, struct multifd_error *err)
{
    uint64_t pages = source->memory.length / source->memory.page_size;

    for (uint64_t i = 0; i < pages; i++) {
        if (multifd_queue_page(source->session.source, source->session.block, source->order[i],
                               err) != 0) {
            return -1;
        }
    }
    return multifd_send_sync_main(source->session.source, err);
}

/* Stamping the memory beforehand is not the session's work. */
static int send_counted(struct bandwidth_source *source, struct multifd_error *err)
{
    uint64_t caller = thread_cpu_ns();
    uint64_t all = session_source_cpu_ns(&source->session);
    uint64_t wire = session_source_wire_bytes(&source->session);
    int status = send_session(source, err);

    source->wire_bytes = session_source_wire_bytes(&source->session) - wire;
    source->cpu_ns += session_source_cpu_ns(&source->session) - all;
    source->caller_cpu_ns += thread_cpu_ns() - caller;
    return status;
}

/* What a pass is besides raw or the session's. */
struct pass_kind {
    bool warm_up; /* not in the results */
    bool watched; /* the other side tells the lowest rate; nothing else of it is in the results */
    bool whole;   /* every byte is compared, with content that no pass had before */
};

/* What the pass is to move, and the other side told of it: nothing that is timed. */
static int prepare_pass(struct bandwidth_source *source, bool raw, struct pass_kind kind,
                        struct multifd_error *err)
{
    uint64_t seed = kind.whole ? ++source->contents : 0;

    if (kind.whole) {
        bench_memory_fill(&source->memory, seed);
    }
    bench_memory_stamp(&source->memory, ++source->passes);
    if (peer_send(source->peer,
                  json_pack("{s:I, s:b, s:I, s:b, s:b}", "pass", (json_int_t)source->passes, "raw",
                            raw, "seed", (json_int_t)seed, "warm_up", kind.warm_up, "watched",
                            kind.watched),
                  err) != 0) {
        return -1;
    }
    return kind.watched ? peer_expect_mark(source->peer, "watching", err) : 0;
}

/* One pass, checked by the other side; *gbps is its rate. */
static int send_pass(struct bandwidth_source *source, bool raw, struct pass_kind kind, double *gbps,
                     struct multifd_error *err)
{
    uint64_t start;
    int status;

    if (prepare_pass(source, raw, kind, err) != 0) {
        return -1;
    }
    start = now_ns();
    status = raw ? raw_source_pass(source->raw, source->order, err) : send_counted(source, err);
    *gbps = units_gigabits(source->memory.length, now_ns() - start);
    if (status != 0 || (raw && peer_send_mark(source->peer, "sent", err) != 0)) {
        return -1;
    }
    return peer_expect_mark(source->peer, "equal", err);
}

/* Each kind of pass in its turn. */
static int send_turn(struct bandwidth_source *source, uint64_t turn, struct pass_kind kind,
                     struct multifd_error *err)
{
    if (source->raw != NULL && send_pass(source, true, kind, &source->raw_gbps[turn], err) != 0) {
        return -1;
    }
    if (source->session.source != NULL) {
        if (send_pass(source, false, kind, &source->session_gbps[turn], err) != 0) {
            return -1;
        }
        source->wire_gbps[turn] =
            source->session_gbps[turn] * (double)source->wire_bytes / (double)source->memory.length;
        source->ratios[turn] =
            source->raw != NULL ? source->session_gbps[turn] / source->raw_gbps[turn] : 0;
    }
    return 0;
}

/* Watching takes processor time, which would be in the figures of any other pass. */
static int send_watched(struct bandwidth_source *source, struct multifd_error *err)
{
    double unused;

    return source->session.source == NULL || source->bench->null_device
               ? 0
               : send_pass(source, false, (struct pass_kind){.watched = true}, &unused, err);
}

static void look_at_sent(const struct bandwidth_source *source, struct sent *sent)
{
    struct multifd_statistics statistics;

    multifd_source_statistics(source->session.source, &statistics);
    sent->guest_bytes = statistics.guest_bytes;
    sent->wire_bytes = statistics.wire_bytes;
    for (unsigned i = 0; i < source->bench->channels; i++) {
        struct multifd_channel_statistics channel = {0};

        (void)multifd_source_channel_statistics(source->session.source, i, &channel);
        sent->channels[i] = channel.guest_bytes;
    }
}

/* What has been used and sent so far is not in the results. */
static void end_warm_up(struct bandwidth_source *source)
{
    source->cpu_ns = 0;
    source->caller_cpu_ns = 0;
    if (source->session.source != NULL) {
        look_at_sent(source, &source->warm_up);
    }
}

/*
 * The turn before the first is for warming up, and behind it is the watched pass; the last turn
 * compares every byte.
 */
static int send_all(struct bandwidth_source *source, struct multifd_error *err)
{
    if (send_turn(source, 0, (struct pass_kind){.warm_up = true, .whole = true}, err) != 0 ||
        send_watched(source, err) != 0) {
        return -1;
    }
    end_warm_up(source);
    for (uint64_t turn = 0; turn < source->bench->repeat; turn++) {
        struct pass_kind kind = {.whole = turn + 1 == source->bench->repeat};

        if (send_turn(source, turn, kind, err) != 0) {
            return -1;
        }
    }
    if (peer_send(source->peer, json_pack("{s:i}", "pass", 0), err) != 0) {
        return -1;
    }
    if (source->session.source == NULL) {
        return 0;
    }
    look_at_sent(source, &source->all);
    return session_source_finish(&source->session, err);
}

/* ---- Results ---- */

static json_t *channel_rates(const struct bandwidth_source *source, double busy_ns)
{
    json_t *channels = json_array();

    for (uint64_t i = 0; i < source->bench->channels; i++) {
        uint64_t bytes = source->all.channels[i] - source->warm_up.channels[i];

        (void)json_array_append_new(channels, json_real((double)bytes * 8 / busy_ns));
    }
    return channels;
}

static double wire_share(const struct bandwidth_source *source)
{
    return (double)(source->all.wire_bytes - source->warm_up.wire_bytes) /
           (double)(source->all.guest_bytes - source->warm_up.guest_bytes);
}

static void add_session(struct bandwidth_source *source, json_t *row)
{
    uint64_t repeat = source->bench->repeat;
    double busy_ns = 0;

    for (uint64_t i = 0; i < repeat; i++) {
        busy_ns += (double)source->memory.length * 8 / source->session_gbps[i];
    }
    (void)json_object_set_new(row, "channel_gbps", channel_rates(source, busy_ns));
    (void)json_object_set_new(row, "wire_share", json_real(wire_share(source)));
    double sent = (double)(source->memory.length * repeat);
    (void)json_object_set_new(row, "source_cpu_s_per_gb", json_real((double)source->cpu_ns / sent));
    (void)json_object_set_new(row, "caller_cpu_s_per_gb",
                              json_real((double)source->caller_cpu_ns / sent));
    (void)json_object_set_new(row, "average_gbps", json_real(sent * 8 / busy_ns));
    (void)json_object_set_new(row, "session_gbps", spread_json(source->session_gbps, repeat));
    (void)json_object_set_new(row, "wire_gbps", spread_json(source->wire_gbps, repeat));
    if (source->raw != NULL) {
        (void)json_object_set_new(row, "ratio", spread_json(source->ratios, repeat));
    }
}

static int measure(const struct bench_case *bench, struct peer *peer, bool raw, bool session,
                   json_t *row, struct multifd_error *err)
{
    struct bandwidth_source source = {.bench = bench, .peer = peer};
    int status = -1;

    if (allocate(&source, err) == 0 && connect_all(&source, raw, session, err) == 0 &&
        send_all(&source, err) == 0) {
        status = 0;
        if (session) {
            add_session(&source, row);
        }
        if (raw) {
            (void)json_object_set_new(row, "raw_gbps", spread_json(source.raw_gbps, bench->repeat));
            (void)json_object_set_new(row, "link", raw_source_link_json(source.raw));
        }
    }
    clear(&source);
    return status;
}

int bandwidth_run(const struct bench_case *bench, struct peer *peer, json_t *row,
                  struct multifd_error *err)
{
    return measure(bench, peer, bench->raw && bench->address.rdma, true, row, err);
}

int raw_run(const struct bench_case *bench, struct peer *peer, json_t *row,
            struct multifd_error *err)
{
    if (!bench->address.rdma) {
        return tool_fail(err, MULTIFD_ERROR_INVALID, "raw: verbs need an address rdma:HOST");
    }
    return measure(bench, peer, true, false, row, err);
}
