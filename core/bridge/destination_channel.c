/* SPDX-License-Identifier: MIT */
/*
 * One of QEMU's channels at the destination: packets on their way to QEMU, whose pages may be in
 * the guest's RAM already.
 */
#include "core/base/bytes.h"
#include "core/base/checked.h"
#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/block_page.h"
#include "core/bridge/bridge.h"
#include "core/bridge/round.h"
#include "core/staging.h"

#include <stdlib.h>
#include <sys/socket.h>

/*
 * How often to look whether QEMU has read, which nothing tells: at first this thread waits by
 * itself, since the next round waits too, then it sleeps.
 */
#define LOOK_OFTEN_NS (UINT64_C(2) * NS_PER_MS)
#define LOOK_AGAIN_NS 50000

/* What it may take to leave a QEMU that is to end. */
#define ABANDON_LIMIT_NS (UINT64_C(1000) * NS_PER_MS)

enum state {
    STATE_PACKET,  /* waiting for one */
    STATE_PAYLOAD, /* over a byte stream: it is coming in */
    STATE_WRITING, /* to QEMU */
    STATE_PASSING, /* waiting until QEMU has passed the round's end */
    STATE_OVER,    /* QEMU has closed the connection as it should: it has the guest */
};

struct destination_channel {
    struct bridge_link link;
    enum state state;
    struct transport_message message; /* in hand while writing */
    bool in_hand;
    struct bridge_header header; /* of the packet in hand, or whose payload goes on */
    uint32_t payload_left;       /* of that packet, in messages to come */
    bool sync;                   /* the packet in hand ends a round */

    const uint8_t *out[3]; /* header, payload, the empty packet behind a SYNC */
    uint32_t out_left[3];
    struct iovec iov; /* over a byte stream: where the payload comes to */
    struct iovec *iov_at;
    uint32_t iovs_num;

    uint64_t messages; /* that have come */
    struct staging staging;
    uint64_t passing_since_ns;
    uint32_t empty_bytes;
    uint8_t empty[BRIDGE_HEADER_MAX];
};

static struct destination_channel *of(void *link)
{
    return link;
}

/* ---- What the other bridge sends, all of it checked before anything is done --------------- */

static int refuse(const char *what, uint64_t value, struct multifd_error *err)
{
    return error_set(err, MULTIFD_ERROR_PROTOCOL,
                     "the source's bridge sent a wrong packet: %s %llu", what,
                     (unsigned long long)value);
}

/* The pages that are to be cleared lie in the block. */
static int check_zeros(const struct destination_channel *channel,
                       const struct bridge_packet *packet, struct multifd_error *err)
{
    const struct multifd_bridge *bridge = channel->link.bridge;
    const struct ram_table *table = &bridge->session.blocks;

    if (packet->block == BRIDGE_NO_BLOCK) {
        return 0;
    }
    if (!bridge->holds || packet->block >= table->num) {
        return refuse("block", packet->block, err);
    }
    for (uint32_t i = 0; i < packet->zeros; i++) {
        uint64_t offset = get_be64(packet->zero_offsets + 8 * (size_t)i);

        if (offset % bridge->page_size != 0 ||
            !range_within(offset, bridge->page_size, table->blocks[packet->block]->length)) {
            return refuse("zero page at", offset, err);
        }
    }
    return 0;
}

/* Its header is one that QEMU will take for what this side takes it for. */
static int check_packet(struct destination_channel *channel, const struct bridge_packet *packet,
                        struct multifd_error *err)
{
    const struct multifd_bridge *bridge = channel->link.bridge;
    struct bridge_header *header = &channel->header;

    if ((packet->header_bytes == 0) != (channel->payload_left != 0)) {
        return refuse("bytes that are due", channel->payload_left, err);
    }
    if (packet->header_bytes != 0) {
        if (packet->header_bytes < BRIDGE_HEADER_START ||
            packet->header_bytes != bridge_header_length(packet->header, bridge->page_count, err) ||
            bridge_header_decode(packet->header, bridge->page_size, header, err) != 0) {
            return refuse("header of", packet->header_bytes, err);
        }
        channel->payload_left = header->payload;
        if (packet->block != BRIDGE_NO_BLOCK &&
            (header->device_state ||
             header->packet.normal_pages + header->packet.zero_pages != 0)) {
            return refuse("pages twice", packet->pages, err);
        }
    }
    if (packet->payload > channel->payload_left || packet->payload > channel->staging.slot_bytes ||
        (packet->payload == 0 && channel->payload_left != 0)) {
        return refuse("payload of", packet->payload, err);
    }
    return check_zeros(channel, packet, err);
}

