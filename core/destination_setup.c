/* SPDX-License-Identifier: MIT */
#include "core/destination_setup.h"

#include "core/base/checked.h"
#include "core/base/error.h"
#include "core/destination_round.h"
#include "core/packet.h"
#include "core/registration.h"

#include <string.h>

/*
 * What the source may want: smaller pieces would make the table of them a burden, and the payload
 * of larger pages has a length that does not fit its field.
 */
#define PAGE_SIZE_LEAST   1024u
#define PAGE_SIZE_MOST    (1u << 30)
#define PIECE_SHIFT_LEAST 20u

static int check_hello(const struct multifd_destination *destination,
                       const struct message_hello *hello, struct multifd_error *err)
{
    const struct multifd_options *options = &destination->session.options;

    if (hello->page_size < PAGE_SIZE_LEAST || hello->page_size > PAGE_SIZE_MOST ||
        !is_power_of_two(hello->page_size)) {
        return error_set(err, MULTIFD_ERROR_PROTOCOL, "the source's page size %u is none",
                         hello->page_size);
    }
    if (hello->piece_shift < PIECE_SHIFT_LEAST ||
        UINT64_C(1) << hello->piece_shift < hello->page_size) {
        return error_set(err, MULTIFD_ERROR_PROTOCOL, "the source wants pieces of 2^%u bytes",
                         hello->piece_shift);
    }
    if (hello->page_count != packet_page_count(hello->page_size)) {
        return error_set(err, MULTIFD_ERROR_PROTOCOL,
                         "the source wants packets of %u pages, this side of %u", hello->page_count,
                         packet_page_count(hello->page_size));
    }
    if (hello->channels == 0) {
        return error_set(err, MULTIFD_ERROR_PROTOCOL, "the source wants no channel");
    }
    if (hello->timeout_ms < MESSAGE_LEAST_TIMEOUT) {
        return error_set(err, MULTIFD_ERROR_PROTOCOL, "the source's timeout of %u ms is too short",
                         hello->timeout_ms);
    }
    if (method_table_get(&options->methods, hello->method) == NULL) {
        return error_set(err, MULTIFD_ERROR_INVALID,
                         "the source wants method 0x%x, which this side does not have",
                         hello->method);
    }
    return 0;
}

static int take_hello(struct multifd_destination *destination, struct multifd_error *err)
{
    struct session *session = &destination->session;
    struct message message;

    if (control_expect(destination->control, MESSAGE_HELLO, &message, err) != 0 ||
        check_hello(destination, &message.hello, err) != 0) {
        return -1;
    }
    session->options.page_size = message.hello.page_size;
    session->options.piece_size = UINT64_C(1) << message.hello.piece_shift;
    session->options.registration = message.hello.registration;
    destination->verify = message.hello.verify;
    destination->channels_wanted = message.hello.channels;
    destination->config = (struct destination_channel_config){
        .session = session,
        .channels = message.hello.channels,
        .gate = &destination->gate,
        .all_synced = destination_end_round,
        .owner = destination,
        .reader = {.blocks = &session->blocks,
                   .method = method_table_get(&session->options.methods, message.hello.method),
                   .endpoint = session->endpoint,
                   .page_size = message.hello.page_size,
                   .page_count = message.hello.page_count,
                   .slots = session_staging_slots(session, message.hello.method),
                   .zero_pages = message.hello.zero_pages != 0,
                   .stream = session->endpoint->stream,
                   .form = session->endpoint->stream ? PACKET_STREAM : PACKET_EXACT},
    };
    if (session_check_method(session, message.hello.method, err) != 0 ||
        registration_check_device(session, err) != 0) {
        return -1;
    }
    control_set_timeout(destination->control, message.hello.timeout_ms);
    message.type = MESSAGE_HELLO_OK;
    message.hello_ok.timeout_ms = session->options.transport.timeout_ms;
    return control_send(destination->control, &message, err);
}

/* Asks the owner of this side's memory for a block that it has not named before. */
static int ask_for_block(struct multifd_destination *destination, const char *name, uint64_t length,
                         struct multifd_error *err)
{
    void *host;

    if (destination->on_block == NULL) {
        return error_set(err, MULTIFD_ERROR_MISMATCH,
                         "the source has a RAM block \"%s\" that the destination lacks", name);
    }
    error_set(err, MULTIFD_ERROR_MISMATCH, "the destination has no memory for RAM block \"%s\"",
              name);
    host = destination->on_block(destination->on_block_opaque, name, length, err);
    if (host == NULL) {
        return -1;
    }
    return ram_table_add(&destination->session.blocks, name, host, length,
                         destination->session.options.page_size, err) == NULL
               ? -1
               : 0;
}

