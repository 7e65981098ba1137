/* SPDX-License-Identifier: MIT */
#include "core/destination_channel.h"

#include "core/base/error.h"
#include "core/base/probes.h"
#include "core/channel_loop.h"
#include "core/packet.h"

#include <stdlib.h>
#include <string.h>

struct destination_channel {
    struct channel_counters counters;
    const struct destination_channel_config *config;
    struct waker waker;
    struct worker worker;
    atomic_bool stop;
    _Atomic uint64_t synced;   /* the last round of which its SYNC has come here */
    _Atomic uint64_t released; /* the last round that may be left behind */
    atomic_bool ended;         /* closed by a source that is QEMU's */

    /* The thread's own; `channel` is freed by destination_channel_disconnect. */
    struct transport_channel *channel;
    struct packet_reader reader;
    uint32_t length; /* bytes of the header in hand, 0: there is none */
};

void destination_channel_profile(const struct destination_channel_config *config,
                                 struct transport_profile *profile)
{
    *profile = (struct transport_profile){
        .send_slots = 1, /* nothing is sent but credits, which need no slot */
        .send_size = packet_bytes(0),
        .receive_slots =
            config->reader.slots == 0 ? config->session->options.window : config->reader.slots,
        .receive_size = packet_bytes(config->reader.page_count),
        .framing = TRANSPORT_FIXED,
    };
}

/* Between its SYNC and its release a channel applies nothing. */
static bool at_sync(const struct destination_channel *channel)
{
    return atomic_load(&channel->synced) > atomic_load(&channel->released);
}

/*
 * QEMU goes on behind its SYNC, and what it sends has to wait. Our source sends nothing before it
 * has been told that the round was applied, which is after its release.
 */
static bool may_be_ahead(const struct destination_channel *channel)
{
    return channel->config->reader.form == PACKET_QEMU;
}

/* Takes the next header; false when there is none. */
static int begin_packet(struct destination_channel *channel, bool *begun, struct multifd_error *err)
{
    struct transport_message message;

    *begun = channel->channel->ops->receive(channel->channel, &message);
    if (!*begun) {
        return 0;
    }
    if (at_sync(channel)) {
        return error_set(err, MULTIFD_ERROR_PROTOCOL,
                         "packet refused: it came behind SYNC, before the round was confirmed");
    }
    channel->length = message.length;
    /* Whoever releases the first round has filled the table of blocks before. */
    channel->reader.blocks_known =
        channel->reader.blocks_known || atomic_load(&channel->released) != 0;
    return packet_reader_begin(&channel->reader, &message, err);
}

/*
 * The SYNC is of the round behind the one released last: the source has heard that that one was
 * applied before it began this one, and it is told so after the release.
 */
static int come_to_sync(struct destination_channel *channel, struct multifd_error *err)
{
    const struct destination_channel_config *config = channel->config;
    uint32_t named = channel->reader.packet.sync_channels;
    uint32_t channels = named == 0 ? config->channels : named;
    uint64_t round = atomic_load(&channel->released) + 1;
    bool last;

    atomic_store(&channel->synced, round);
    if (channels > config->channels || !round_gate_arrive(config->gate, channels, &last)) {
        return error_set(err, MULTIFD_ERROR_PROTOCOL,
                         "packet refused: SYNC of %u channels, which are not those of this round",
                         channels);
    }
    if (last) {
        config->all_synced(config->owner, round);
    }
    return 0;
}

static int end_packet(struct destination_channel *channel, struct multifd_error *err)
{
    const struct multifd_packet *packet = &channel->reader.packet;

    if (packet_reader_end(&channel->reader, err) != 0) {
        return -1;
    }
    PROBE_PACKET_RECEIVED(channel->reader.params.id, packet->packet_num, packet->normal_pages,
                          packet->zero_pages, channel->length + (uint64_t)packet->next_packet_size);
    channel_counters_add(&channel->counters, packet->normal_pages, packet->zero_pages,
                         channel->config->reader.page_size,
                         channel->length + (uint64_t)packet->next_packet_size);
    if ((packet->flags & MULTIFD_FLAG_SYNC) != 0 && come_to_sync(channel, err) != 0) {
        return -1;
    }
    channel->length = 0;
    return channel->channel->ops->release(channel->channel, err);
}

/*
 * Takes packets while there are any. Over a byte stream a packet is in hand for as long as its
 * payload takes to come.
 */
static int step(void *owner, bool *busy, struct multifd_error *err)
{
    struct destination_channel *channel = owner;
    struct packet_reader *reader = &channel->reader;
    bool begun = channel->length != 0;

    *busy = false;
    while (!may_be_ahead(channel) || !at_sync(channel)) {
        if (!begun && (begin_packet(channel, &begun, err) != 0 || !begun)) {
            return begun ? -1 : 0;
        }
        if (reader->iovs_num != 0) {
            uint32_t before = reader->iovs_num;

            if (channel->channel->ops->read(channel->channel, &reader->iov, &reader->iovs_num,
                                            err) != 0) {
                return -1;
            }
            *busy = *busy || reader->iovs_num != before;
            if (reader->iovs_num != 0) {
                return 0;
            }
        }
        if (end_packet(channel, err) != 0) {
            return -1;
        }
        begun = false;
        *busy = true;
    }
    return 0;
}