static void clear_pages(struct destination_channel *channel, const struct bridge_packet *packet)
{
    const struct multifd_bridge *bridge = channel->link.bridge;

    for (uint32_t i = 0; i < packet->zeros; i++) {
        block_page_clear(bridge->session.blocks.blocks[packet->block],
                         get_be64(packet->zero_offsets + 8 * (size_t)i), bridge->page_size);
    }
}

static void count(struct destination_channel *channel, const struct bridge_packet *packet)
{
    struct bridge_counters *counters = &channel->link.counters;

    counter_add(&counters->packets, packet->header_bytes != 0 ? 1 : 0);
    counter_add(&counters->carried_bytes, (uint64_t)packet->header_bytes + packet->payload);
    counter_add(&counters->zero_pages, packet->zeros);
    counter_add((packet->flags & BRIDGE_PACKET_BUFFERED) != 0 ? &counters->buffered_pages
                                                              : &counters->direct_pages,
                packet->pages);
}

/* Takes the packet of the message in hand. */
static int take_packet(struct destination_channel *channel, struct multifd_error *err)
{
    uint8_t *slot = staging_slot(&channel->staging, channel->messages);
    struct bridge_frame frame;
    const struct bridge_packet *packet = &frame.packet;

    if (bridge_frame_decode(channel->message.bytes, channel->message.length, &frame, err) != 0) {
        return -1;
    }
    if (frame.kind != BRIDGE_FRAME_PACKET) {
        return refuse("frame of kind", frame.kind, err);
    }
    if (check_packet(channel, packet, err) != 0) {
        return -1;
    }
    clear_pages(channel, packet);
    count(channel, packet);
    channel->messages++;
    channel->payload_left -= packet->payload;
    channel->sync = channel->header.sync && channel->payload_left == 0;
    channel->out[0] = packet->header;
    channel->out_left[0] = packet->header_bytes;
    channel->out[1] = slot;
    channel->out_left[1] = packet->payload;
    channel->out[2] = channel->empty;
    channel->out_left[2] = channel->sync && channel->link.bridge->holds ? channel->empty_bytes : 0;
    channel->iov = (struct iovec){.iov_base = slot, .iov_len = packet->payload};
    channel->iov_at = &channel->iov;
    channel->iovs_num = packet->payload != 0 && channel->link.channel->ops->read != NULL ? 1 : 0;
    channel->state = STATE_PAYLOAD;
    return 1;
}

/* ---- Steps: each returns whether there is more to do at once, or -1 ----------------------- */

static int receive(struct destination_channel *channel, struct multifd_error *err)
{
    channel->in_hand =
        channel->link.channel->ops->receive(channel->link.channel, &channel->message);
    return channel->in_hand ? take_packet(channel, err) : 0;
}

static int read_payload(struct destination_channel *channel, struct multifd_error *err)
{
    struct transport_channel *transport = channel->link.channel;

    if (channel->iovs_num != 0 &&
        transport->ops->read(transport, &channel->iov_at, &channel->iovs_num, err) != 0) {
        return -1;
    }
    if (channel->iovs_num != 0) {
        return 0;
    }
    channel->state = STATE_WRITING;
    return 1;
}

static int write_out(struct destination_channel *channel, struct multifd_error *err)
{
    bool busy = false;

    for (int i = 0; i < 3; i++) {
        if (bridge_link_write(&channel->link, &channel->out[i], &channel->out_left[i], &busy,
                              err) != 0) {
            return -1;
        }
        if (channel->out_left[i] != 0) {
            return 0;
        }
    }
    return 1;
}

