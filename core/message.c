/* SPDX-License-Identifier: MIT */
#include "core/message.h"

#include "core/base/bytes.h"
#include "core/base/error.h"
#include "core/options.h"
#include "transport/transport.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#define HEADER_BYTES 12u
#define HEADER_MAGIC 0x4d464443u /* "MFDC" */

static_assert(HEADER_BYTES >= TRANSPORT_MESSAGE_LEAST, "shorter ones are the transport's own");

/* A place in a frame. A reader that would go beyond the end turns bad and stays so. */
struct writer {
    uint8_t *at;
};

struct reader {
    const uint8_t *at;
    const uint8_t *end;
    bool bad;
};

static void write32(struct writer *to, uint32_t value)
{
    put_be32(to->at, value);
    to->at += 4;
}

static void write64(struct writer *to, uint64_t value)
{
    put_be64(to->at, value);
    to->at += 8;
}

static void write_bytes(struct writer *to, const void *bytes, size_t length)
{
    memcpy(to->at, bytes, length);
    to->at += length;
}

static void write_text(struct writer *to, const char *text)
{
    size_t length = strlen(text);

    put_be16(to->at, (uint16_t)length);
    to->at += 2;
    write_bytes(to, text, length);
}

static const uint8_t *take(struct reader *from, size_t length)
{
    static const uint8_t zeros[MESSAGE_DIGEST_BYTES] = {0};
    const uint8_t *at = from->at;

    if (from->bad || (size_t)(from->end - from->at) < length) {
        from->bad = true;
        return zeros; /* only fields of at most that many bytes are asked for without a look at bad
                       */
    }
    from->at += length;
    return at;
}

static uint32_t read32(struct reader *from)
{
    return get_be32(take(from, 4));
}

static uint64_t read64(struct reader *from)
{
    return get_be64(take(from, 8));
}

/* Reads a number that may be `most` at the most. */
static uint32_t read_bounded(struct reader *from, uint32_t most)
{
    uint32_t value = read32(from);

    if (value > most) {
        from->bad = true;
        return 0;
    }
    return value;
}

/*
 * Reads a string into a buffer of `size` bytes; a string that does not fit, or with a NUL, is bad.
 */
static void read_text(struct reader *from, char *text, size_t size)
{
    size_t length = get_be16(take(from, 2));
    const uint8_t *bytes;

    text[0] = '\0';
    if (from->bad || length >= size || (size_t)(from->end - from->at) < length) {
        from->bad = true;
        return;
    }
    bytes = take(from, length);
    if (memchr(bytes, '\0', length) != NULL) {
        from->bad = true;
        return;
    }
    memcpy(text, bytes, length);
    text[length] = '\0';
}

/* Text of a peer's will stand on somebody's terminal. */
static bool is_printable(char letter)
{
    return (unsigned char)letter >= ' ' && letter != 0x7f;
}

/* Reads a name; one that cannot be printed is bad, since another in its place would be another's.
 */
static void read_name(struct reader *from, char *name, size_t size)
{
    read_text(from, name, size);
    for (const char *at = name; *at != '\0'; at++) {
        if (!is_printable(*at)) {
            from->bad = true;
        }
    }
}

static void encode_hello(struct writer *to, const struct message *message)
{
    write32(to, message->hello.page_size);
    write32(to, message->hello.page_count);
    write32(to, message->hello.channels);
    write32(to, message->hello.method);
    write32(to, message->hello.verify);
    write32(to, message->hello.piece_shift);
    write32(to, message->hello.timeout_ms);
    write32(to, message->hello.zero_pages);
    write32(to, message->hello.registration);
}

static void decode_hello(struct reader *from, struct message *message)
{
    message->hello.page_size = read32(from);
    message->hello.page_count = read32(from);
    message->hello.channels = read_bounded(from, MULTIFD_CHANNELS_MAX);
    message->hello.method = read32(from);
    message->hello.verify = read_bounded(from, 1);
    message->hello.piece_shift = read_bounded(from, 63);
    message->hello.timeout_ms = read32(from);
    message->hello.zero_pages = read_bounded(from, 1);
    message->hello.registration = read_bounded(from, REGISTRATION_MODES - 1);
}

static void encode_hello_ok(struct writer *to, const struct message *message)
{
    write32(to, message->hello_ok.timeout_ms);
}

static void decode_hello_ok(struct reader *from, struct message *message)
{
    message->hello_ok.timeout_ms = read32(from);
}

