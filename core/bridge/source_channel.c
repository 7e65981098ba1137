/* SPDX-License-Identifier: MIT */
/*
 * One of QEMU's channels at the source. A packet's pages are written from the guest's RAM where
 * both sides know the block, and from a buffer where only the destination does; what is left goes
 * to QEMU's destination as it came.
 *
 * That the NIC reads a page later than QEMU did is right: QEMU takes a page off its list of dirty
 * ones before it reads it, so a newer content is one that QEMU will send again, and once the guest
 * is stopped nothing changes any more. It must not read it earlier, and does not: the header comes
 * first.
 */
#include "core/base/checked.h"
#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/bridge/bridge.h"
#include "core/bridge/sink.h"
#include "core/staging.h"

#include <stdlib.h>
#include <unistd.h>

enum way {
    WAY_DIRECT,   /* from RAM to RAM; what QEMU sends of the pages is dropped */
    WAY_BUFFERED, /* from the staging to RAM */
    WAY_CARRIED,  /* to QEMU */
};

enum state {
    STATE_HEADER,  /* reading it */
    STATE_ROOM,    /* waiting for room on the channel, and for the RAM to be registered */
    STATE_PAYLOAD, /* reading it to the staging */
    STATE_DROP,    /* giving it to the sink */
};

struct source_channel {
    struct bridge_link link;
    enum state state;
    enum way way;
    uint8_t bytes[BRIDGE_HEADER_MAX];
    uint32_t have; /* of the header, or of the payload that is being read */
    uint32_t due;  /* bytes of the header */
    uint32_t left; /* of the payload, not yet sent or dropped */
    struct bridge_header header;
    struct multifd_ram_block *block; /* whose pages a bridge takes care of, or NULL */
    uint64_t messages;               /* sent */
    uint64_t synced;                 /* rounds that ended here */
    uint64_t held_since_ns;          /* 0: not held */

    struct staging staging;
    /* Told by the other bridge; published by remote_slots. */
    uint64_t remote_address;
    uint32_t remote_key;
    atomic_uint remote_slots;

    struct transport_write *writes; /* room for as many as a packet has pages */
    struct bridge_sink sink;        /* of the payloads that are dropped */
};

static struct source_channel *of(void *link)
{
    return link;
}

/* ---- What a packet becomes --------------------------------------------------------------- */

static int check_offsets(const struct source_channel *channel, struct multifd_error *err)
{
    const struct multifd_packet *packet = &channel->header.packet;
    uint32_t page_size = channel->link.bridge->page_size;

    for (uint32_t i = 0; i < packet->normal_pages + packet->zero_pages; i++) {
        uint64_t offset = channel->header.offsets[i];

        if (offset % page_size != 0 || !range_within(offset, page_size, channel->block->length)) {
            return error_set(err, MULTIFD_ERROR_PROTOCOL,
                             "packet refused: a page at %llu of RAM block \"%s\" of %llu bytes",
                             (unsigned long long)offset, channel->block->name,
                             (unsigned long long)channel->block->length);
        }
    }
    return 0;
}

static int choose_way(struct source_channel *channel, struct multifd_error *err)
{
    const struct bridge_header *header = &channel->header;
    bool pages =
        !header->device_state && header->packet.normal_pages + header->packet.zero_pages != 0;

    channel->way = WAY_CARRIED;
    channel->block = NULL;
    channel->left = header->payload;
    if (!pages || header->compressed || !channel->link.bridge->holds) {
        return 0;
    }
    channel->block = ram_table_find(&channel->link.bridge->session.blocks, header->packet.ramblock);
    if (channel->block == NULL) {
        return 0;
    }
    channel->way = channel->block->elsewhere ? WAY_BUFFERED : WAY_DIRECT;
    if (check_offsets(channel, err) != 0) {
        return -1;
    }
    registrar_want(channel->link.bridge->registrar, channel->block, header->offsets,
                   header->packet.normal_pages);
    return 0;
}

