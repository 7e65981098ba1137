/* SPDX-License-Identifier: MIT */
#include "reader_rig.h"

#include "core/base/error.h"

static _Alignas(PAGE) uint8_t ram[RAM * PAGE];
static uint8_t vga[VGA * PAGE];
static uint8_t before[RAM * PAGE]; /* what was in the RAM before a packet that is refused */
static struct ram_table table;

struct reader_rig rig;

static int recv_setup(struct multifd_recv_params *p, struct multifd_error *err)
{
    if (mock_enter("recv_setup") != 0) {
        return error_set(err, MULTIFD_ERROR_METHOD, "recv_setup was to fail");
    }
    p->compress_data = mock_object(1);
    return 0;
}

static void recv_cleanup(struct multifd_recv_params *p)
{
    mock_enter("recv_cleanup");
    if (p->compress_data != NULL) {
        mock_object_free(p->compress_data);
        p->compress_data = NULL;
    }
}

static bool in_staging(const uint8_t *payload)
{
    return rig.reader.staging.memory != NULL && payload >= rig.reader.staging.memory &&
           payload < rig.reader.staging.memory + rig.reader.staging.bytes;
}

static int recv_pages(struct multifd_recv_params *p, struct multifd_error *err)
{
    rig.hook.seen = *p;
    if (mock_enter("recv") != 0) {
        return error_set(err, MULTIFD_ERROR_METHOD, "recv was to fail");
    }
    if (p->payload != NULL) {
        rig.hook.in_slot = in_staging(p->payload);
        if (rig.hook.overwrite) {
            memset(rig.reader.staging.memory, 0xff, rig.reader.staging.bytes);
        }
        rig.hook.first = p->payload[0];
        rig.hook.last = p->payload[p->next_packet_size - 1];
    }
    return 0;
}

const struct multifd_methods rig_method = {
    .recv_setup = recv_setup, .recv_cleanup = recv_cleanup, .recv = recv_pages};

int rig_prepare(void **state)
{
    struct multifd_error err;

    mock_setup(state);
    memset(&rig, 0, sizeof(rig));
    rig.ram = ram;
    rig.vga = vga;
    memset(ram, RAM_BYTE, sizeof(ram));
    memset(vga, VGA_BYTE, sizeof(vga));
    rig.config = (struct packet_reader_config){.blocks = &table,
                                               .method = &rig_method,
                                               .endpoint = &fake_memory_endpoint,
                                               .page_size = PAGE,
                                               .page_count = PAGES,
                                               .slots = SLOTS,
                                               .zero_pages = true};
    return ram_table_add(&table, "pc.ram", ram, sizeof(ram), PAGE, &err) == NULL ||
                   ram_table_add(&table, "vga", vga, sizeof(vga), PAGE, &err) == NULL
               ? -1
               : 0;
}

int rig_clear(void **state)
{
    ram_table_clear(&table);
    return mock_teardown(state);
}

int rig_make(void **state)
{
    struct multifd_error err;

    return rig_prepare(state) != 0 ? -1 : packet_reader_init(&rig.reader, &rig.config, 9, &err);
}

int rig_release(void **state)
{
    struct multifd_error err;
    int status = packet_reader_release(&rig.reader, &err);

    packet_reader_fini(&rig.reader);
    return rig_clear(state) != 0 ? -1 : status;
}

int rig_make_in_place(void **state)
{
    struct multifd_error err;

    if (rig_prepare(state) != 0) {
        return -1;
    }
    rig.config.slots = 0;
    return packet_reader_init(&rig.reader, &rig.config, 9, &err);
}

int rig_make_stream(void **state)
{
    struct multifd_error err;

    if (rig_prepare(state) != 0) {
        return -1;
    }
    rig.config.stream = true;
    rig.config.form = PACKET_STREAM;
    rig.config.slots = 1;
    return packet_reader_init(&rig.reader, &rig.config, 9, &err);
}

static void name_runs(const struct sent *sent, struct multifd_packet *packet)
{
    if (sent->normal_num == 0 && sent->zero_num != 0 && !rig.config.stream) {
        packet->zero_runs = sent->zero_num;
        packet->zero_pages = sent->run_pages != 0 ? sent->run_pages : sent->zero_num;
    }
}

int rig_begin(const struct sent *sent, struct multifd_error *err)
{
    uint8_t bytes[PACKET_FIXED + 8 * PAGES];
    struct multifd_packet packet = {.magic = PACKET_MAGIC,
                                    .version = PACKET_VERSION,
                                    .flags = sent->flags,
                                    .pages_alloc = PAGES,
                                    .normal_pages = sent->normal_num,
                                    .next_packet_size = sent->length,
                                    .packet_num = sent->packet_num,
                                    .zero_pages = sent->zero_num,
                                    .sync_channels = sent->sync_channels};
    struct transport_message message = {.bytes = bytes};

    if (sent->packet_num == 0) {
        packet.packet_num = rig.reader.next_num;
    }
    if (sent->block != NULL) {
        strcpy(packet.ramblock, sent->block);
    }
    name_runs(sent, &packet);
    message.length = packet_encode(&packet, sent->offsets, sent->offsets + sent->normal_num, bytes);
    if (rig.config.stream) {
        message.length = packet_pad(bytes, message.length, PAGES);
    }
    return packet_reader_begin(&rig.reader, &message, err);
}

int rig_try_take(const struct sent *sent, struct multifd_error *err)
{
    return rig_begin(sent, err) != 0 || packet_reader_end(&rig.reader, err) != 0 ? -1 : 0;
}

void rig_take(const struct sent *sent)
{
    struct multifd_error err = ERROR_UNTOUCHED;
    uint64_t messages = rig.reader.messages;

    assert_int_equal(rig_try_take(sent, &err), 0);
    assert_untouched(&err);
    assert_int_equal(rig.reader.messages, messages + 1);
    assert_int_equal(rig.reader.next_num, rig.reader.packet.packet_num + 1);
}

void rig_refuses(const struct sent *sent, const char *part)
{
    struct multifd_error err = ERROR_UNTOUCHED;
    uint64_t messages = rig.reader.messages;
    uint64_t next = rig.reader.next_num;
    unsigned calls = mock_calls("recv");

    memcpy(before, ram, sizeof(ram));
    assert_int_equal(rig_try_take(sent, &err), -1);
    assert_error(&err, MULTIFD_ERROR_PROTOCOL, part);
    assert_memory_equal(ram, before, sizeof(ram));
    assert_int_equal(rig.reader.messages, messages);
    assert_int_equal(rig.reader.next_num, next);
    assert_int_equal(mock_calls("recv"), calls);
}

void rig_take_sync(void)
{
    const struct sent sync = {.flags = MULTIFD_FLAG_SYNC,
                              .sync_channels = rig.config.stream ? 0 : 2};

    rig_take(&sync);
    assert_int_equal(rig.reader.packet.flags, MULTIFD_FLAG_SYNC);
}