static void encode_ram_blocks(struct writer *to, const struct message *message)
{
    write32(to, message->ram_blocks.first);
    write32(to, message->ram_blocks.total);
    write32(to, message->ram_blocks.num);
    for (uint32_t i = 0; i < message->ram_blocks.num; i++) {
        write64(to, message->ram_blocks.blocks[i].length);
        write_text(to, message->ram_blocks.blocks[i].name);
    }
}

static void decode_ram_blocks(struct reader *from, struct message *message)
{
    message->ram_blocks.first = read_bounded(from, MULTIFD_BLOCKS_MAX);
    message->ram_blocks.total = read_bounded(from, MULTIFD_BLOCKS_MAX);
    message->ram_blocks.num = read_bounded(from, MESSAGE_MAX_BLOCKS);
    if (message->ram_blocks.num == 0 ||
        message->ram_blocks.first + message->ram_blocks.num > message->ram_blocks.total) {
        from->bad = true;
    }
    for (uint32_t i = 0; i < message->ram_blocks.num; i++) {
        message->ram_blocks.blocks[i].length = read64(from);
        read_name(from, message->ram_blocks.blocks[i].name,
                  sizeof(message->ram_blocks.blocks[i].name));
    }
}

static void encode_range(struct writer *to, const struct message *message)
{
    write32(to, message->pieces.block);
    write32(to, message->pieces.first);
    write32(to, message->pieces.num);
}

static void decode_range(struct reader *from, struct message *message)
{
    message->pieces.block = read_bounded(from, MULTIFD_BLOCKS_MAX - 1);
    message->pieces.first = read32(from);
    message->pieces.num = read_bounded(from, MESSAGE_MAX_PIECES);
    if (message->pieces.num == 0 || message->pieces.first > UINT32_MAX - message->pieces.num) {
        from->bad = true;
    }
}

static void encode_pieces(struct writer *to, const struct message *message)
{
    encode_range(to, message);
    for (uint32_t i = 0; i < message->pieces.num; i++) {
        write64(to, message->pieces.pieces[i].address);
        write32(to, message->pieces.pieces[i].key);
    }
}

static void decode_pieces(struct reader *from, struct message *message)
{
    decode_range(from, message);
    for (uint32_t i = 0; i < message->pieces.num; i++) {
        message->pieces.pieces[i].address = read64(from);
        message->pieces.pieces[i].key = read32(from);
    }
}

static void encode_staging(struct writer *to, const struct message *message)
{
    write32(to, message->staging.channel);
    write32(to, message->staging.slots);
    write64(to, message->staging.address);
    write32(to, message->staging.key);
}

static void decode_staging(struct reader *from, struct message *message)
{
    message->staging.channel = read_bounded(from, MULTIFD_CHANNELS_MAX - 1);
    message->staging.slots = read32(from);
    message->staging.address = read64(from);
    message->staging.key = read32(from);
    if (message->staging.slots == 0) {
        from->bad = true;
    }
}

static void encode_round(struct writer *to, const struct message *message)
{
    write64(to, message->round);
}

static void decode_round(struct reader *from, struct message *message)
{
    message->round = read64(from);
}

static void encode_totals(struct writer *to, const struct message *message)
{
    write64(to, message->totals.packets);
    write64(to, message->totals.normal_pages);
    write64(to, message->totals.zero_pages);
    write64(to, message->totals.guest_bytes);
    write64(to, message->totals.syncs);
}

static void decode_totals(struct reader *from, struct message *message)
{
    message->totals.packets = read64(from);
    message->totals.normal_pages = read64(from);
    message->totals.zero_pages = read64(from);
    message->totals.guest_bytes = read64(from);
    message->totals.syncs = read64(from);
}

static void encode_digest(struct writer *to, const struct message *message)
{
    write32(to, message->digest.block);
    write_bytes(to, message->digest.digest, MESSAGE_DIGEST_BYTES);
}

static void decode_digest(struct reader *from, struct message *message)
{
    message->digest.block = read_bounded(from, MULTIFD_BLOCKS_MAX - 1);
    memcpy(message->digest.digest, take(from, MESSAGE_DIGEST_BYTES), MESSAGE_DIGEST_BYTES);
}

static void encode_error(struct writer *to, const struct message *message)
{
    write32(to, message->error.code);
    write32(to, (uint32_t)message->error.channel);
    write_text(to, message->error.text);
}

static void decode_error(struct reader *from, struct message *message)
{
    message->error.code = read_bounded(from, MULTIFD_ERROR_SYSTEM);
    message->error.channel = (int32_t)read32(from);
    if (message->error.channel < MULTIFD_CONTROL_CHANNEL ||
        message->error.channel >= (int32_t)MULTIFD_CHANNELS_MAX) {
        from->bad = true;
    }
    read_text(from, message->error.text, sizeof(message->error.text));
    for (char *at = message->error.text; *at != '\0'; at++) {
        if (!is_printable(*at)) {
            *at = '?';
        }
    }
}

