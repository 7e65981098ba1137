/* SPDX-License-Identifier: MIT */
#include "session_source.h"

#include "clocks.h"

int session_source_open(struct session_source *end, const struct bench_case *bench,
                        const struct bench_memory *memory, uint16_t port, struct multifd_error *err)
{
    char address[BENCH_ADDRESS_MAX];

    *end = (struct session_source){0};
    bench_address_to_connect(&bench->address, port, address);
    end->source = multifd_source_new(address, bench->session, err);
    if (end->source == NULL) {
        return -1;
    }
    end->block = multifd_source_add_block(end->source, "ram", memory->bytes, memory->length, err);
    return end->block == NULL ? -1 : multifd_save_setup(end->source, err);
}

int session_source_finish(struct session_source *end, struct multifd_error *err)
{
    return multifd_source_finish(end->source, err);
}

void session_source_close(struct session_source *end)
{
    multifd_source_delete(&end->source);
    end->block = NULL;
}

uint64_t session_source_cpu_ns(const struct session_source *end)
{
    struct multifd_statistics statistics;

    multifd_source_statistics(end->source, &statistics);
    return statistics.cpu_ns + thread_cpu_ns();
}

uint64_t session_source_wire_bytes(const struct session_source *end)
{
    struct multifd_statistics statistics;

    multifd_source_statistics(end->source, &statistics);
    return statistics.wire_bytes;
}