/* The writes of the packet's pages, adjacent ones together. */
static uint32_t write_pages(struct source_channel *channel, const uint8_t *buffer)
{
    const struct multifd_bridge *bridge = channel->link.bridge;
    const uint64_t *offsets = channel->header.offsets;
    uint32_t pages = channel->header.packet.normal_pages;
    uint32_t writes = 0;
    uint32_t next;

    for (uint32_t i = 0; i < pages; i = next) {
        uint32_t first = writes;

        next = i + 1;
        while (next < pages && offsets[next] == offsets[next - 1] + bridge->page_size) {
            next++;
        }
        writes +=
            ram_block_writes(channel->block, offsets[i], (uint64_t)(next - i) * bridge->page_size,
                             bridge->max_message, channel->writes + writes);
        for (; buffer != NULL && first < writes; first++) {
            channel->writes[first].local_address = (uintptr_t)buffer;
            channel->writes[first].local_key = channel->staging.registered.local_key;
            buffer += channel->writes[first].length;
        }
    }
    return writes;
}

/* The write of a payload that goes on to QEMU, to the other bridge's slot of this message. */
static uint32_t write_payload(struct source_channel *channel, const uint8_t *buffer,
                              uint32_t length)
{
    uint32_t slots = atomic_load(&channel->remote_slots);
    uint64_t slot = slots == 0 ? 0 : channel->messages % slots; /* a stream needs none */

    if (length == 0) {
        return 0;
    }
    channel->writes[0] = (struct transport_write){
        .local_address = (uintptr_t)buffer,
        .remote_address = channel->remote_address + slot * channel->staging.slot_bytes,
        .length = length,
        .local_key = channel->staging.registered.local_key,
        .remote_key = channel->remote_key,
    };
    return 1;
}

/* ---- Sending ----------------------------------------------------------------------------- */

static void count(struct source_channel *channel, const struct bridge_packet *packet)
{
    struct bridge_counters *counters = &channel->link.counters;

    counter_add(&counters->packets, packet->header_bytes != 0 ? 1 : 0);
    counter_add(&counters->carried_bytes, (uint64_t)packet->header_bytes + packet->payload);
    counter_add(&counters->zero_pages, packet->zeros);
    if (channel->way == WAY_DIRECT) {
        counter_add(&counters->direct_pages, packet->pages);
        counter_add(&counters->dropped_bytes, channel->header.payload);
    } else {
        counter_add(&counters->buffered_pages, packet->pages);
    }
}

/* Sends a message of the packet: all of it, or of a device's state as much as a slot holds. */
static int send_message(struct source_channel *channel, uint32_t payload, struct multifd_error *err)
{
    struct transport_channel *transport = channel->link.channel;
    const struct bridge_header *header = &channel->header;
    const uint8_t *buffer = staging_slot(&channel->staging, channel->messages);
    struct bridge_packet packet = {.block = BRIDGE_NO_BLOCK, .payload = payload};
    uint8_t *out = transport->ops->send_buffer(transport, 0);
    uint32_t writes;

    packet.header = channel->bytes;
    packet.header_bytes = channel->due;
    channel->due = 0; /* a second message goes on with the payload */
    if (channel->block != NULL) {
        packet.block = channel->block->index;
        packet.pages = header->packet.normal_pages;
        packet.payload = 0;
        packet.zeros = header->packet.zero_pages;
        packet.flags = channel->way == WAY_BUFFERED ? BRIDGE_PACKET_BUFFERED : 0;
        bridge_header_strip(channel->bytes);
        writes = write_pages(channel, channel->way == WAY_BUFFERED ? buffer : NULL);
    } else {
        writes = write_payload(channel, buffer, payload);
    }
    count(channel, &packet);
    channel->messages++;
    return transport->ops->send(
        transport, channel->writes, writes,
        bridge_frame_packet(&packet, header->offsets + header->packet.normal_pages, out), false,
        err);
}

/* The packet is over; behind a SYNC the channel is held. */
static void end_packet(struct source_channel *channel)
{
    channel->state = STATE_HEADER;
    channel->have = 0;
    if (channel->header.sync) {
        channel->synced++;
    }
}

/* ---- Steps: each returns whether there is more to do at once, or -1 ----------------------- */