static void encode_bridge_hello(struct writer *to, const struct message *message)
{
    write32(to, message->bridge_hello.timeout_ms);
    write32(to, message->bridge_hello.channels);
    write32(to, message->bridge_hello.blocks);
}

static void decode_bridge_hello(struct reader *from, struct message *message)
{
    message->bridge_hello.timeout_ms = read32(from);
    message->bridge_hello.channels = read_bounded(from, MULTIFD_CHANNELS_MAX);
    message->bridge_hello.blocks = read_bounded(from, MULTIFD_BLOCKS_MAX);
}

static void encode_main_bytes(struct writer *to, const struct message *message)
{
    write64(to, message->main_bytes);
}

static void decode_main_bytes(struct reader *from, struct message *message)
{
    message->main_bytes = read64(from);
}

static void encode_nothing(struct writer *to, const struct message *message)
{
    (void)to;
    (void)message;
}

static void decode_nothing(struct reader *from, struct message *message)
{
    (void)from;
    (void)message;
}

static const struct {
    const char *name;
    void (*encode)(struct writer *to, const struct message *message);
    void (*decode)(struct reader *from, struct message *message);
} types[MESSAGE_TYPES] = {
    [MESSAGE_HELLO] = {"HELLO", encode_hello, decode_hello},
    [MESSAGE_HELLO_OK] = {"HELLO_OK", encode_hello_ok, decode_hello_ok},
    [MESSAGE_RAM_BLOCKS] = {"RAM_BLOCKS", encode_ram_blocks, decode_ram_blocks},
    [MESSAGE_RAM_BLOCKS_OK] = {"RAM_BLOCKS_OK", encode_nothing, decode_nothing},
    [MESSAGE_PIECES_REQUEST] = {"PIECES_REQUEST", encode_range, decode_range},
    [MESSAGE_PIECES] = {"PIECES", encode_pieces, decode_pieces},
    [MESSAGE_SYNC_DONE] = {"SYNC_DONE", encode_round, decode_round},
    [MESSAGE_FINISH] = {"FINISH", encode_totals, decode_totals},
    [MESSAGE_BLOCK_DIGEST] = {"BLOCK_DIGEST", encode_digest, decode_digest},
    [MESSAGE_FINISH_OK] = {"FINISH_OK", encode_totals, decode_totals},
    [MESSAGE_BYE] = {"BYE", encode_nothing, decode_nothing},
    [MESSAGE_ERROR] = {"ERROR", encode_error, decode_error},
    [MESSAGE_PING] = {"PING", encode_nothing, decode_nothing},
    [MESSAGE_STAGING] = {"STAGING", encode_staging, decode_staging},
    [MESSAGE_BRIDGE_HELLO] = {"BRIDGE_HELLO", encode_bridge_hello, decode_bridge_hello},
    [MESSAGE_BRIDGE_READY] = {"BRIDGE_READY", encode_main_bytes, decode_main_bytes},
    [MESSAGE_BRIDGE_COMMIT] = {"BRIDGE_COMMIT", encode_nothing, decode_nothing},
};

uint32_t message_encode(const struct message *message, uint8_t *out)
{
    struct writer to = {out + HEADER_BYTES};
    uint32_t length;

    types[message->type].encode(&to, message);
    length = (uint32_t)(to.at - out);
    put_be32(out, HEADER_MAGIC);
    put_be32(out + 4, length);
    put_be32(out + 8, (uint32_t)message->type);
    return length;
}

int message_decode(const uint8_t *bytes, size_t length, struct message *message,
                   struct multifd_error *err)
{
    struct reader from = {bytes + HEADER_BYTES, bytes + length, false};
    uint32_t type;

    if (length < HEADER_BYTES || length > MESSAGE_MAX || get_be32(bytes) != HEADER_MAGIC ||
        get_be32(bytes + 4) != length) {
        return error_set(err, MULTIFD_ERROR_PROTOCOL, "control message refused: length %zu",
                         length);
    }
    type = get_be32(bytes + 8);
    if (type == 0 || type >= MESSAGE_TYPES) {
        return error_set(err, MULTIFD_ERROR_PROTOCOL, "control message refused: type %u", type);
    }
    message->type = (enum message_type)type;
    types[type].decode(&from, message);
    if (from.bad || from.at != from.end) {
        return error_set(err, MULTIFD_ERROR_PROTOCOL, "control message refused: malformed %s",
                         types[type].name);
    }
    return 0;
}

const char *message_name(enum message_type type)
{
    return types[type].name;
}
