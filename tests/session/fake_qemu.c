/* SPDX-License-Identifier: MIT */
#include "fake_qemu.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/base/bytes.h"
#include "fake_qemu_destination.h"

enum { COMPRESSION = 2, PAGES_MAX = 12, SYNC = 1, DEVICE = 0x40, DEVICE_PAYLOAD = 100000 };

/* ---- Bytes and chance -------------------------------------------------------------------- */

static uint64_t chance(struct fake_qemu *qemu, uint64_t below)
{
    qemu->random = qemu->random * 6364136223846793005u + 1442695040888963407u;
    return (qemu->random >> 33) % below;
}

static bool put(int fd, const void *bytes, size_t length)
{
    const uint8_t *at = bytes;

    while (length != 0) {
        ssize_t sent = send(fd, at, length, MSG_NOSIGNAL);

        if (sent <= 0) {
            return false;
        }
        at += sent;
        length -= (size_t)sent;
    }
    return true;
}

/* The guest writes while its pages are read: that is no race that a sanitizer should find. */
__attribute__((no_sanitize("thread"))) static void guest_writes(uint8_t *page, uint64_t what)
{
    for (volatile size_t i = 0; i < FAKE_PAGE / sizeof(what); i++) {
        ((volatile uint64_t *)(void *)page)[i] = what == 0 ? 0 : what + i;
    }
}

__attribute__((no_sanitize("thread"))) static void guest_reads(const uint8_t *page, uint8_t *to)
{
    for (volatile size_t i = 0; i < FAKE_PAGE; i++) {
        ((volatile uint8_t *)to)[i] = ((const volatile uint8_t *)page)[i];
    }
}

/* ---- The main stream --------------------------------------------------------------------- */

struct stream {
    uint8_t bytes[64 << 10];
    size_t length;
};

static void add(struct stream *stream, const void *bytes, size_t length)
{
    memcpy(stream->bytes + stream->length, bytes, length);
    stream->length += length;
}

static void add8(struct stream *stream, uint8_t value)
{
    add(stream, &value, 1);
}

static void add64(struct stream *stream, uint64_t value)
{
    uint8_t bytes[8];

    put_be64(bytes, value);
    add(stream, bytes, sizeof(bytes));
}

static void add_name(struct stream *stream, const char *name)
{
    add8(stream, (uint8_t)strlen(name));
    add(stream, name, strlen(name));
}

static bool flush(struct fake_qemu *qemu, struct stream *stream)
{
    size_t length = stream->length;

    stream->length = 0;
    return put(qemu->main, stream->bytes, length);
}

static void add_opening(const struct fake_qemu *qemu, struct stream *stream)
{
    add(stream, qemu->plan.start != NULL ? qemu->plan.start : "QEVM", 4);
    add(stream, "\0\0\0\3\7\0\0\0\2pc", 11);
    if (!qemu->plan.no_return_path) {
        add(stream, "\10\0\1\0\0\10\0\2\0\4\0\0\0\1", 14);
    }
}

static void add_setup(const struct fake_qemu *qemu, struct stream *stream)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < FAKE_BLOCKS; i++) {
        sum += qemu->blocks[i].pages * FAKE_PAGE;
    }
    add(stream, "\1\0\0\0\5\3ram\0\0\0\0\0\0\0\4", 17);
    add64(stream, sum | 4);
    for (unsigned i = 0; i < FAKE_BLOCKS; i++) {
        add_name(stream, qemu->blocks[i].name);
        add64(stream, qemu->blocks[i].pages * FAKE_PAGE);
    }
}

static void add_round_end(const struct fake_qemu *qemu, struct stream *stream)
{
    if (qemu->plan.flush) {
        add64(stream, 0x200);
    }
    add64(stream, 0x10);
    add(stream, "\x7e\0\0\0\5", 5);
}

static void add_devices(const struct fake_qemu *qemu, struct stream *stream)
{
    uint8_t state[20000];

    memset(state, 0x7e, sizeof(state)); /* footers wherever one looks */
    memset(state + 5000, 0, 200);
    memcpy(state + 9000, "\x7e\0\0\0\1\0\6\0\0\0\20{ not the end, but it begins so", 40);
    add(stream, "\4\0\0\0\11\3cpu", 9);
    add(stream, state, sizeof(state));
    add(stream, "\x7e\0\0\0\11\0", 6);
    if (!qemu->plan.no_description) {
        add(stream, "\6\0\0\0\10{\"a\":[]}", 13);
    }
}

/* ---- Packets ----------------------------------------------------------------------------- */

