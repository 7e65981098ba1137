/* SPDX-License-Identifier: MIT */
/* Pages that the program queues become batches, and go to the channels in turns. */
#include "core/source.h"

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/zero_runs.h"

/* Reserves a batch on the first channel that has one, beginning with the one whose turn it is. */
static bool reserve_batch(void *arg)
{
    struct multifd_source *source = arg;
    uint32_t channels = source->session.options.channels;

    for (uint32_t i = 0; i < channels; i++) {
        uint32_t at = source->next + i < channels ? source->next + i : source->next + i - channels;

        source->batch = source_channel_reserve(source->channels[at]);
        if (source->batch != NULL) {
            source->current = at;
            source->next = at + 1 == channels ? 0 : at + 1;
            return true;
        }
    }
    return false;
}

static void push_channels(struct multifd_source *source)
{
    for (uint32_t i = 0; i < source->session.options.channels; i++) {
        source_channel_push(source->channels[i]);
    }
}

static int wait_for_batch(struct multifd_source *source, struct multifd_error *err)
{
    if (reserve_batch(source)) {
        return 0;
    }
    push_channels(source);
    return session_wait(&source->session, SESSION_AWAITS_ROOM, reserve_batch, source, err);
}

static int start_batch(struct multifd_source *source, struct multifd_ram_block *block,
                       bool known_zero, struct multifd_error *err)
{
    struct session_times *times = &source->session.times;

    if (wait_for_batch(source, err) != 0) {
        return -1;
    }
    if (counter_get(&times->first_page) == 0) {
        counter_set(&times->first_page, clock_now_ns());
    }
    source->batch->block = block;
    source->batch->flags = 0;
    source->batch->known_zero = known_zero;
    source->batch->num = 0;
    source->batch->runs_pages = 0;
    source->unsynced = true;
    return 0;
}

void source_hand_over(struct multifd_source *source)
{
    bool more = source->batch->flags == 0;

    source->batch->packet_num = source->packet_num++;
    source->batch = NULL;
    source_channel_publish(source->channels[source->current], more);
}

static int refuse_page(struct multifd_source *source, const struct multifd_ram_block *block,
                       uint64_t offset, struct multifd_error *err)
{
    if (session_has_failed(&source->session)) {
        return session_error(&source->session, err);
    }
    if (source->phase != SOURCE_READY) {
        return error_set(err, MULTIFD_ERROR_STATE, "the session is not set up, or has ended");
    }
    return error_set(err, MULTIFD_ERROR_INVALID,
                     "offset %llu is no page of RAM block \"%s\" (%llu bytes, pages of %u)",
                     (unsigned long long)offset, block->name, (unsigned long long)block->length,
                     source->session.options.page_size);
}

static bool takes_page(const struct multifd_source *source, const struct multifd_ram_block *block,
                       uint64_t offset)
{
    uint32_t page_size = source->session.options.page_size;

    return source->phase == SOURCE_READY && !session_has_failed(&source->session) &&
           (offset & (page_size - 1)) == 0 &&
           offset < block->length; /* which is a multiple of the page size */
}

static void add_page(struct multifd_source *source, uint64_t offset)
{
    struct page_batch *batch = source->batch;

    batch->offsets[batch->num++] = offset;
    if (batch->num == source->config.writer.page_count) {
        source_hand_over(source);
    }
}

/* Where a message names runs, its batch has as many pages as one may have of them. */
static void add_zero_page(struct multifd_source *source, uint64_t offset)
{
    const struct packet_writer_config *config = &source->config.writer;
    struct page_batch *batch = source->batch;

    if (!packet_writer_makes_runs(config)) {
        add_page(source, offset);
        return;
    }
    batch->num = zero_runs_add(batch->offsets, batch->num, offset, config->page_size);
    batch->runs_pages++;
    if (batch->num == config->page_count ||
        batch->runs_pages == zero_runs_pages_max(config->page_size)) {
        source_hand_over(source);
    }
}

/* Whether it is one more page of the batch in hand. */
static bool goes_on(const struct multifd_source *source, const struct multifd_ram_block *block,
                    uint64_t offset, bool known_zero)
{
    return source->batch != NULL && source->batch->block == block &&
           source->batch->known_zero == known_zero && takes_page(source, block, offset);
}

/* Begins a batch for a page, if that is not wrong. */
static int begin_with(struct multifd_source *source, struct multifd_ram_block *block,
                      uint64_t offset, bool known_zero, struct multifd_error *err)
{
    struct multifd_error unused;

    if (!takes_page(source, block, offset)) {
        return refuse_page(source, block, offset, err == NULL ? &unused : err);
    }
    if (source->batch != NULL) {
        source_hand_over(source);
    }
    return start_batch(source, block, known_zero, err);
}

/* Nearly every page goes on: no more than these lines is what it costs then. */
int multifd_queue_page(struct multifd_source *source, struct multifd_ram_block *block,
                       uint64_t offset, struct multifd_error *err)
{
    if (!goes_on(source, block, offset, false) &&
        begin_with(source, block, offset, false, err) != 0) {
        return -1;
    }
    add_page(source, offset);
    return 0;
}

int multifd_queue_zero_page(struct multifd_source *source, struct multifd_ram_block *block,
                            uint64_t offset, struct multifd_error *err)
{
    if (!goes_on(source, block, offset, true) &&
        begin_with(source, block, offset, true, err) != 0) {
        return -1;
    }
    add_zero_page(source, offset);
    return 0;
}
