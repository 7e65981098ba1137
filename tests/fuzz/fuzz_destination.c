/* SPDX-License-Identifier: MIT */
/*
 * Input: one byte that chooses the page size (modulo 3) and who sends (/ 3, modulo 3): a source
 * over verbs, one over a byte stream, QEMU; its highest bit, a method whose payloads are a stream.
 * Then messages as u16 length and bytes, or a stream's bytes as they are, taken in by a channel of
 * a destination that has two RAM blocks. The method's hook must see nothing but distinct whole
 * pages of one block; it writes to them, so that a sanitizer sees a page outside. A packet that is
 * refused ends the channel and is not counted.
 */
#include "fuzz.h"

/* The step of a channel's thread, without the thread; and a reader that takes our hook for
 * nocomp's. */
#define multifd_nocomp_ops checking_ops
#include "core/destination_channel.c" /* NOLINT(bugprone-suspicious-include) */
#include "core/packet_reader.c"       /* NOLINT(bugprone-suspicious-include) */
#undef multifd_nocomp_ops

#include "core/base/bytes.h"
#include "transport/socket/iov.h"

#define LARGE_BYTES  65536u
#define SMALL_BYTES  12288u
#define MESSAGE_HEAD 2u

/* A transport channel whose messages are the input. */
struct fake {
    struct transport_channel base;
    const uint8_t *at;
    size_t left;
    uint32_t fixed;   /* bytes of each message of a stream, 0: it is none */
    uint8_t *message; /* a copy of exactly its length, until it is released */
    const struct destination_channel *channel;
};

static bool fake_receive(struct transport_channel *base, struct transport_message *message)
{
    struct fake *fake = (struct fake *)base;
    size_t length;

    FUZZ_CHECK(fake->message == NULL);
    if (at_sync(fake->channel)) {
        return false; /* the source waits to be told that the round was applied */
    }
    if (fake->left < (fake->fixed != 0 ? fake->fixed : MESSAGE_HEAD)) {
        return false;
    }
    length = fake->fixed != 0 ? fake->fixed : get_be16(fake->at);
    fake->at += fake->fixed != 0 ? 0 : MESSAGE_HEAD;
    fake->left -= fake->fixed != 0 ? 0 : MESSAGE_HEAD;
    length = length > fake->left ? fake->left : length;
    fake->message = malloc(length == 0 ? 1 : length);
    FUZZ_CHECK(fake->message != NULL);
    memcpy(fake->message, fake->at, length);
    fake->at += length;
    fake->left -= length;
    *message = (struct transport_message){fake->message, (uint32_t)length};
    return true;
}

/* In parts, as bytes come: at most 1000 at a time, and the rest never. */
static int fake_read(struct transport_channel *base, struct iovec **iov, uint32_t *iovs_num,
                     struct multifd_error *err)
{
    struct fake *fake = (struct fake *)base;
    size_t most = fake->left < 1000 ? fake->left : 1000;

    (void)err;
    FUZZ_CHECK(fake->message != NULL && *iovs_num != 0);
    while (*iovs_num != 0 && most != 0) {
        size_t length = (*iov)->iov_len < most ? (*iov)->iov_len : most;

        memcpy((*iov)->iov_base, fake->at, length);
        fake->at += length;
        fake->left -= length;
        most -= length;
        socket_iov_advance(iov, iovs_num, length);
    }
    return 0;
}

static int fake_release(struct transport_channel *base, struct multifd_error *err)
{
    struct fake *fake = (struct fake *)base;

    (void)err;
    free(fake->message);
    fake->message = NULL;
    return 0;
}

static const struct transport_channel_ops fake_ops = {
    .receive = fake_receive,
    .read = fake_read,
    .release = fake_release,
};

/* In the place of nocomp's: takes a payload as it does, after a look at each page. */
static int checking_recv(struct multifd_recv_params *p, struct multifd_error *err)
{
    FUZZ_CHECK(p->normal_num >= 1 && p->normal_num <= p->page_count);
    FUZZ_CHECK((p->flags & ~MULTIFD_FLAG_COMPRESSION_MASK) == 0);
    for (uint32_t i = 0; i < p->normal_num; i++) {
        FUZZ_CHECK(p->normal[i] % p->page_size == 0);
        p->host[p->normal[i]] = 1;
        p->host[p->normal[i] + p->page_size - 1] = 1;
        for (uint32_t j = 0; j < i; j++) {
            FUZZ_CHECK(p->normal[i] != p->normal[j]);
        }
    }
    return p->flags == 0 && p->next_packet_size == p->normal_num * p->page_size
               ? 0
               : error_set(err, MULTIFD_ERROR_PROTOCOL, "packet refused: not as nocomp sends it");
}

