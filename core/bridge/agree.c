/* SPDX-License-Identifier: MIT */
/* agree - what two bridges agree on before QEMU comes: settings, and which RAM blocks they know. */
#include "core/base/checked.h"
#include "core/base/error.h"
#include "core/block_list.h"
#include "core/bridge/bridge.h"
#include "core/packet.h"
#include "core/registration.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#define PIECE_SHIFT_LEAST 20u

int bridge_connect_control(struct multifd_bridge *bridge, struct multifd_error *err)
{
    struct session *session = &bridge->session;
    struct bridge_greeting greeting = {.kind = BRIDGE_GREETING_CONTROL};
    struct transport_greeting offer;
    struct transport_greeting answer;
    struct transport_channel *channel;

    /* A name, not a secret. */
    if (getrandom(bridge->name, sizeof(bridge->name), GRND_INSECURE) !=
        (ssize_t)sizeof(bridge->name)) {
        return error_set_errno(err, MULTIFD_ERROR_SYSTEM, errno, "getrandom");
    }
    memcpy(greeting.session, bridge->name, sizeof(bridge->name));
    bridge_greeting_encode(&greeting, &offer);
    channel = session->endpoint->ops->connect(session->endpoint, control_profile(), &offer,
                                              session->failed_fd, &answer, err);
    if (channel == NULL) {
        return err->code == MULTIFD_ERROR_REFUSED && answer.length != 0
                   ? bridge_greeting_explain(&answer, err)
                   : -1;
    }
    if (bridge_greeting_decode(&answer, &greeting, err) != 0) {
        channel->ops->free(channel);
        return -1;
    }
    bridge->control = control_new(session, channel, err);
    return bridge->control == NULL ? -1 : 0;
}

/* Whole pages only, so that a packet never needs more writes than it has pages. */
static void take_limits(struct multifd_bridge *bridge)
{
    struct transport_endpoint *endpoint = bridge->session.endpoint;
    struct transport_limits limits;

    endpoint->ops->limits(endpoint, &limits);
    bridge->max_message = limits.max_message / bridge->page_size * bridge->page_size;
}

static int compare_channels(const struct multifd_bridge *bridge, unsigned theirs,
                            struct multifd_error *err)
{
    if (bridge->expected != 0 && theirs != 0 && bridge->expected != theirs) {
        return error_set(err, MULTIFD_ERROR_MISMATCH,
                         "QEMU here is set to %u multifd channels, but QEMU at the %s to %u",
                         bridge->expected, bridge->session.peer, theirs);
    }
    return 0;
}

/* ---- Source ------------------------------------------------------------------------------ */

static int say_hello(struct multifd_bridge *bridge, uint32_t *blocks, struct multifd_error *err)
{
    struct multifd_options *options = &bridge->session.options;
    struct message message = {.type = MESSAGE_HELLO,
                              .hello = {.page_size = bridge->page_size,
                                        .page_count = bridge->page_count,
                                        .channels = bridge->expected,
                                        .piece_shift = log2_of(options->piece_size),
                                        .timeout_ms = options->transport.timeout_ms,
                                        .registration = options->registration}};
    const struct message_bridge_hello *answer = &message.bridge_hello;

    if (control_send(bridge->control, &message, err) != 0 ||
        control_expect(bridge->control, MESSAGE_BRIDGE_HELLO, &message, err) != 0) {
        return -1;
    }
    if (answer->timeout_ms < MESSAGE_LEAST_TIMEOUT ||
        answer->timeout_ms > options->transport.timeout_ms) {
        return error_set(err, MULTIFD_ERROR_PROTOCOL,
                         "the destination's bridge answered a timeout of %u ms with %u ms",
                         options->transport.timeout_ms, answer->timeout_ms);
    }
    control_set_timeout(bridge->control, answer->timeout_ms);
    atomic_store(&bridge->peer_expected, answer->channels);
    *blocks = answer->blocks;
    return compare_channels(bridge, answer->channels, err);
}

/* A block of the destination's takes the same place in this side's table. */
static int take_block(struct multifd_bridge *bridge, uint32_t index, const char *name,
                      uint64_t length, struct multifd_error *err)
{
    struct ram_table *table = &bridge->session.blocks;
    struct multifd_ram_block *block = ram_table_find(table, name);

    if (block == NULL) {
        block = ram_table_add(table, name, NULL, length, bridge->page_size, err);
        if (block == NULL) {
            return -1;
        }
        block->elsewhere = true;
    }
    if (block->index < index) {
        return error_set(err, MULTIFD_ERROR_PROTOCOL,
                         "the destination's bridge has RAM block \"%s\" twice", name);
    }
    if (block->length != length) {
        return error_set(err, MULTIFD_ERROR_MISMATCH,
                         "RAM block \"%s\" has %llu bytes at the source, %llu at the destination",
                         name, (unsigned long long)block->length, (unsigned long long)length);
    }
    ram_table_move(table, block, index);
    return 0;
}