static bool wants_completions(void *owner)
{
    (void)owner;
    return false; /* it sends nothing but credits */
}

static int run(struct destination_channel *channel, struct multifd_error *err)
{
    const struct channel_loop loop = {
        .session = channel->config->session,
        .channel = channel->channel,
        .waker = &channel->waker,
        .stop = &channel->stop,
        .step = step,
        .wants_completions = wants_completions,
        .owner = channel,
    };
    int status = packet_reader_start(&channel->reader, err);

    if (status == 0) {
        status = channel_loop_run(&loop, err);
    }
    packet_reader_stop(&channel->reader);
    return status;
}

static void channel_main(void *arg)
{
    struct destination_channel *channel = arg;
    struct multifd_error err;

    if (run(channel, &err) == 0) {
        return;
    }
    if (channel->config->reader.form == PACKET_QEMU && err.code == MULTIFD_ERROR_DISCONNECTED) {
        /* Whether that was too soon, the main channel will show. */
        atomic_store(&channel->ended, true);
        session_wake(channel->config->session, SESSION_AWAITS_CHANNELS);
    } else {
        error_set_channel(&err, channel->reader.params.id);
        session_fail(channel->config->session, &err);
    }
}

static void release_reader(struct destination_channel *channel)
{
    struct multifd_error err;

    if (packet_reader_release(&channel->reader, &err) != 0) {
        log_line(&channel->config->session->options.log, "%s", err.message);
    }
}

static int start(struct destination_channel *channel, struct multifd_error *err)
{
    struct session *session = channel->config->session;

    session_add_waker(session, &channel->waker);
    if (worker_start(&channel->worker, session->workers, channel_main, channel, err) != 0) {
        session_remove_waker(session, &channel->waker);
        return -1;
    }
    return 0;
}

struct destination_channel *destination_channel_new(const struct destination_channel_config *config,
                                                    uint8_t id, struct transport_channel *transport,
                                                    struct multifd_error *err)
{
    struct destination_channel *channel = aligned_alloc(64, sizeof(*channel));

    if (channel == NULL) {
        error_set_nomem(err);
        goto free_transport;
    }
    memset(channel, 0, sizeof(*channel));
    channel->config = config;
    channel->channel = transport;
    if (packet_reader_init(&channel->reader, &config->reader, id, err) != 0) {
        goto free_channel;
    }
    if (waker_init(&channel->waker, err) != 0) {
        goto free_reader;
    }
    if (start(channel, err) != 0) {
        goto fini_waker;
    }
    return channel;

fini_waker:
    waker_fini(&channel->waker);
free_reader:
    transport->ops->free(transport); /* before the staging that its peer may write to */
    release_reader(channel);
    packet_reader_fini(&channel->reader);
    free(channel);
    return NULL;
free_channel:
    free(channel);
free_transport:
    transport->ops->free(transport);
    return NULL;
}

void destination_channel_stop(struct destination_channel *channel)
{
    atomic_store(&channel->stop, true);
    waker_wake(&channel->waker);
    worker_join(&channel->worker);
}

void destination_channel_disconnect(struct destination_channel *channel)
{
    session_remove_waker(channel->config->session, &channel->waker);
    waker_fini(&channel->waker);
    channel->channel->ops->free(channel->channel);
    channel->channel = NULL;
    release_reader(channel);
}

void destination_channel_delete(struct destination_channel **channel)
{
    struct destination_channel *gone = *channel;

    if (gone == NULL) {
        return;
    }
    packet_reader_fini(&gone->reader);
    free(gone);
    *channel = NULL;
}

const struct staging *destination_channel_staging(const struct destination_channel *channel)
{
    return &channel->reader.staging;
}

uint64_t destination_channel_synced(const struct destination_channel *channel)
{
    return atomic_load(&channel->synced);
}

bool destination_channel_ended(const struct destination_channel *channel)
{
    return atomic_load(&channel->ended);
}

void destination_channel_release(struct destination_channel *channel, uint64_t round)
{
    atomic_store(&channel->released, round);
    if (may_be_ahead(channel)) {
        waker_wake(&channel->waker); /* something may wait here; else what comes wakes it */
    }
}

const struct channel_counters *
destination_channel_counters(const struct destination_channel *channel)
{
    return &channel->counters;
}

uint64_t destination_channel_cpu_ns(const struct destination_channel *channel)
{
    return worker_cpu_ns(&channel->worker);
}
