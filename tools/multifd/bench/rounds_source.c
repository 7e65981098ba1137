/* SPDX-License-Identifier: MIT */
#include "rounds.h"

#include "clocks.h"
#include "fail.h"
#include "rounds_common.h"
#include "samples.h"
#include "session_source.h"

struct rounds_source {
    const struct bench_case *bench;
    struct peer *peer;
    struct bench_memory memory;
    struct session_source session;
    struct samples *samples;
    uint64_t bytes;     /* of a round */
    bool from_queueing; /* else from the sync on */
};

static int connect_sink(struct rounds_source *source, struct multifd_error *err)
{
    uint64_t port = 0;

    if (peer_send(source->peer, json_pack("{s:I}", "bytes", (json_int_t)source->bytes), err) != 0) {
        return -1;
    }
    json_t *answer = peer_receive(source->peer, err);
    int status = answer == NULL ? -1 : peer_number(answer, "port", 0, UINT16_MAX, &port, err);
    json_decref(answer);
    return status != 0 ? -1
                       : session_source_open(&source->session, source->bench, &source->memory,
                                             (uint16_t)port, err);
}

static void stamp_pages(const struct rounds_source *source, uint64_t round)
{
    uint64_t first = rounds_offset(&source->memory, source->bytes, round);

    for (uint64_t done = 0; done < source->bytes; done += source->memory.page_size) {
        rounds_stamp_at(&source->memory, first + done)->round = round + 1;
    }
}

static int queue_pages(struct rounds_source *source, uint64_t round, uint64_t start,
                       struct multifd_error *err)
{
    uint64_t first = rounds_offset(&source->memory, source->bytes, round);

    if (source->bytes != 0) {
        rounds_stamp_at(&source->memory, first)->start = start;
    }
    for (uint64_t done = 0; done < source->bytes; done += source->memory.page_size) {
        if (multifd_queue_page(source->session.source, source->session.block, first + done, err) !=
            0) {
            return -1;
        }
    }
    return 0;
}

static int do_round(struct rounds_source *source, uint64_t round, struct multifd_error *err)
{
    uint64_t start;

    stamp_pages(source, round);
    start = now_ns();
    if (queue_pages(source, round, start, err) != 0) {
        return -1;
    }
    if (!source->from_queueing) {
        start = now_ns();
    }
    if (multifd_send_sync_main(source->session.source, err) != 0) {
        return -1;
    }
    if (round >= ROUNDS_WARM_UP) {
        samples_add(source->samples, now_ns() - start);
    }
    return 0;
}

static int do_rounds(struct rounds_source *source, struct multifd_error *err)
{
    const struct bench_case *bench = source->bench;
    uint64_t start = now_ns();
    uint64_t last = ROUNDS_WARM_UP + bench->iterations;

    for (uint64_t round = 0;
         bench->duration_ns != 0 ? round <= ROUNDS_WARM_UP || now_ns() - start < bench->duration_ns
                                 : round < last;
         round++) {
        if (round == ROUNDS_WARM_UP) {
            start = now_ns();
        }
        if (do_round(source, round, err) != 0) {
            return -1;
        }
    }
    return session_source_finish(&source->session, err);
}

static int map_memory(struct rounds_source *source, struct multifd_error *err)
{
    const struct bench_case *bench = source->bench;

    if (bench_memory_map(&source->memory, bench->memory, bench->page_size, err) != 0) {
        return -1;
    }
    bench_memory_fill(&source->memory, ROUNDS_SEED);
    return 0;
}

static int run(struct rounds_source *source, const char *name, json_t *row,
               struct multifd_error *err)
{
    const struct bench_case *bench = source->bench;
    int status = -1;

    source->samples = samples_new(rounds_room(bench), err);
    if (source->samples != NULL && map_memory(source, err) == 0 && connect_sink(source, err) == 0 &&
        do_rounds(source, err) == 0) {
        status = json_object_set_new(row, name, samples_json(source->samples)) == 0
                     ? 0
                     : tool_fail(err, MULTIFD_ERROR_SYSTEM, "no samples");
    }
    session_source_close(&source->session);
    bench_memory_unmap(&source->memory);
    samples_delete(&source->samples);
    return status;
}

static int check(const struct rounds_source *source, struct multifd_error *err)
{
    const struct bench_case *bench = source->bench;

    if (source->bytes % bench->page_size != 0) {
        return tool_fail(err, MULTIFD_ERROR_INVALID,
                         "option size: not a multiple of the page size (%llu)",
                         (unsigned long long)bench->page_size);
    }
    return source->bytes <= bench->memory
               ? 0
               : tool_fail(err, MULTIFD_ERROR_INVALID, "option memory: smaller than a round");
}

int latency_run(const struct bench_case *bench, struct peer *peer, json_t *row,
                struct multifd_error *err)
{
    struct rounds_source source = {
        .bench = bench, .peer = peer, .bytes = bench->size, .from_queueing = true};

    return check(&source, err) != 0 ? -1 : run(&source, "acknowledged", row, err);
}

int sync_run(const struct bench_case *bench, struct peer *peer, json_t *row,
             struct multifd_error *err)
{
    struct rounds_source source = {
        .bench = bench, .peer = peer, .bytes = bench->load * bench->page_size};

    return check(&source, err) != 0 ? -1 : run(&source, "sync", row, err);
}
