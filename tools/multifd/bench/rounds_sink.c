/* SPDX-License-Identifier: MIT */
#include "rounds.h"

#include "clocks.h"
#include "rounds_common.h"
#include "samples.h"
#include "session_sink.h"

#include <string.h>

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
    uint64_t start;

    memcpy(&start, sink->memory.bytes + rounds_offset(&sink->memory, sink->bytes, round),
           sizeof(start));
    samples_add(sink->samples, now_ns() - start);
}

static int receive(struct rounds_sink *sink, struct multifd_error *err)
{
    bool timed = sink->bench->same_host && sink->bytes != 0;
    int status;

    for (uint64_t round = 0; (status = session_sink_round(&sink->session, err)) > 0; round++) {
        if (timed && round >= ROUNDS_WARM_UP) {
            take_sample(sink, round);
        }
    }
    return status;
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
