/* SPDX-License-Identifier: MIT */
#include "core/packet_writer.h"

#include "core/base/checked.h"
#include "core/base/error.h"
#include "core/packet.h"
#include "core/zero_page.h"
#include "core/zero_runs.h"

#include <stdlib.h>
#include <string.h>

/* `runs_pages`: how many pages p->zero has, if it has runs of them; else 0. */
static void fill_packet(struct multifd_send_params *p, uint32_t runs_pages)
{
    struct multifd_packet packet = {
        .magic = PACKET_MAGIC,
        .version = PACKET_VERSION,
        .flags = p->flags,
        .pages_alloc = p->page_count,
        .normal_pages = p->normal_num,
        .next_packet_size = p->next_packet_size,
        .packet_num = p->packet_num,
        .zero_pages = runs_pages != 0 ? runs_pages : p->zero_num,
        .zero_runs = runs_pages != 0 ? p->zero_num : 0,
    };

    if (p->ramblock != NULL) {
        memcpy(packet.ramblock, p->ramblock, strnlen(p->ramblock, MULTIFD_BLOCK_NAME_MAX));
    }
    p->packet_len = packet_encode(&packet, p->normal, p->zero, p->packet);
    if (p->stream != 0) {
        p->packet_len = packet_pad(p->packet, p->packet_len, p->page_count);
    }
    if (p->iov != NULL) {
        p->iov[0] = (struct iovec){.iov_base = p->packet, .iov_len = p->packet_len};
    }
}

void multifd_send_fill_packet(struct multifd_send_params *p)
{
    fill_packet(p, 0);
}

int packet_writer_init(struct packet_writer *writer, const struct packet_writer_config *config,
                       uint8_t channel, struct multifd_error *err)
{
    writer->config = config;
    writer->params.id = channel;
    writer->params.page_size = config->page_size;
    writer->params.page_count = config->page_count;
    writer->params.level = config->level;
    writer->params.stream = config->stream ? 1 : 0;
    writer->writes = calloc(config->page_count, sizeof(*writer->writes));
    writer->zero = calloc(config->page_count, sizeof(*writer->zero));
    if (writer->writes == NULL || writer->zero == NULL) {
        packet_writer_fini(writer);
        return error_set_nomem(err);
    }
    return 0;
}

int packet_writer_start(struct packet_writer *writer, struct multifd_error *err)
{
    const struct packet_writer_config *config = writer->config;

    if (config->method->send_setup(&writer->params, err) != 0) {
        return -1;
    }
    if (config->slots == 0) {
        return 0;
    }
    writer->params.payload_max =
        packet_payload_max(config->page_count, config->page_size, config->stream);
    return staging_init(&writer->staging, config->endpoint, config->slots,
                        writer->params.payload_max, 0, err);
}

void packet_writer_stop(struct packet_writer *writer)
{
    writer->config->method->send_cleanup(&writer->params);
}

int packet_writer_release(struct packet_writer *writer, struct multifd_error *err)
{
    return staging_fini(&writer->staging, writer->config->endpoint, err);
}

void packet_writer_fini(struct packet_writer *writer)
{
    free(writer->writes);
    free(writer->zero);
    writer->writes = NULL;
    writer->zero = NULL;
}

/* Sets the parameters as a method finds them in send_prepare, but for the pages. */
static void begin_packet(struct packet_writer *writer, const struct multifd_ram_block *block,
                         uint64_t packet_num, uint8_t *packet)
{
    struct multifd_send_params *p = &writer->params;

    p->ramblock = block == NULL ? NULL : block->name;
    p->host = block == NULL ? NULL : block->host;
    p->normal_num = 0;
    p->zero_num = 0;
    p->packet_num = packet_num;
    p->flags = 0;
    p->next_packet_size = 0;
    p->iovs_num = 1;
    p->packet = packet;
    if (writer->config->slots != 0) {
        p->payload = staging_slot(&writer->staging, writer->messages);
    }
    writer->messages++;
    writer->writes_num = 0;
    writer->staged = false;
}

static void make_runs(struct page_batch *batch, uint32_t page_size)
{
    batch->runs_pages = batch->num;
    batch->num = zero_runs_make(batch->offsets, batch->num, page_size);
    batch->zero_num = batch->num;
}

bool packet_writer_makes_runs(const struct packet_writer_config *config)
{
    return config->detect_zero_pages && !config->stream;
}

/*
 * A page that the guest writes to while it is looked at, or after, may count as either: it is
 * dirty, and comes again in a later round.
 */