static int read_header(struct source_channel *channel, struct multifd_error *err)
{
    const struct multifd_bridge *bridge = channel->link.bridge;
    uint32_t due = channel->have < BRIDGE_HEADER_START ? BRIDGE_HEADER_START : channel->due;
    int got =
        bridge_link_read(&channel->link, channel->bytes + channel->have, due - channel->have, err);

    if (got <= 0) {
        return got;
    }
    channel->have += (uint32_t)got;
    if (channel->have == BRIDGE_HEADER_START) {
        channel->due = bridge_header_length(channel->bytes, bridge->page_count, err);
        return channel->due == 0 ? -1 : 1;
    }
    if (channel->have < BRIDGE_HEADER_START || channel->have < channel->due) {
        return 1;
    }
    if (bridge_header_decode(channel->bytes, bridge->page_size, &channel->header, err) != 0 ||
        choose_way(channel, err) != 0) {
        return -1;
    }
    channel->state = STATE_ROOM;
    return 1;
}

/*
 * Room for a message, asked for before its payload is read: the slot of the staging that belongs to
 * it is free then, since the message that used it before has completed.
 */
static bool has_room(struct source_channel *channel)
{
    struct transport_channel *transport = channel->link.channel;
    struct registrar *registrar = channel->link.bridge->registrar;
    uint32_t writes = channel->block == NULL ? 1 : channel->header.packet.normal_pages;

    if (channel->block != NULL &&
        !registrar_ready(registrar, channel->block, channel->header.offsets,
                         channel->header.packet.normal_pages, &channel->link.waker)) {
        return false;
    }
    if (channel->block == NULL && channel->left != 0 && transport->ops->read == NULL &&
        atomic_load(&channel->remote_slots) == 0) {
        return false; /* the other bridge is about to tell */
    }
    return transport->ops->send_buffer(transport, writes) != NULL;
}

static int take_room(struct source_channel *channel, struct multifd_error *err)
{
    if (!has_room(channel)) {
        return 0;
    }
    channel->have = 0;
    if (channel->way != WAY_DIRECT && channel->left != 0) {
        channel->state = STATE_PAYLOAD;
        return 1;
    }
    if (send_message(channel, 0, err) != 0) {
        return -1;
    }
    if (channel->left == 0) {
        end_packet(channel);
    } else {
        channel->state = STATE_DROP;
    }
    return 1;
}

static int read_payload(struct source_channel *channel, struct multifd_error *err)
{
    uint32_t slot = channel->staging.slot_bytes;
    uint32_t part = channel->left < slot ? channel->left : slot;
    int got = bridge_link_read(&channel->link,
                               staging_slot(&channel->staging, channel->messages) + channel->have,
                               part - channel->have, err);

    if (got <= 0) {
        return got;
    }
    channel->have += (uint32_t)got;
    if (channel->have < part) {
        return 1;
    }
    if (send_message(channel, part, err) != 0) {
        return -1;
    }
    channel->left -= part;
    if (channel->left == 0) {
        end_packet(channel);
    } else {
        channel->state = STATE_ROOM;
    }
    return 1;
}

static int drop_payload(struct source_channel *channel, struct multifd_error *err)
{
    int got = bridge_sink_take(&channel->sink, channel->link.fd, channel->left, err);

    if (got > 0) {
        channel->left -= (uint32_t)got;
        if (channel->left == 0) {
            end_packet(channel);
        }
    }
    return got;
}

/* Whether the channel waits for the end of the last round; see round.h. */
static bool is_held(struct source_channel *channel)
{
    const struct multifd_bridge *bridge = channel->link.bridge;

    if (bridge->holds && channel->synced > atomic_load(&bridge->released)) {
        channel->held_since_ns =
            channel->held_since_ns == 0 ? clock_now_ns() : channel->held_since_ns;
        return true;
    }
    if (channel->held_since_ns != 0) {
        counter_add(&channel->link.counters.held_ns, clock_now_ns() - channel->held_since_ns);
        channel->held_since_ns = 0;
    }
    return false;
}

static int advance(struct source_channel *channel, struct multifd_error *err)
{
    switch (channel->state) {
    case STATE_HEADER:
        return is_held(channel) ? 0 : read_header(channel, err);
    case STATE_ROOM:
        return take_room(channel, err);
    case STATE_PAYLOAD:
        return read_payload(channel, err);
    case STATE_DROP:
        return drop_payload(channel, err);
    }
    return 0;
}