const struct multifd_methods checking_ops = {.recv = checking_recv};

static int stream_setup(struct multifd_recv_params *p, struct multifd_error *err)
{
    (void)err;
    FUZZ_CHECK(p->stream == 1);
    p->write_flags |= MULTIFD_WRITE_FLAG_STREAM;
    return 0;
}

/* Looks at all of a payload: a sanitizer sees a byte that has not come. */
static int stream_recv(struct multifd_recv_params *p, struct multifd_error *err)
{
    unsigned sum = 0;

    FUZZ_CHECK(p->payload != NULL && p->next_packet_size != 0);
    for (uint32_t i = 0; i < p->next_packet_size; i++) {
        sum += p->payload[i];
    }
    FUZZ_CHECK(p->normal_num >= 1);
    p->host[p->normal[0]] = (uint8_t)sum;
    return p->flags != 0 ? 0 : error_set(err, MULTIFD_ERROR_PROTOCOL, "packet refused: no method");
}

static const struct multifd_methods stream_ops = {.recv_setup = stream_setup, .recv = stream_recv};

static void add_block(struct ram_table *table, const char *name, uint64_t length)
{
    struct multifd_error err;
    void *host = malloc(length);

    FUZZ_CHECK(host != NULL);
    memset(host, 0xff, length); /* so that zero pages are something to do */
    FUZZ_CHECK(ram_table_add(table, name, host, length, 1024, &err) != NULL);
}

static void free_blocks(struct ram_table *table)
{
    for (uint32_t i = 0; i < table->num; i++) {
        free(table->blocks[i]->host);
    }
    ram_table_clear(table);
}

/* Lets a channel take in all messages, with a release at each SYNC. */
static void take_all(struct destination_channel *channel, struct fake *fake)
{
    struct multifd_channel_statistics before;
    struct multifd_channel_statistics after;
    struct multifd_error err;
    bool exact = channel->config->reader.form == PACKET_EXACT;
    size_t left;
    bool busy = true;

    do {
        uint64_t next_num = channel->reader.next_num;

        left = fake->left;

        channel_counters_read(&channel->counters, &before);
        fuzz_error_poison(&err);
        if (step(channel, &busy, &err) != 0) {
            fuzz_check_refusal(&err);
            break;
        }
        channel_counters_read(&channel->counters, &after);
        FUZZ_CHECK(!exact || busy == (channel->reader.next_num > next_num));
        FUZZ_CHECK(!exact || busy == (after.packets > before.packets));
        FUZZ_CHECK(busy || after.packets == before.packets);
        destination_channel_release(channel, destination_channel_synced(channel));
    } while (busy || fake->left != left);
    (void)fake_release(&fake->base, &err);
    FUZZ_CHECK(channel->config->reader.form == PACKET_QEMU ||
               channel->reader.next_num >= channel->counters.packets);
}

static void configure(struct packet_reader_config *reader, uint8_t choice, struct fake *fake)
{
    reader->page_size = 1024u << (choice % 3);
    reader->page_count = packet_page_count(reader->page_size);
    reader->form = (enum packet_form)(choice / 3 % 3);
    reader->stream = reader->form != PACKET_EXACT;
    if (!reader->stream) {
        return;
    }
    fake->fixed = packet_bytes(reader->page_count);
    if ((choice & 0x80) != 0) {
        reader->method = &stream_ops;
        reader->slots = 1;
    }
}

static void ignore_sync(void *owner, uint64_t round)
{
    (void)owner;
    (void)round;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct session session;
    struct round_gate gate = {.arrived = 0};
    struct destination_channel_config config = {
        .session = &session,
        .channels = 3,
        .gate = &gate,
        .all_synced = ignore_sync,
        .reader = {.blocks = &session.blocks, .method = &checking_ops, .zero_pages = true}};
    struct destination_channel channel = {.config = &config};
    struct fake fake = {.base = {&fake_ops}, .channel = &channel};
    struct multifd_error err;

    if (size == 0) {
        return 0;
    }
    configure(&config.reader, data[0], &fake);
    fake.at = data + 1;
    fake.left = size - 1;
    add_block(&session.blocks, "pc.ram", LARGE_BYTES);
    add_block(&session.blocks, "vga", SMALL_BYTES);
    channel.channel = &fake.base;
    FUZZ_CHECK(packet_reader_init(&channel.reader, &config.reader, 0, &err) == 0);
    FUZZ_CHECK(packet_reader_start(&channel.reader, &err) == 0);
    take_all(&channel, &fake);
    packet_reader_fini(&channel.reader);
    free_blocks(&session.blocks);
    return 0;
}