static bool put_header(struct fake_qemu *qemu, unsigned channel, uint32_t flags,
                       const struct fake_block *block, const uint64_t *offsets, uint32_t normal,
                       uint32_t zeros, uint32_t payload)
{
    static const uint8_t stale[8] = {0xde, 0xad};
    uint8_t header[FAKE_HEADER] = {0};

    put_be32(header, 0x11223344);
    put_be32(header + 4, 1);
    put_be32(header + 8, flags);
    put_be32(header + 12, 128);
    put_be32(header + 16, normal);
    put_be32(header + 20, normal == 0 && !qemu->plan.zeros_inside ? 118983 : payload);
    put_be64(header + 24, qemu->packets++);
    put_be32(header + 32, zeros);
    if (block != NULL) {
        memcpy(header + 64, block->name, strlen(block->name));
    }
    for (uint32_t i = 0; i < normal + zeros; i++) {
        put_be64(header + 320 + 8 * i, offsets[i]);
    }
    if (!qemu->plan.zeros_inside) {
        memcpy(header + FAKE_HEADER - sizeof(stale), stale, sizeof(stale));
    }
    return put(qemu->fds[channel], header, sizeof(header));
}

static bool put_compressed(struct fake_qemu *qemu, unsigned channel, const struct fake_block *block,
                           const uint64_t *offsets, uint32_t normal)
{
    uint8_t payload[3000];
    uint32_t length = 1 + (uint32_t)chance(qemu, sizeof(payload));

    for (uint32_t i = 0; i < length; i++) {
        payload[i] = (uint8_t)chance(qemu, 256);
    }
    qemu->digests[channel] = fake_digest(qemu->digests[channel], payload, length);
    return put_header(qemu, channel, COMPRESSION, block, offsets, normal, 0, length) &&
           put(qemu->fds[channel], payload, length);
}

static bool put_pages(struct fake_qemu *qemu, unsigned channel, uint32_t flags,
                      const struct fake_block *block, const uint64_t *offsets, uint32_t normal,
                      uint32_t zeros)
{
    uint8_t page[FAKE_PAGE];

    if (qemu->plan.compressed) {
        return put_compressed(qemu, channel, block, offsets, normal);
    }
    if (!put_header(qemu, channel, flags, block, offsets, normal, zeros, normal * FAKE_PAGE)) {
        return false;
    }
    for (uint32_t i = 0; i < normal; i++) {
        guest_reads(block->from + offsets[i], page);
        if (!put(qemu->fds[channel], page, sizeof(page))) {
            return false;
        }
    }
    return true;
}

static bool put_device_state(struct fake_qemu *qemu, unsigned channel)
{
    static uint8_t payload[DEVICE_PAYLOAD];
    uint8_t header[276] = {0};

    put_be32(header, 0x11223344);
    put_be32(header + 4, 1);
    put_be32(header + 8, DEVICE);
    strcpy((char *)header + 12, "vfio");
    put_be32(header + 272, DEVICE_PAYLOAD);
    memset(payload, 7, sizeof(payload));
    qemu->digests[channel] = fake_digest(qemu->digests[channel], payload, sizeof(payload));
    return put(qemu->fds[channel], header, sizeof(header)) &&
           put(qemu->fds[channel], payload, sizeof(payload));
}

/* Changes a page, or makes it zero; whether it is zero now. */
static bool change(struct fake_qemu *qemu, const struct fake_block *block, uint64_t offset)
{
    bool zero = !qemu->plan.compressed && chance(qemu, 3) == 0;

    guest_writes(block->from + offset, zero ? 0 : 1 + chance(qemu, 1u << 30));
    return zero;
}

static bool sync_all(struct fake_qemu *qemu)
{
    for (unsigned i = 0; i < qemu->plan.channels; i++) {
        const struct fake_block *block = &qemu->blocks[0];
        const uint64_t offset = (block->pages - 1 - i) * FAKE_PAGE; /* see put_round */
        bool rides = qemu->plan.sync_with_data && !qemu->plan.compressed;
        uint8_t page[FAKE_PAGE];

        if (rides) {
            (void)change(qemu, block, offset);
        }
        if (!put_header(qemu, i, SYNC, rides ? block : NULL, &offset, rides ? 1 : 0, 0,
                        rides ? FAKE_PAGE : 0)) {
            return false;
        }
        if (rides) {
            guest_reads(block->from + offset, page);
            if (!put(qemu->fds[i], page, sizeof(page)) ||
                !put_header(qemu, i, 0, NULL, NULL, 0, 0, 0)) {
                return false;
            }
        }
    }
    return true;
}

/* ---- A round ----------------------------------------------------------------------------- */

/* A run of pages of a block, each of which is changed: one packet, and records of zero pages. */
static bool put_some(struct fake_qemu *qemu, struct stream *stream, const struct fake_block *block,
                     uint64_t first, uint64_t num)
{
    uint64_t normal[PAGES_MAX];
    uint64_t zero[PAGES_MAX];
    uint32_t normals = 0;
    uint32_t zeros = 0;

    for (uint64_t i = first; i < first + num; i++) {
        if (change(qemu, block, i * FAKE_PAGE)) {
            zero[zeros++] = i * FAKE_PAGE;
        } else {
            normal[normals++] = i * FAKE_PAGE;
        }
    }
    if (qemu->plan.zeros_inside) {
        memcpy(normal + normals, zero, zeros * sizeof(zero[0]));
    } else {
        for (uint32_t i = 0; i < zeros; i++) {
            add64(stream, zero[i] | 2);
            add_name(stream, block->name);
            add8(stream, 0);
        }
        zeros = 0;
    }
    return normals + zeros == 0 || put_pages(qemu, (unsigned)chance(qemu, qemu->plan.channels), 0,
                                             block, normal, normals, zeros);
}

