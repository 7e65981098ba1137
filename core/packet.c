/* SPDX-License-Identifier: MIT */
#include "core/packet.h"

#include "core/base/bytes.h"
#include "core/base/error.h"

#include <assert.h>
#include <string.h>

enum field {
    AT_MAGIC = 0,
    AT_VERSION = 4,
    AT_FLAGS = 8,
    AT_PAGES_ALLOC = 12,
    AT_NORMAL_PAGES = 16,
    AT_NEXT_PACKET_SIZE = 20,
    AT_PACKET_NUM = 24,
    AT_ZERO_PAGES = 32,
    AT_SYNC_CHANNELS = 36,
    AT_ZERO_RUNS = 40,
    AT_RESERVED = 44,
    AT_RAMBLOCK = 64,
};

static_assert(AT_RAMBLOCK + PACKET_NAME_BYTES == PACKET_FIXED, "the header's fixed part");
static_assert(sizeof(((struct multifd_packet *)0)->ramblock) == PACKET_NAME_BYTES, "name");

uint32_t packet_page_count(uint32_t page_size)
{
    return page_size >= MULTIFD_PACKET_SIZE ? 1 : MULTIFD_PACKET_SIZE / page_size;
}

uint32_t packet_payload_max(uint32_t page_count, uint32_t page_size, bool stream)
{
    return page_count * page_size * (stream ? 2 : 1);
}

uint32_t packet_bytes(uint32_t offsets_num)
{
    return PACKET_FIXED + 8 * offsets_num;
}

static uint8_t *put_offsets(uint8_t *to, const uint64_t *offsets, uint32_t num)
{
    for (uint32_t i = 0; i < num; i++) {
        put_be64(to + 8 * (size_t)i, offsets[i]);
    }
    return to + 8 * (size_t)num;
}

static void get_offsets(const uint8_t *from, uint32_t num, uint64_t *offsets)
{
    for (uint32_t i = 0; i < num; i++) {
        offsets[i] = get_be64(from + 8 * (size_t)i);
    }
}

uint32_t packet_encode(const struct multifd_packet *packet, const uint64_t *normal,
                       const uint64_t *zero, uint8_t *out)
{
    size_t name = strnlen(packet->ramblock, PACKET_NAME_BYTES - 1);
    uint8_t *offsets = out + PACKET_FIXED;

    put_be32(out + AT_MAGIC, packet->magic);
    put_be32(out + AT_VERSION, packet->version);
    put_be32(out + AT_FLAGS, packet->flags);
    put_be32(out + AT_PAGES_ALLOC, packet->pages_alloc);
    put_be32(out + AT_NORMAL_PAGES, packet->normal_pages);
    put_be32(out + AT_NEXT_PACKET_SIZE, packet->next_packet_size);
    put_be64(out + AT_PACKET_NUM, packet->packet_num);
    put_be32(out + AT_ZERO_PAGES, packet->zero_pages);
    put_be32(out + AT_SYNC_CHANNELS, packet->sync_channels);
    put_be32(out + AT_ZERO_RUNS, packet->zero_runs);
    memset(out + AT_RESERVED, 0, AT_RAMBLOCK - AT_RESERVED);
    memcpy(out + AT_RAMBLOCK, packet->ramblock, name);
    memset(out + AT_RAMBLOCK + name, 0, PACKET_NAME_BYTES - name);
    offsets = put_offsets(offsets, normal, packet->normal_pages);
    offsets =
        put_offsets(offsets, zero, packet->zero_runs != 0 ? packet->zero_runs : packet->zero_pages);
    return (uint32_t)(offsets - out);
}

void packet_mark_sync(uint8_t *out, uint32_t sync_channels)
{
    put_be32(out + AT_FLAGS, get_be32(out + AT_FLAGS) | MULTIFD_FLAG_SYNC);
    put_be32(out + AT_SYNC_CHANNELS, sync_channels);
}

uint32_t packet_pad(uint8_t *out, uint32_t length, uint32_t page_count)
{
    uint32_t whole = packet_bytes(page_count);

    memset(out + length, 0, whole - length);
    return whole;
}

