/* SPDX-License-Identifier: MIT */
/*
 * Input: one frame of the control connection. What is accepted is within its bounds and encoded to
 * the same bytes again, but for the text of an error, which loses its control characters.
 */
#include "fuzz.h"

#include "core/message.h"
#include "core/options.h"

#include <stdbool.h>

static void check_text(const char *text, size_t size)
{
    FUZZ_CHECK(memchr(text, '\0', size) != NULL);
}

static void check_ram_blocks(const struct message_ram_blocks *blocks)
{
    FUZZ_CHECK(blocks->num >= 1 && blocks->num <= MESSAGE_MAX_BLOCKS);
    FUZZ_CHECK(blocks->total <= MULTIFD_BLOCKS_MAX);
    FUZZ_CHECK(blocks->first < blocks->total && blocks->num <= blocks->total - blocks->first);
    for (uint32_t i = 0; i < blocks->num; i++) {
        check_text(blocks->blocks[i].name, sizeof(blocks->blocks[i].name));
    }
}

static void check_error(const struct message_error *error)
{
    FUZZ_CHECK(error->code <= MULTIFD_ERROR_SYSTEM);
    check_text(error->text, sizeof(error->text));
    for (const char *at = error->text; *at != '\0'; at++) {
        FUZZ_CHECK((unsigned char)*at >= ' ' && *at != 0x7f);
    }
}

static void check_bounds(const struct message *message)
{
    FUZZ_CHECK(message->type >= MESSAGE_HELLO && message->type < MESSAGE_TYPES);
    FUZZ_CHECK(message_name(message->type) != NULL);
    switch (message->type) {
    case MESSAGE_HELLO:
        FUZZ_CHECK(message->hello.channels <= MULTIFD_CHANNELS_MAX);
        FUZZ_CHECK(message->hello.registration < REGISTRATION_MODES);
        FUZZ_CHECK(message->hello.verify <= 1 && message->hello.piece_shift < 64);
        break;
    case MESSAGE_RAM_BLOCKS:
        check_ram_blocks(&message->ram_blocks);
        break;
    case MESSAGE_PIECES_REQUEST:
    case MESSAGE_PIECES:
        FUZZ_CHECK(message->pieces.block < MULTIFD_BLOCKS_MAX);
        FUZZ_CHECK(message->pieces.num >= 1 && message->pieces.num <= MESSAGE_MAX_PIECES);
        FUZZ_CHECK(message->pieces.first <= UINT32_MAX - message->pieces.num);
        break;
    case MESSAGE_BLOCK_DIGEST:
        FUZZ_CHECK(message->digest.block < MULTIFD_BLOCKS_MAX);
        break;
    case MESSAGE_STAGING:
        FUZZ_CHECK(message->staging.channel < MULTIFD_CHANNELS_MAX && message->staging.slots != 0);
        break;
    case MESSAGE_ERROR:
        check_error(&message->error);
        break;
    default:
        break;
    }
}

static void check_round_trip(const struct message *message, const uint8_t *bytes, size_t length)
{
    static uint8_t first[MESSAGE_MAX];
    static uint8_t second[MESSAGE_MAX];
    static struct message again;
    struct multifd_error err;

    FUZZ_CHECK(message_encode(message, first) == length);
    FUZZ_CHECK(message->type == MESSAGE_ERROR || memcmp(first, bytes, length) == 0);
    FUZZ_CHECK(message_decode(first, length, &again, &err) == 0);
    FUZZ_CHECK(again.type == message->type);
    FUZZ_CHECK(message_encode(&again, second) == length);
    FUZZ_CHECK(memcmp(first, second, length) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct message *message = malloc(sizeof(*message));
    struct multifd_error err;

    FUZZ_CHECK(message != NULL);
    memset(message, 0xa5, sizeof(*message));
    fuzz_error_poison(&err);
    if (message_decode(data, size, message, &err) == 0) {
        FUZZ_CHECK(size <= MESSAGE_MAX);
        check_bounds(message);
        check_round_trip(message, data, size);
    } else {
        fuzz_check_refusal(&err);
        FUZZ_CHECK(err.code == MULTIFD_ERROR_PROTOCOL);
    }
    free(message);
    return 0;
}
