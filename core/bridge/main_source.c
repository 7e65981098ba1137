/* SPDX-License-Identifier: MIT */
/* The main connection at the source: QEMU's stream to the other bridge, its answers back. */
#include "core/base/error.h"
#include "core/bridge/main_link.h"

#include <string.h>

static struct bridge_main *of(void *link)
{
    return link;
}

/* A block that was said to be here must be one of QEMU's, as long. */
static int check_block(struct multifd_bridge *bridge, const struct qemu_block *block,
                       struct multifd_error *err)
{
    const struct multifd_ram_block *known = ram_table_find(&bridge->session.blocks, block->name);

    if (known != NULL && known->length != block->length) {
        return error_set(err, MULTIFD_ERROR_MISMATCH,
                         "RAM block \"%s\" has %llu bytes in QEMU, but %llu in its file",
                         block->name, (unsigned long long)block->length,
                         (unsigned long long)known->length);
    }
    return 0;
}

static int check_all_blocks(const struct bridge_main *main, struct multifd_error *err)
{
    const struct ram_table *table = &main->link.bridge->session.blocks;

    for (uint32_t i = 0; i < table->num; i++) {
        uint32_t at = 0;

        while (at < qemu_stream_blocks(main->stream) &&
               strcmp(qemu_stream_block(main->stream, at)->name, table->blocks[i]->name) != 0) {
            at++;
        }
        if (at == qemu_stream_blocks(main->stream)) {
            return error_set(err, MULTIFD_ERROR_MISMATCH,
                             "QEMU has no RAM block \"%s\"; its first is \"%s\"",
                             table->blocks[i]->name, qemu_stream_block(main->stream, 0)->name);
        }
    }
    return 0;
}

static int take_event(struct bridge_main *main, const struct qemu_event *event,
                      struct multifd_error *err)
{
    struct multifd_bridge *bridge = main->link.bridge;

    if (event->type == QEMU_BLOCK) {
        if (check_block(bridge, qemu_stream_block(main->stream, event->block), err) != 0) {
            return -1;
        }
        return event->last ? check_all_blocks(main, err) : 0;
    }
    if (event->type == QEMU_SYNC) {
        counter_add(&main->link.counters.rounds, 1);
    }
    if (event->type == QEMU_RAM_DONE) {
        main->ram_done = true;
        if (atomic_load(&bridge->channels_num) == 0) {
            return error_set(err, MULTIFD_ERROR_INVALID,
                             "the source's capability multifd must be on: no channel has come");
        }
    }
    return 0;
}

/* Looks at bytes that have just come. */
static int look(struct bridge_main *main, const uint8_t *bytes, size_t length,
                struct multifd_error *err)
{
    struct qemu_event event;

    do {
        if (main->ram_done) {
            return 0; /* the state of devices */
        }
        if (qemu_stream_next(main->stream, &bytes, &length, &event, err) != 0 ||
            take_event(main, &event, err) != 0) {
            return -1;
        }
    } while (length != 0 || event.type != QEMU_NEEDS_MORE);
    return 0;
}

/* The destination has the guest, and QEMU here has left without having heard so. */
static void leave_unheard(struct bridge_main *main)
{
    main->told = true;
    atomic_store(&main->link.bridge->verdict, BRIDGE_UNHEARD);
    bridge_tell(main->link.bridge);
}

/*
 * QEMU has closed the connection. When it has been told how the migration came out, it is done;
 * before, it has given up, or was killed. Once COMMIT is sent only the destination's verdict
 * counts, which is then waited for.
 */
static int take_end(struct bridge_main *main, struct multifd_error *err)
{
    struct multifd_bridge *bridge = main->link.bridge;

    main->ended = true;
    if (atomic_load(&bridge->verdict) == BRIDGE_SUCCEEDED &&
        bridge_link_unread(&main->link, err) > 0) {
        leave_unheard(main);
    }
    if (atomic_load(&bridge->verdict) == BRIDGE_OPEN && !atomic_load(&bridge->committed)) {
        return error_set(err, MULTIFD_ERROR_CANCELLED,
                         "QEMU's source ended the migration: it closed its main connection");
    }
    atomic_store(&bridge->main_closed, true);
    bridge_tell(bridge);
    return 0;
}

static int read_stream(struct bridge_main *main, bool *busy, struct multifd_error *err)
{
    int got;

    if (main->ended || main->in_length != 0) {
        return 0;
    }
    got = bridge_link_read(&main->link, main->in, sizeof(main->in), err);
    if (got < 0) {
        return err->code == MULTIFD_ERROR_DISCONNECTED ? take_end(main, err) : -1;
    }
    *busy = *busy || got > 0;
    main->in_length = (uint32_t)got;
    return look(main, main->in, (size_t)got, err);
}