static int malformed(struct multifd_error *err, const char *field, uint64_t value)
{
    return error_set(err, MULTIFD_ERROR_PROTOCOL, "packet refused: %s %llu", field,
                     (unsigned long long)value);
}

/* Whether the bytes in [at, end) are 0; at most as many as a name has. */
static int check_zero(const uint8_t *bytes, size_t at, size_t end, const char *otherwise,
                      struct multifd_error *err)
{
    static const uint8_t zero[PACKET_NAME_BYTES];

    if (memcmp(bytes + at, zero, end - at) == 0) {
        return 0;
    }
    while (bytes[at] == 0) {
        at++;
    }
    return malformed(err, otherwise, at);
}

static int check_start(const uint8_t *bytes, size_t length, enum packet_form form,
                       struct multifd_error *err)
{
    if (length < PACKET_FIXED) {
        return malformed(err, "truncated, length", length);
    }
    if (get_be32(bytes + AT_MAGIC) != PACKET_MAGIC) {
        return malformed(err, "wrong magic", get_be32(bytes + AT_MAGIC));
    }
    if (get_be32(bytes + AT_VERSION) != PACKET_VERSION) {
        error_set(err, MULTIFD_ERROR_VERSION, "packet refused: version %u, expected %u",
                  get_be32(bytes + AT_VERSION), PACKET_VERSION);
        return -1;
    }
    if ((get_be32(bytes + AT_FLAGS) & ~PACKET_FLAGS_KNOWN) != 0) {
        return malformed(err, "unknown flags", get_be32(bytes + AT_FLAGS));
    }
    return check_zero(bytes, form == PACKET_EXACT ? AT_RESERVED : AT_SYNC_CHANNELS, AT_RAMBLOCK,
                      "reserved byte set, at", err);
}

/* How many entries the zero pages have. Only a message has runs: a stream's are checked to be 0. */
static uint32_t zero_entries(const uint8_t *bytes)
{
    uint32_t runs = get_be32(bytes + AT_ZERO_RUNS);

    return runs != 0 ? runs : get_be32(bytes + AT_ZERO_PAGES);
}

static int check_counts(const uint8_t *bytes, uint32_t page_count, struct multifd_error *err)
{
    uint32_t alloc = get_be32(bytes + AT_PAGES_ALLOC);
    uint32_t normal = get_be32(bytes + AT_NORMAL_PAGES);
    uint32_t zero = zero_entries(bytes);

    if (alloc > page_count) {
        return malformed(err, "pages_alloc", alloc);
    }
    if (normal > alloc) {
        return malformed(err, "more normal_pages than pages_alloc,", normal);
    }
    if (zero > alloc - normal) {
        return malformed(err, "more zero_pages than pages_alloc leaves,", zero);
    }
    return 0;
}

/* The counts are checked by now. */
static int check_length(const uint8_t *bytes, size_t length, uint32_t page_count,
                        enum packet_form form, struct multifd_error *err)
{
    uint32_t used = packet_bytes(get_be32(bytes + AT_NORMAL_PAGES) + zero_entries(bytes));

    if (length != (form == PACKET_EXACT ? used : packet_bytes(page_count))) {
        return malformed(err, "length does not fit its pages,", length);
    }
    for (size_t at = used; form == PACKET_STREAM && at < length; at++) {
        if (bytes[at] != 0) {
            return malformed(err, "an offset behind the last one, at", at);
        }
    }
    return 0;
}

/* What multifd, other than QEMU, never sends. */
static int check_sense(const uint8_t *bytes, struct multifd_error *err)
{
    uint32_t normal = get_be32(bytes + AT_NORMAL_PAGES);
    uint32_t zero = get_be32(bytes + AT_ZERO_PAGES);
    uint32_t flags = get_be32(bytes + AT_FLAGS);

    if ((flags & MULTIFD_FLAG_SYNC) == 0 && normal + zero == 0) {
        return malformed(err, "neither pages nor SYNC, flags", flags);
    }
    if (normal == 0 && get_be32(bytes + AT_NEXT_PACKET_SIZE) != 0) {
        return malformed(err, "a payload without pages,", get_be32(bytes + AT_NEXT_PACKET_SIZE));
    }
    if (normal == 0 && (flags & MULTIFD_FLAG_COMPRESSION_MASK) != 0) {
        return malformed(err, "a method without pages, flags", flags);
    }
    return 0;
}

