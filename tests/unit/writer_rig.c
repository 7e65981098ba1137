/* SPDX-License-Identifier: MIT */
#include "writer_rig.h"

#include "core/base/error.h"

#include <stdlib.h>

static _Alignas(PAGE) uint8_t host[BLOCK * PAGE];
static struct ram_table table;
static uint64_t offsets[PAGES]; /* the batch's */

struct writer_rig rig;

static int send_setup(struct multifd_send_params *p, struct multifd_error *err)
{
    if (mock_enter("send_setup") != 0) {
        return error_set(err, MULTIFD_ERROR_METHOD, "send_setup was to fail");
    }
    p->compress_data = mock_object(1);
    p->write_flags = rig.hook.write_flags;
    p->iov = calloc(p->page_count + 1, sizeof(*p->iov));
    return p->iov == NULL ? error_set_nomem(err) : 0;
}

static void send_cleanup(struct multifd_send_params *p)
{
    mock_enter("send_cleanup");
    if (p->compress_data != NULL) {
        mock_object_free(p->compress_data);
        p->compress_data = NULL;
    }
    free(p->iov);
    p->iov = NULL;
}

static int send_prepare(struct multifd_send_params *p, struct multifd_error *err)
{
    rig.hook.seen = *p;
    if (mock_enter("send_prepare") != 0) {
        return error_set(err, MULTIFD_ERROR_METHOD, "send_prepare was to fail");
    }
    if (rig.hook.length == 0) {
        multifd_send_uncompressed(p);
    } else {
        memset(p->payload, 0x5a, rig.hook.length);
        p->iov[1] = (struct iovec){p->payload, rig.hook.length};
        p->iovs_num = 2;
        p->next_packet_size = rig.hook.length;
        p->flags |= MULTIFD_FLAG_ZSTD;
        multifd_send_fill_packet(p);
    }
    if (rig.hook.spoil != NULL) {
        rig.hook.spoil(p);
    }
    return 0;
}

static const struct multifd_methods method = {
    .send_setup = send_setup, .send_cleanup = send_cleanup, .send_prepare = send_prepare};

/* The pieces are nowhere near each other at the destination. */
static struct multifd_ram_block *make_block(struct multifd_error *err)
{
    struct multifd_ram_block *block =
        ram_table_add(&table, "pc.ram", host, sizeof(host), PAGE, err);

    if (block == NULL || ram_block_split(block, 14, err) != 0) {
        return NULL;
    }
    for (uint32_t i = 0; i < block->pieces_num; i++) {
        block->pieces[i].memory.local_key = 100 + i;
        block->pieces[i].remote_key = 200 + i;
        block->pieces[i].remote_address = UINT64_C(0x1000000000) * (i + 1);
    }
    return block;
}

int rig_make(void **state)
{
    struct multifd_error err;

    mock_setup(state);
    memset(host, 0x11, sizeof(host));
    memset(&rig, 0, sizeof(rig));
    rig.host = host;
    rig.config = (struct packet_writer_config){.method = &method,
                                               .endpoint = &fake_memory_endpoint,
                                               .page_size = PAGE,
                                               .page_count = PAGES,
                                               .max_message = UINT64_C(1) << 30,
                                               .slots = LOCAL,
                                               .level = -5,
                                               .detect_zero_pages = true};
    rig.batch.block = make_block(&err);
    rig.bytes = malloc(packet_bytes(PAGES));
    if (rig.batch.block == NULL || rig.bytes == NULL) {
        return -1;
    }
    return packet_writer_init(&rig.writer, &rig.config, 9, &err);
}

int rig_release(void **state)
{
    packet_writer_fini(&rig.writer);
    ram_table_clear(&table);
    free(rig.bytes);
    return rig.writer.writes != NULL || rig.writer.zero != NULL ? -1 : mock_teardown(state);
}

void rig_start(void)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    assert_int_equal(packet_writer_start(&rig.writer, &err), 0);
    assert_untouched(&err);
    rig.writer.remote =
        (struct remote_staging){.address = REMOTE_ADDRESS, .key = REMOTE_KEY, .slots = REMOTE};
    mock_log_clear();
}

void rig_stop(void)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    packet_writer_stop(&rig.writer);
    assert_int_equal(packet_writer_release(&rig.writer, &err), 0);
    assert_untouched(&err);
    assert_null(rig.writer.params.iov);
}

int rig_make_started(void **state)
{
    if (rig_make(state) != 0) {
        return -1;
    }
    rig_start();
    return 0;
}

int rig_release_started(void **state)
{
    rig_stop();
    return rig_release(state);
}

void rig_fill(const uint32_t *pages, uint32_t num)
{
    rig.batch.block = table.blocks[0];
    rig.batch.packet_num += 3;
    rig.batch.flags = 0;
    rig.batch.offsets = offsets;
    rig.batch.num = num;
    rig.batch.runs_pages = 0;
    for (uint32_t i = 0; i < num; i++) {
        offsets[i] = (uint64_t)pages[i] * PAGE;
    }
}

void rig_fill_sync(uint32_t sync_channels)
{
    rig_fill(NULL, 0);
    rig.batch.block = NULL;
    rig.batch.flags = MULTIFD_FLAG_SYNC;
    rig.batch.sync_channels = sync_channels;
}

int rig_try_compose(struct multifd_error *err)
{
    memset(rig.bytes, 0xee, packet_bytes(PAGES));
    packet_writer_look(&rig.writer, &rig.batch);
    return packet_writer_compose(&rig.writer, &rig.batch, rig.bytes, err);
}

void rig_compose(void)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    assert_int_equal(rig_try_compose(&err), 0);
    assert_untouched(&err);
}

struct multifd_packet rig_decode(uint64_t *decoded)
{
    struct multifd_packet packet;
    struct multifd_error err = ERROR_UNTOUCHED;

    assert_int_equal(packet_decode(rig.bytes, rig.writer.params.packet_len, PAGES, PACKET_EXACT,
                                   &packet, decoded, &err),
                     0);
    assert_untouched(&err);
    assert_int_equal(packet.pages_alloc, PAGES);
    return packet;
}