static int write_packet(struct destination_channel *channel, struct multifd_error *err)
{
    int status = write_out(channel, err);

    if (status <= 0) {
        return status;
    }
    channel->in_hand = false;
    if (channel->link.channel->ops->release(channel->link.channel, err) != 0) {
        return -1;
    }
    channel->state = STATE_PACKET;
    if (channel->sync) {
        counter_add(&channel->link.counters.rounds, 1);
        if (channel->link.bridge->holds) {
            channel->state = STATE_PASSING;
            channel->passing_since_ns = clock_now_ns();
        }
    }
    return 1;
}

/* A QEMU that is gone has no unread bytes either: that it is there is looked at afterwards. */
static int has_passed(const struct destination_channel *channel, struct multifd_error *err)
{
    struct pollfd fd = {.fd = channel->link.fd, .events = POLLIN};
    int unread = bridge_link_unread(&channel->link, err);

    if (unread < 0) {
        return -1;
    }
    if (poll(&fd, 1, 0) != 0) { /* it never says anything here */
        return error_set(err, MULTIFD_ERROR_DISCONNECTED, "QEMU closed the connection");
    }
    return unread == 0;
}

static int look_for_pass(struct destination_channel *channel, struct multifd_error *err)
{
    static const struct timespec moment = {.tv_nsec = LOOK_AGAIN_NS};
    int passed = has_passed(channel, err);

    if (passed < 0) {
        return -1;
    }
    if (passed == 0) {
        if (clock_now_ns() - channel->passing_since_ns >= LOOK_OFTEN_NS) {
            return 0;
        }
        nanosleep(&moment, NULL);
        return session_has_failed(&channel->link.bridge->session) ? 0 : 1;
    }
    channel->state = STATE_PACKET;
    return bridge_round_pass(channel->link.bridge, err) != 0 ? -1 : 1;
}

static int advance(struct destination_channel *channel, struct multifd_error *err)
{
    switch (channel->state) {
    case STATE_PACKET:
        return receive(channel, err);
    case STATE_PAYLOAD:
        return read_payload(channel, err);
    case STATE_WRITING:
        return write_packet(channel, err);
    case STATE_PASSING:
        return look_for_pass(channel, err);
    case STATE_OVER:
        return 0;
    }
    return 0;
}

/*
 * QEMU has closed the connection. It does so with all channels when it has read the end of its main
 * stream, and does not care for what comes behind the last SYNC then.
 */
static int take_end(struct destination_channel *channel, struct multifd_error *err)
{
    if (atomic_load(&channel->link.bridge->committed)) {
        channel->state = STATE_OVER;
        return 0;
    }
    /* A cause of its own, not one to wait for a better one. */
    return error_set(err, MULTIFD_ERROR_SYSTEM, "QEMU's destination closed the connection");
}

static int step(void *link, bool *busy, struct multifd_error *err)
{
    struct destination_channel *channel = of(link);
    int status;

    *busy = false;
    while ((status = advance(channel, err)) > 0) {
        *busy = true;
    }
    if (status < 0 && err->code == MULTIFD_ERROR_DISCONNECTED &&
        (channel->state == STATE_WRITING || channel->state == STATE_PASSING)) {
        return take_end(channel, err);
    }
    return status;
}

static uint64_t not_before(void *link)
{
    return of(link)->state == STATE_PASSING ? clock_now_ns() + NS_PER_MS : 0;
}

static void also_poll(void *link, struct pollfd *fd)
{
    struct destination_channel *channel = of(link);

    *fd = (struct pollfd){.fd = channel->state == STATE_WRITING ? channel->link.fd : -1,
                          .events = POLLOUT};
}

/* ---- From beginning to end --------------------------------------------------------------- */

/* Writes what is left; false when QEMU has not read it in time, or is gone. */
static bool write_in_time(struct destination_channel *channel, uint64_t deadline_ns)
{
    struct multifd_error err;
    int status;

    while ((status = write_out(channel, &err)) == 0) {
        struct pollfd fd = {.fd = channel->link.fd, .events = POLLOUT};

        if (poll(&fd, 1, clock_ms_until(deadline_ns)) <= 0) {
            return false;
        }
    }
    return status > 0;
}

/* QEMU has nothing yet of what has not come whole, but perhaps of what it is to follow. */
static void forget_packet(struct destination_channel *channel)
{
    channel->payload_left =
        channel->out_left[0] != 0 ? 0 : channel->payload_left + channel->out_left[1];
    channel->out_left[0] = 0;
    channel->out_left[1] = 0;
    channel->out_left[2] = 0;
}