/*
 * QEMU closes its channels when the migration is over, or has failed: which of the two its main
 * connection shows. Within a packet it cannot be over.
 */
static int take_end(struct source_channel *channel, struct multifd_error *err)
{
    if (channel->state != STATE_HEADER || channel->have != 0) {
        return error_set(err, MULTIFD_ERROR_CANCELLED,
                         "QEMU's source closed the connection within a packet");
    }
    close(channel->link.fd);
    channel->link.fd = -1;
    return 0;
}

static int step(void *link, bool *busy, struct multifd_error *err)
{
    struct source_channel *channel = of(link);
    int status = 1;

    *busy = false;
    while (channel->link.fd >= 0 && (status = advance(channel, err)) > 0) {
        *busy = true;
    }
    if (status < 0 && err->code == MULTIFD_ERROR_DISCONNECTED && channel->state != STATE_ROOM) {
        return take_end(channel, err);
    }
    return status < 0 ? -1 : 0;
}

static void also_poll(void *link, struct pollfd *fd)
{
    struct source_channel *channel = of(link);
    bool reads =
        channel->state != STATE_ROOM && (channel->state != STATE_HEADER || !is_held(channel));

    *fd = (struct pollfd){.fd = reads ? channel->link.fd : -1, .events = POLLIN};
}

/* ---- From beginning to end --------------------------------------------------------------- */

static void release(struct bridge_link *link)
{
    struct source_channel *channel = of(link);
    struct multifd_error err;

    if (staging_fini(&channel->staging, link->bridge->session.endpoint, &err) != 0) {
        log_line(&link->bridge->session.options.log, "%s", err.message);
    }
    bridge_sink_fini(&channel->sink);
    free(channel->writes);
    channel->writes = NULL;
}

static const struct bridge_link_ops ops = {
    .step = step,
    .also_poll = also_poll,
    .release = release,
};

static int prepare(struct source_channel *channel, struct multifd_bridge *bridge,
                   struct multifd_error *err)
{
    channel->writes = calloc(bridge->page_count, sizeof(*channel->writes));
    if (channel->writes == NULL) {
        return error_set_nomem(err);
    }
    if (bridge_sink_init(&channel->sink, err) != 0) {
        return -1;
    }
    return staging_init(&channel->staging, bridge->session.endpoint, bridge_staging_slots(bridge),
                        bridge_staging_bytes(bridge), 0, err);
}

struct bridge_link *bridge_source_channel_new(struct multifd_bridge *bridge, uint8_t id, int fd,
                                              struct transport_channel *transport,
                                              struct multifd_error *err)
{
    struct source_channel *channel =
        aligned_alloc(alignof(struct source_channel), sizeof(*channel));

    if (channel == NULL) {
        error_set_nomem(err);
        return NULL;
    }
    *channel = (struct source_channel){.state = STATE_HEADER, .sink = BRIDGE_NO_SINK};
    channel->link.bridge = bridge;
    if (prepare(channel, bridge, err) != 0 ||
        bridge_link_init(&channel->link, bridge, &ops, id, fd, transport, err) != 0) {
        goto free_channel;
    }
    if (bridge_link_start(&channel->link, err) != 0) {
        waker_fini(&channel->link.waker);
        goto free_channel;
    }
    atomic_store(&bridge->channels[id], &channel->link);
    atomic_fetch_add(&bridge->channels_num, 1);
    return &channel->link;

free_channel:
    release(&channel->link);
    free(channel);
    return NULL;
}

int bridge_source_channel_set_staging(struct multifd_bridge *bridge,
                                      const struct message_staging *staging,
                                      struct multifd_error *err)
{
    struct source_channel *channel = of(atomic_load(&bridge->channels[staging->channel]));

    if (channel == NULL || atomic_load(&channel->remote_slots) != 0) {
        return error_set(err, MULTIFD_ERROR_PROTOCOL,
                         "the destination's bridge tells of a channel %u that is not expected",
                         staging->channel);
    }
    channel->remote_address = staging->address;
    channel->remote_key = staging->key;
    atomic_store(&channel->remote_slots, staging->slots);
    waker_wake(&channel->link.waker);
    return 0;
}
