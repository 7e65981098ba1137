/* SPDX-License-Identifier: MIT */
#include "session_sink.h"

#include "clocks.h"
#include "peer_watch.h"

int session_sink_listen(struct session_sink *end, const struct bench_case *bench,
                        const struct bench_memory *memory, uint16_t *port,
                        struct multifd_error *err)
{
    char address[BENCH_ADDRESS_MAX];

    bench_address_to_listen(&bench->address, address);
    end->destination = multifd_destination_new(address, bench->session, err);
    if (end->destination == NULL ||
        multifd_destination_add_block(end->destination, "ram", memory->bytes, memory->length,
                                      err) != 0 ||
        multifd_load_setup(end->destination, err) != 0) {
        return -1;
    }
    *port = multifd_destination_port(end->destination);
    return 0;
}

static void cancel(void *destination)
{
    multifd_destination_cancel(destination, "the client has gone");
}

int session_sink_accept(struct session_sink *end, const struct peer *peer,
                        struct multifd_error *err)
{
    struct peer_watch *watch = peer_watch_start(peer, cancel, end->destination, err);
    int status = watch == NULL ? -1 : 0;

    while (status == 0 && !multifd_recv_all_channels_created(end->destination)) {
        status = multifd_recv_new_channel(end->destination, err);
    }
    peer_watch_stop(&watch);
    return status;
}

int session_sink_round(struct session_sink *end, struct multifd_error *err)
{
    return multifd_recv_sync_main(end->destination, err);
}

void session_sink_close(struct session_sink *end)
{
    multifd_destination_delete(&end->destination);
}

uint64_t session_sink_cpu_ns(const struct session_sink *end)
{
    struct multifd_statistics statistics;

    multifd_destination_statistics(end->destination, &statistics);
    return statistics.cpu_ns + thread_cpu_ns();
}

uint64_t session_sink_guest_bytes(const struct session_sink *end)
{
    struct multifd_channel_statistics channel;
    uint64_t bytes = 0;

    for (unsigned i = 0; multifd_destination_channel_statistics(end->destination, i, &channel) == 0;
         i++) {
        bytes += channel.guest_bytes;
    }
    return bytes;
}