static int take_blocks(struct multifd_bridge *bridge, uint32_t total, struct multifd_error *err)
{
    const struct message_ram_blocks *list;
    struct message message;

    for (uint32_t next = 0; next < total; next += list->num) {
        list = &message.ram_blocks;
        if (control_expect(bridge->control, MESSAGE_RAM_BLOCKS, &message, err) != 0) {
            return -1;
        }
        if (list->first != next || list->total != total) {
            return error_set(err, MULTIFD_ERROR_PROTOCOL,
                             "the destination's list of RAM blocks is broken");
        }
        for (uint32_t i = 0; i < list->num; i++) {
            if (take_block(bridge, next + i, list->blocks[i].name, list->blocks[i].length, err) !=
                0) {
                return -1;
            }
        }
    }
    return 0;
}

/* What only this side knows is carried, like what none of them knows: it is no block any more. */
static void forget_blocks(struct multifd_bridge *bridge, uint32_t total)
{
    struct ram_table *table = &bridge->session.blocks;

    for (uint32_t i = total; i < table->num; i++) {
        log_line(&bridge->session.options.log,
                 "RAM block \"%s\" is not known at the destination: carried over the channels",
                 table->blocks[i]->name);
    }
    ram_table_cut(table, total);
}

int bridge_agree_source(struct multifd_bridge *bridge, struct multifd_error *err)
{
    static const struct message done = {.type = MESSAGE_RAM_BLOCKS_OK};
    struct session *session = &bridge->session;
    struct message message;
    uint32_t blocks = 0;

    session->options.piece_size = registration_piece_size(session);
    if (registration_check_device(session, err) != 0 || say_hello(bridge, &blocks, err) != 0 ||
        take_blocks(bridge, blocks, err) != 0) {
        return -1;
    }
    take_limits(bridge);
    forget_blocks(bridge, blocks);
    bridge->holds = blocks != 0;
    /* Before the destination is told to register: it tells each piece as soon as it has it. */
    if (bridge->holds) {
        if (registration_split(session, err) != 0) {
            return -1;
        }
        bridge->registrar = registrar_new(session, bridge->control, true, err);
        if (bridge->registrar == NULL) {
            return -1;
        }
    }
    return control_send(bridge->control, &done, err) != 0 ||
                   control_expect(bridge->control, MESSAGE_RAM_BLOCKS_OK, &message, err) != 0
               ? -1
               : 0;
}

/* ---- Destination ------------------------------------------------------------------------- */

static int check_hello(const struct multifd_bridge *bridge, const struct message_hello *hello,
                       struct multifd_error *err)
{
    if (hello->page_size != bridge->page_size || hello->page_count != bridge->page_count) {
        return error_set(err, MULTIFD_ERROR_INVALID,
                         "the source's bridge was told a page size of %u, this one of %u",
                         hello->page_size, bridge->page_size);
    }
    if (hello->piece_shift < PIECE_SHIFT_LEAST ||
        UINT64_C(1) << hello->piece_shift < hello->page_size ||
        hello->timeout_ms < MESSAGE_LEAST_TIMEOUT) {
        return error_set(err, MULTIFD_ERROR_PROTOCOL,
                         "the source's bridge wants pieces of 2^%u bytes and a timeout of %u ms",
                         hello->piece_shift, hello->timeout_ms);
    }
    return compare_channels(bridge, hello->channels, err);
}

static int take_hello(struct multifd_bridge *bridge, struct multifd_error *err)
{
    struct session *session = &bridge->session;
    struct message message;

    if (control_expect(bridge->control, MESSAGE_HELLO, &message, err) != 0 ||
        check_hello(bridge, &message.hello, err) != 0) {
        return -1;
    }
    session->options.piece_size = UINT64_C(1) << message.hello.piece_shift;
    session->options.registration = message.hello.registration;
    control_set_timeout(bridge->control, message.hello.timeout_ms);
    atomic_store(&bridge->peer_expected, message.hello.channels);
    if (session->endpoint->stream) { /* nothing can be written directly */
        ram_table_cut(&session->blocks, 0);
    }
    bridge->holds = session->blocks.num != 0;
    message = (struct message){.type = MESSAGE_BRIDGE_HELLO,
                               .bridge_hello = {.timeout_ms = session->options.transport.timeout_ms,
                                                .channels = bridge->expected,
                                                .blocks = session->blocks.num}};
    return control_send(bridge->control, &message, err);
}

int bridge_agree_destination(struct multifd_bridge *bridge, struct multifd_error *err)
{
    static const struct message done = {.type = MESSAGE_RAM_BLOCKS_OK};
    struct session *session = &bridge->session;
    struct message message;

    if (take_hello(bridge, err) != 0 || registration_check_device(session, err) != 0 ||
        block_list_send(bridge->control, &session->blocks, err) != 0 ||
        control_expect(bridge->control, MESSAGE_RAM_BLOCKS_OK, &message, err) != 0) {
        return -1;
    }
    take_limits(bridge);
    if (bridge->holds) {
        if (registration_split(session, err) != 0) {
            return -1;
        }
        bridge->registrar = registrar_new(session, bridge->control, false, err);
        if (bridge->registrar == NULL) {
            return -1;
        }
    }
    return control_send(bridge->control, &done, err);
}