static bool put_round(struct fake_qemu *qemu, struct stream *stream, bool all)
{
    for (unsigned b = 0; b < FAKE_BLOCKS; b++) {
        const struct fake_block *block = &qemu->blocks[b];
        /* A page travels once in a round; each SYNC may have one of the last pages with it. */
        uint64_t pages = block->pages - (b == 0 ? FAKE_CHANNELS_MAX : 0);
        uint64_t num;

        for (uint64_t at = 0; at < pages; at += num) {
            num = 1 + chance(qemu, PAGES_MAX);
            num = num < pages - at ? num : pages - at;
            if (qemu->plan.cancel_after != 0 && qemu->packets >= qemu->plan.cancel_after) {
                return false;
            }
            if ((all || chance(qemu, 3) == 0) && !put_some(qemu, stream, block, at, num)) {
                return false;
            }
        }
    }
    return true;
}

static bool put_rounds(struct fake_qemu *qemu, struct stream *stream)
{
    for (unsigned round = 0; round < qemu->plan.rounds; round++) {
        bool last = round + 1 == qemu->plan.rounds;

        add(stream, last ? "\3\0\0\0\5" : "\2\0\0\0\5", 5);
        if (qemu->plan.no_multifd) {
            add64(stream, 8);
            return flush(qemu, stream);
        }
        if (!put_round(qemu, stream, round == 0)) {
            return false;
        }
        if (last && qemu->plan.device_state && !put_device_state(qemu, 0)) {
            return false;
        }
        if (!sync_all(qemu)) {
            return false;
        }
        add_round_end(qemu, stream);
        if (!flush(qemu, stream)) {
            return false;
        }
    }
    return true;
}

/* ---- The source -------------------------------------------------------------------------- */

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    strcpy(address.sun_path, path);
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static bool connect_channels(struct fake_qemu *qemu)
{
    uint8_t init[64] = {0};

    put_be32(init, 0x11223344);
    put_be32(init + 4, 1);
    memset(init + 8, 0xab, 16);
    for (unsigned i = 0; i < qemu->plan.channels; i++) {
        qemu->fds[i] = connect_to(qemu->source_path);
        init[24] = (uint8_t)i;
        if (qemu->fds[i] < 0 || !put(qemu->fds[i], init, sizeof(init))) {
            return false;
        }
    }
    return true;
}

/* PONG, then SHUT with 0. */
static bool hears_success(int fd)
{
    static const uint8_t expected[16] = {0, 2, 0, 4, 0, 0, 0, 1, 0, 1, 0, 4, 0, 0, 0, 0};
    uint8_t answers[16] = {0};
    size_t have = 0;

    while (have < sizeof(answers)) {
        ssize_t got = recv(fd, answers + have, sizeof(answers) - have, 0);

        if (got <= 0) {
            break;
        }
        have += (size_t)got;
    }
    /* A bridge that answers by itself, undecided, does not repeat the PONG. */
    return memcmp(answers, expected, sizeof(expected)) == 0;
}

static bool migrate(struct fake_qemu *qemu)
{
    struct stream *stream = calloc(1, sizeof(*stream));
    bool fine;

    qemu->main = connect_to(qemu->source_path);
    add_opening(qemu, stream);
    fine = qemu->main >= 0 && (qemu->plan.no_return_path || flush(qemu, stream)) &&
           connect_channels(qemu) && sync_all(qemu);
    if (fine) {
        add_setup(qemu, stream);
        add_round_end(qemu, stream);
        fine = flush(qemu, stream) && put_rounds(qemu, stream);
    }
    if (fine) {
        add_devices(qemu, stream);
        fine = flush(qemu, stream) && hears_success(qemu->main);
    }
    free(stream);
    return fine;
}

static void *source_main(void *arg)
{
    struct fake_qemu *qemu = arg;
    bool fine = migrate(qemu);

    if (qemu->main >= 0) {
        close(qemu->main);
    }
    for (unsigned i = 0; i < qemu->plan.channels; i++) {
        if (qemu->fds[i] >= 0) {
            close(qemu->fds[i]);
        }
    }
    atomic_store(&qemu->source_outcome, fine ? FAKE_SUCCEEDED : FAKE_FAILED);
    return NULL;
}

void fake_qemu_start_source(struct fake_qemu *qemu)
{
    if (pthread_create(&qemu->source, NULL, source_main, qemu) != 0) {
        abort();
    }
}