/*
 * QEMU's main thread may be waiting for this channel's SYNC, and if the connections just end it
 * waits for ever (nobody tells it). So each channel is left with SYNCs, behind which QEMU finds the
 * end of everything and gives up. A packet of which QEMU has a part is completed before; where its
 * payload has not come whole, only to keep what follows from being taken for it.
 */
static void abandon(struct bridge_link *link)
{
    struct destination_channel *channel = of(link);
    uint64_t deadline = clock_now_ns() + ABANDON_LIMIT_NS;
    uint8_t sync[BRIDGE_HEADER_MAX];
    uint32_t bytes = bridge_header_empty(MULTIFD_FLAG_SYNC, link->bridge->page_count, sync);

    if (channel->state == STATE_PAYLOAD) {
        forget_packet(channel);
    }
    if (channel->state == STATE_WRITING && !write_in_time(channel, deadline)) {
        return;
    }
    while (channel->payload_left != 0) {
        uint32_t slot = channel->staging.slot_bytes;

        channel->out[1] = channel->staging.memory;
        channel->out_left[1] = channel->payload_left < slot ? channel->payload_left : slot;
        channel->payload_left -= channel->out_left[1];
        if (!write_in_time(channel, deadline)) {
            return;
        }
    }
    for (int i = 0; i < BRIDGE_LAST_SYNCS; i++) {
        channel->out[0] = sync;
        channel->out_left[0] = bytes;
        if (!write_in_time(channel, deadline)) {
            return;
        }
    }
}

static void release(struct bridge_link *link)
{
    struct destination_channel *channel = of(link);
    struct multifd_error err;

    if (staging_fini(&channel->staging, link->bridge->session.endpoint, &err) != 0) {
        log_line(&link->bridge->session.options.log, "%s", err.message);
    }
}

static const struct bridge_link_ops ops = {
    .step = step,
    .not_before = not_before,
    .also_poll = also_poll,
    .abandon = abandon,
    .release = release,
};

/* Tells the source's bridge where payloads go; a byte stream needs no place. */
static int tell_staging(const struct destination_channel *channel, uint8_t id,
                        struct multifd_error *err)
{
    struct multifd_bridge *bridge = channel->link.bridge;
    const struct message message = {.type = MESSAGE_STAGING,
                                    .staging = {.channel = id,
                                                .slots = channel->staging.slots,
                                                .address = (uintptr_t)channel->staging.memory,
                                                .key = channel->staging.registered.remote_key}};

    return bridge->session.endpoint->stream ? 0 : control_send(bridge->control, &message, err);
}

struct bridge_link *bridge_destination_channel_new(struct multifd_bridge *bridge, uint8_t id,
                                                   int fd, struct transport_channel *transport,
                                                   struct multifd_error *err)
{
    struct destination_channel *channel =
        aligned_alloc(alignof(struct destination_channel), sizeof(*channel));

    if (channel == NULL) {
        error_set_nomem(err);
        return NULL;
    }
    *channel = (struct destination_channel){.state = STATE_PACKET};
    channel->link.bridge = bridge;
    channel->empty_bytes = bridge_header_empty(0, bridge->page_count, channel->empty);
    if (staging_init(&channel->staging, bridge->session.endpoint, bridge_staging_slots(bridge),
                     bridge_staging_bytes(bridge), TRANSPORT_REMOTE_WRITE, err) != 0 ||
        bridge_link_init(&channel->link, bridge, &ops, id, fd, transport, err) != 0) {
        goto free_channel;
    }
    /* Counted before it runs: see bridge_round_pass. */
    atomic_fetch_add(&bridge->channels_num, 1);
    if (bridge_link_start(&channel->link, err) != 0) {
        waker_fini(&channel->link.waker);
        goto free_channel;
    }
    atomic_store(&bridge->channels[id], &channel->link);
    if (tell_staging(channel, id, err) != 0) {
        return NULL; /* it is in the bridge's table, and goes with it */
    }
    return &channel->link;

free_channel:
    release(&channel->link);
    free(channel);
    return NULL;
}