/* This side's table takes the source's order: from now on both know a block by its index. */
int destination_take_block(struct multifd_destination *destination, uint32_t index,
                           const char *name, uint64_t length, struct multifd_error *err)
{
    struct ram_table *table = &destination->session.blocks;
    uint32_t page_size = destination->session.options.page_size;
    struct multifd_ram_block *block;

    if (length == 0 || length % page_size != 0) {
        return error_set(err, MULTIFD_ERROR_PROTOCOL,
                         "the source's RAM block \"%s\" has %llu bytes, no multiple of %u", name,
                         (unsigned long long)length, page_size);
    }
    if (ram_table_find(table, name) == NULL && ask_for_block(destination, name, length, err) != 0) {
        return -1;
    }
    block = ram_table_find(table, name);
    if (block->index < index) {
        return error_set(err, MULTIFD_ERROR_PROTOCOL, "the source has RAM block \"%s\" twice",
                         name);
    }
    if (block->length != length) {
        return error_set(err, MULTIFD_ERROR_MISMATCH,
                         "RAM block \"%s\" has %llu bytes at the source, %llu at the destination",
                         name, (unsigned long long)length, (unsigned long long)block->length);
    }
    ram_table_move(table, block, index);
    return 0;
}

/* Takes one message of the list in; *next is how far the list has come. */
static int take_list(struct multifd_destination *destination, const struct message_ram_blocks *list,
                     uint32_t *next, uint32_t *total, struct multifd_error *err)
{
    if (list->first != *next || (*next != 0 && list->total != *total)) {
        return error_set(err, MULTIFD_ERROR_PROTOCOL, "the source's list of RAM blocks is broken");
    }
    for (uint32_t i = 0; i < list->num; i++) {
        if (destination_take_block(destination, list->first + i, list->blocks[i].name,
                                   list->blocks[i].length, err) != 0) {
            return -1;
        }
    }
    *next += list->num;
    *total = list->total;
    return 0;
}

int destination_check_blocks(const struct multifd_destination *destination, uint32_t total,
                             struct multifd_error *err)
{
    const struct ram_table *table = &destination->session.blocks;

    if (table->num > total) {
        return error_set(err, MULTIFD_ERROR_MISMATCH,
                         "the destination has a RAM block \"%s\" that the source lacks",
                         table->blocks[total]->name);
    }
    return 0;
}

static int take_blocks(struct multifd_destination *destination, struct multifd_error *err)
{
    struct message message;
    uint32_t total = 0;
    uint32_t next = 0;

    do {
        if (control_expect(destination->control, MESSAGE_RAM_BLOCKS, &message, err) != 0 ||
            take_list(destination, &message.ram_blocks, &next, &total, err) != 0) {
            return -1;
        }
    } while (next < total);
    return destination_check_blocks(destination, total, err);
}

int destination_keep_received(struct session *session, struct multifd_error *err)
{
    for (uint32_t i = 0; session->options.fresh_memory != 0 && i < session->blocks.num; i++) {
        struct multifd_ram_block *block = session->blocks.blocks[i];

        block->received = page_bitmap_new(block->length, log2_of(session->options.page_size), err);
        if (block->received == NULL) {
            return -1;
        }
    }
    return 0;
}

/* Registers from now on, while the session goes on. */
static int register_blocks(struct multifd_destination *destination, struct multifd_error *err)
{
    static const struct message done = {.type = MESSAGE_RAM_BLOCKS_OK};
    struct session *session = &destination->session;

    if (destination_keep_received(session, err) != 0) {
        return -1;
    }
    if (session->endpoint->stream) {
        return control_send(destination->control, &done, err);
    }
    if (registration_split(session, err) != 0 ||
        control_send(destination->control, &done, err) != 0) {
        return -1;
    }
    destination->registrar = registrar_new(session, destination->control, false, err);
    return destination->registrar == NULL ? -1 : 0;
}

int destination_agree(struct multifd_destination *destination, struct multifd_error *err)
{
    if (take_hello(destination, err) != 0 || take_blocks(destination, err) != 0) {
        return -1;
    }
    return register_blocks(destination, err);
}

int destination_tell_staging(struct multifd_destination *destination, uint32_t channel,
                             struct multifd_error *err)
{
    const struct staging *staging = destination_channel_staging(destination->channels[channel]);
    const struct message message = {.type = MESSAGE_STAGING,
                                    .staging = {.channel = channel,
                                                .slots = staging->slots,
                                                .address = (uintptr_t)staging->memory,
                                                .key = staging->registered.remote_key}};

    return staging->slots == 0 ? 0 : control_send(destination->control, &message, err);
}
