/* SPDX-License-Identifier: MIT */
#include "rounds.h"

#include "clocks.h"
#include "fail.h"
#include "rounds_common.h"
#include "samples.h"
#include "session_sink.h"

#include <stdlib.h>

struct rounds_sink {
    const struct bench_case *bench;
    struct peer *peer;
    struct bench_memory memory;
    struct session_sink session;
    struct samples *samples;
    uint64_t bytes; /* of a round */
};

static int accept_source(struct rounds_sink *sink, struct multifd_error *err)
{
    json_t *wanted = peer_receive(sink->peer, err);
    uint16_t port;
    int status = wanted == NULL
                     ? -1
                     : peer_number(wanted, "bytes", 0, sink->memory.length, &sink->bytes, err);

    json_decref(wanted);
    if (status != 0 ||
        session_sink_listen(&sink->session, sink->bench, &sink->memory, &port, err) != 0 ||
        peer_send(sink->peer, json_pack("{s:i}", "port", port), err) != 0) {
        return -1;
    }
    return session_sink_accept(&sink->session, sink->peer, err);
}

/* How long the round's pages have taken, by the time that stands in the first. */
static void take_sample(struct rounds_sink *sink, uint64_t round)
{
    uint64_t first = rounds_offset(&sink->memory, sink->bytes, round);

    samples_add(sink->samples, now_ns() - rounds_stamp_at(&sink->memory, first)->start);
}

/* `expected` has room for a page. */
static int check_round(const struct rounds_sink *sink, uint64_t round, uint64_t *expected,
                       struct multifd_error *err)
{
    const struct bench_memory *memory = &sink->memory;
    uint64_t first = rounds_offset(memory, sink->bytes, round);

    for (uint64_t offset = first; offset < first + sink->bytes; offset += memory->page_size) {
        if (rounds_stamp_at(memory, offset)->round != round + 1 ||
            !bench_memory_is_filled(memory, offset, ROUNDS_SEED, expected)) {
            return tool_fail(err, MULTIFD_ERROR_VERIFY,
                             "the page at offset %llu is not what was sent in round %llu",
                             (unsigned long long)offset, (unsigned long long)round);
        }
    }
    return 0;
}

/* Of `rounds` those whose pages no later one has replaced. */
static int check_rounds(const struct rounds_sink *sink, uint64_t rounds, struct multifd_error *err)
{
    uint64_t places = sink->bytes == 0 ? 0 : sink->memory.length / sink->bytes;
    uint64_t *expected = malloc(sink->memory.page_size);
    int status = 0;

    if (expected == NULL) {
        return tool_fail(err, MULTIFD_ERROR_SYSTEM, "no memory");
    }
    for (uint64_t i = 1; status == 0 && i <= places && i <= rounds; i++) {
        status = check_round(sink, rounds - i, expected, err);
    }
    free(expected);
    return status;
}

static int receive(struct rounds_sink *sink, struct multifd_error *err)
{
    bool timed = sink->bench->same_host && sink->bytes != 0;
    uint64_t round;
    int status;

    for (round = 0; (status = session_sink_round(&sink->session, err)) > 0; round++) {
        if (timed && round >= ROUNDS_WARM_UP) {
            take_sample(sink, round);
        }
    }
    return status != 0 ? status : check_rounds(sink, round, err);
}

int rounds_serve(const struct bench_case *bench, struct peer *peer, json_t *result,
                 struct multifd_error *err)
{
    struct rounds_sink sink = {.bench = bench, .peer = peer};
    int status = -1;

    sink.samples = samples_new(rounds_room(bench), err);
    if (sink.samples != NULL &&
        bench_memory_map(&sink.memory, bench->memory, bench->page_size, err) == 0 &&
        accept_source(&sink, err) == 0 && receive(&sink, err) == 0) {
        status = 0;
        if (samples_count(sink.samples) != 0) {
            (void)json_object_set_new(result, "applied", samples_json(sink.samples));
        }
    }
    session_sink_close(&sink.session);
    bench_memory_unmap(&sink.memory);
    samples_delete(&sink.samples);
    return status;
}