/* In a stream a SYNC is a packet of its own; in a message it says of how many channels. */
static int check_sync(const uint8_t *bytes, enum packet_form form, struct multifd_error *err)
{
    uint32_t pages = get_be32(bytes + AT_NORMAL_PAGES) + get_be32(bytes + AT_ZERO_PAGES);
    bool is_sync = (get_be32(bytes + AT_FLAGS) & MULTIFD_FLAG_SYNC) != 0;
    uint32_t channels = get_be32(bytes + AT_SYNC_CHANNELS);

    if (form == PACKET_STREAM && is_sync && pages != 0) {
        return malformed(err, "SYNC with pages,", pages);
    }
    if (form == PACKET_EXACT && is_sync != (channels != 0)) {
        return malformed(err, is_sync ? "SYNC, and sync_channels" : "no SYNC, but sync_channels",
                         channels);
    }
    return 0;
}

/* In a message, zero pages alone are named as runs, and nothing else is. */
static int check_runs(const uint8_t *bytes, enum packet_form form, struct multifd_error *err)
{
    uint32_t runs = get_be32(bytes + AT_ZERO_RUNS);
    bool alone = get_be32(bytes + AT_NORMAL_PAGES) == 0 && get_be32(bytes + AT_ZERO_PAGES) != 0;

    if (form == PACKET_EXACT && alone != (runs != 0)) {
        return malformed(err, alone ? "zero pages alone, and zero_runs" : "zero_runs", runs);
    }
    return 0;
}

static int check_name(const uint8_t *bytes, struct multifd_error *err)
{
    const uint8_t *name = bytes + AT_RAMBLOCK;
    const uint8_t *end = memchr(name, '\0', PACKET_NAME_BYTES);

    if (end == NULL) {
        return malformed(err, "ramblock without end, length", PACKET_NAME_BYTES);
    }
    return check_zero(name, (size_t)(end - name), PACKET_NAME_BYTES,
                      "bytes behind the end of ramblock, at", err);
}

int packet_decode(const uint8_t *bytes, size_t length, uint32_t page_count, enum packet_form form,
                  struct multifd_packet *packet, uint64_t *offsets, struct multifd_error *err)
{
    if (check_start(bytes, length, form, err) != 0 || check_counts(bytes, page_count, err) != 0 ||
        check_length(bytes, length, page_count, form, err) != 0 || check_name(bytes, err) != 0 ||
        (form != PACKET_QEMU && check_sense(bytes, err) != 0) ||
        check_sync(bytes, form, err) != 0 || check_runs(bytes, form, err) != 0) {
        return -1;
    }
    packet->magic = get_be32(bytes + AT_MAGIC);
    packet->version = get_be32(bytes + AT_VERSION);
    packet->flags = get_be32(bytes + AT_FLAGS);
    packet->pages_alloc = get_be32(bytes + AT_PAGES_ALLOC);
    packet->normal_pages = get_be32(bytes + AT_NORMAL_PAGES);
    packet->next_packet_size = get_be32(bytes + AT_NEXT_PACKET_SIZE);
    packet->packet_num = get_be64(bytes + AT_PACKET_NUM);
    packet->zero_pages = get_be32(bytes + AT_ZERO_PAGES);
    packet->sync_channels = get_be32(bytes + AT_SYNC_CHANNELS);
    packet->zero_runs = get_be32(bytes + AT_ZERO_RUNS);
    memcpy(packet->ramblock, bytes + AT_RAMBLOCK, PACKET_NAME_BYTES);
    get_offsets(bytes + PACKET_FIXED, packet->normal_pages + zero_entries(bytes), offsets);
    if (packet->normal_pages == 0) { /* see PACKET_QEMU */
        packet->next_packet_size = 0;
        packet->flags &= ~MULTIFD_FLAG_COMPRESSION_MASK;
    }
    return 0;
}