void packet_writer_look(struct packet_writer *writer, struct page_batch *batch)
{
    uint32_t page_size = writer->config->page_size;
    uint32_t normal = 0;
    uint32_t zero = 0;

    batch->zero_num = 0;
    if (!writer->config->detect_zero_pages || batch->num == 0) {
        return;
    }
    if (batch->known_zero) {
        batch->zero_num = batch->num;
        return;
    }
    if (writer->config->sample_zero_pages &&
        zero_sample_suffices(&writer->sample, batch->block->host, batch->offsets, batch->num,
                             page_size)) {
        return;
    }
    for (uint32_t i = 0; i < batch->num; i++) {
        uint64_t offset = batch->offsets[i];

        if (zero_page(batch->block->host + offset, page_size)) {
            writer->zero[zero++] = offset;
        } else {
            batch->offsets[normal++] = offset;
        }
    }
    memcpy(batch->offsets + normal, writer->zero, zero * sizeof(*writer->zero));
    batch->zero_num = zero;
    zero_sample_learn(&writer->sample, batch->num, zero);
    if (normal == 0 && packet_writer_makes_runs(writer->config)) {
        make_runs(batch, page_size);
    }
}

static void take_pages(struct packet_writer *writer, const struct page_batch *batch)
{
    struct multifd_send_params *p = &writer->params;

    p->normal = batch->offsets;
    p->normal_num = batch->num - batch->zero_num;
    p->zero = batch->offsets + p->normal_num;
    p->zero_num = batch->zero_num;
    writer->zero_pages = batch->runs_pages != 0 ? batch->runs_pages : batch->zero_num;
}

static int refuse_iov(struct multifd_error *err)
{
    return error_set(err, MULTIFD_ERROR_METHOD,
                     "the method's iov is not made of the packet's pages");
}

/*
 * Pages that go as they are become writes to the same place at the destination, which takes all of
 * them for written.
 */
static int write_pages(struct packet_writer *writer, const struct multifd_ram_block *block,
                       struct multifd_error *err)
{
    const struct multifd_send_params *p = &writer->params;
    uint64_t left = (uint64_t)p->normal_num * p->page_size;

    if (p->iovs_num > p->normal_num + 1 || p->next_packet_size != left) {
        return refuse_iov(err);
    }
    for (uint32_t i = 1; i < p->iovs_num; i++) {
        uint64_t offset = (uintptr_t)p->iov[i].iov_base - (uintptr_t)block->host;
        uint64_t length = p->iov[i].iov_len;

        if (!range_within(offset, length, block->length) ||
            ((offset | length) & (p->page_size - 1)) != 0 || length > left) {
            return refuse_iov(err);
        }
        left -= length;
        writer->writes_num += ram_block_writes(block, offset, length, writer->config->max_message,
                                               writer->writes + writer->writes_num);
    }
    return left == 0 ? 0 : refuse_iov(err);
}

/* What a method made of the pages goes to the same message's slot at the destination. */
static int write_payload(struct packet_writer *writer, struct multifd_error *err)
{
    const struct multifd_send_params *p = &writer->params;
    uint64_t slot = writer->config->stream ? 0 : (writer->messages - 1) % writer->remote.slots;
    uint32_t most = (p->write_flags & MULTIFD_WRITE_FLAG_STREAM) != 0
                        ? p->payload_max
                        : p->normal_num * p->page_size - 1;

    if (p->iovs_num != 2 || p->iov[1].iov_base != p->payload ||
        p->iov[1].iov_len != p->next_packet_size || p->next_packet_size == 0 ||
        p->next_packet_size > most) {
        return error_set(err, MULTIFD_ERROR_METHOD,
                         "the method's payload of %u bytes is not in its place, or too long",
                         p->next_packet_size);
    }
    writer->writes[0] = (struct transport_write){
        .local_address = (uintptr_t)p->payload,
        .remote_address = writer->remote.address + slot * p->payload_max,
        .length = p->next_packet_size,
        .local_key = writer->staging.registered.local_key,
        .remote_key = writer->remote.key,
    };
    writer->writes_num = 1;
    writer->staged = true;
    return 0;
}

static bool goes_as_it_is(const struct multifd_send_params *p)
{
    return (p->flags & MULTIFD_FLAG_COMPRESSION_MASK) == MULTIFD_FLAG_NOCOMP ||
           (p->write_flags & MULTIFD_WRITE_FLAG_ZERO_COPY) != 0;
}

static int compose_pages(struct packet_writer *writer, const struct page_batch *batch,
                         struct multifd_error *err)
{
    struct multifd_send_params *p = &writer->params;

    take_pages(writer, batch);
    if (p->normal_num == 0) {
        fill_packet(p, batch->runs_pages);
        return 0;
    }
    if (writer->config->method->send_prepare(p, err) != 0) {
        return -1;
    }
    return goes_as_it_is(p) ? write_pages(writer, batch->block, err) : write_payload(writer, err);
}

int packet_writer_compose(struct packet_writer *writer, const struct page_batch *batch,
                          uint8_t *packet, struct multifd_error *err)
{
    begin_packet(writer, batch->block, batch->packet_num, packet);
    if (compose_pages(writer, batch, err) != 0) {
        return -1;
    }
    if ((batch->flags & MULTIFD_FLAG_SYNC) != 0) {
        packet_mark_sync(packet, batch->sync_channels); /* it is not the method's */
    }
    return 0;
}