static int send_stream(struct bridge_main *main, bool *busy, struct multifd_error *err)
{
    struct transport_channel *channel = main->link.channel;
    struct multifd_bridge *bridge = main->link.bridge;
    uint8_t *buffer;

    if (main->in_length == 0) {
        return 0;
    }
    buffer = channel->ops->send_buffer(channel, 0);
    if (buffer == NULL) {
        return 0;
    }
    bridge_frame_begin(BRIDGE_FRAME_BYTES, BRIDGE_FRAME_START + main->in_length, buffer);
    memcpy(buffer + BRIDGE_FRAME_START, main->in, main->in_length);
    /* What the main thread compares with READY: the other bridge has these bytes only afterwards.
     */
    counter_add(&main->link.counters.main_bytes, main->in_length);
    atomic_store(&bridge->stream_done, main->ram_done);
    *busy = true;
    if (channel->ops->send(channel, NULL, 0, BRIDGE_FRAME_START + main->in_length, false, err) !=
        0) {
        return -1;
    }
    main->in_length = 0;
    return 0;
}

/* Takes bytes of QEMU's answers from the channel. */
static int take_answers(struct bridge_main *main, struct multifd_error *err)
{
    struct bridge_frame frame;

    if (bridge_frame_decode(main->message.bytes, main->message.length, &frame, err) != 0) {
        return -1;
    }
    if (frame.kind != BRIDGE_FRAME_BYTES) {
        return error_set(err, MULTIFD_ERROR_PROTOCOL, "a packet on the main connection");
    }
    if (bridge_answers_look(&main->answers, frame.bytes, frame.length, err) != 0) {
        return -1;
    }
    if (main->answers.shut && main->answers.value == 0 &&
        !atomic_load(&main->link.bridge->committed)) {
        return error_set(err, MULTIFD_ERROR_PROTOCOL,
                         "QEMU's destination reports success before it has all");
    }
    main->out = frame.bytes;
    main->out_left = frame.length;
    return 0;
}

/* QEMU here has the last answer: the migration has come out this way or that. */
static void conclude(struct bridge_main *main)
{
    struct multifd_bridge *bridge = main->link.bridge;

    main->told = true;
    atomic_store(&bridge->verdict, main->answers.value == 0 ? BRIDGE_SUCCEEDED : BRIDGE_REFUSED);
    bridge_tell(bridge);
}

/* To QEMU here, which may have left; then only what the answers say counts. */
static int hand_answers(struct bridge_main *main, bool *busy, struct multifd_error *err)
{
    if (bridge_link_write(&main->link, &main->out, &main->out_left, busy, err) == 0) {
        return 0;
    }
    if (err->code != MULTIFD_ERROR_DISCONNECTED || !main->answers.shut) {
        return -1;
    }
    main->out_left = 0;
    if (main->answers.value == 0) {
        leave_unheard(main);
    }
    return 0;
}

static int pass_answers(struct bridge_main *main, bool *busy, struct multifd_error *err)
{
    struct transport_channel *channel = main->link.channel;

    for (;;) {
        if (main->out == NULL) {
            if (!channel->ops->receive(channel, &main->message)) {
                return 0;
            }
            if (take_answers(main, err) != 0) {
                return -1;
            }
            counter_add(&main->link.counters.return_bytes, main->out_left);
        }
        if (hand_answers(main, busy, err) != 0) {
            return -1;
        }
        if (main->out_left != 0) {
            return 0;
        }
        main->out = NULL;
        if (channel->ops->release(channel, err) != 0) {
            return -1;
        }
        if (main->answers.shut && !main->told) {
            conclude(main);
        }
    }
}

static int step(void *link, bool *busy, struct multifd_error *err)
{
    struct bridge_main *main = of(link);

    *busy = false;
    return read_stream(main, busy, err) != 0 || send_stream(main, busy, err) != 0 ||
                   pass_answers(main, busy, err) != 0
               ? -1
               : 0;
}

static void also_poll(void *link, struct pollfd *fd)
{
    struct bridge_main *main = of(link);
    bool reads = !main->ended && main->in_length == 0;
    int events = (reads ? POLLIN : 0) | (main->out_left != 0 ? POLLOUT : 0);

    /* Without events poll(2) would still report that QEMU is gone, again and again. */
    *fd = (struct pollfd){.fd = events == 0 ? -1 : main->link.fd, .events = (short)events};
}

const struct bridge_link_ops bridge_main_source_ops = {
    .step = step,
    .also_poll = also_poll,
    .release = bridge_main_release,
};
