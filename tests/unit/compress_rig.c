/* SPDX-License-Identifier: MIT */
#include "compress_rig.h"

#include <stdio.h>
#include <stdlib.h>

void multifd_send_fill_packet(struct multifd_send_params *p)
{
    /* It comes last: all that the header says is there. */
    assert_true(p->iovs_num >= 2);
    assert_true(p->next_packet_size >= 1);
    mock_enter("multifd_send_fill_packet");
}

static void *allocate(size_t size)
{
    void *memory = malloc(size);

    assert_non_null(memory);
    return memory;
}

static void make(struct rig *rig, const struct rig_method *method, uint32_t page_size,
                 uint32_t page_count, int level, uint32_t stream)
{
    struct multifd_error err = ERROR_UNTOUCHED;
    uint32_t payload_max;

    memset(rig, 0, sizeof(*rig));
    rig->method = method;
    rig->page_size = page_size;
    rig->page_count = page_count;
    rig->ram_bytes = (size_t)page_size * (2 * page_count + 2);
    rig->source = allocate(rig->ram_bytes);
    rig->destination = allocate(rig->ram_bytes);
    rig->offsets = allocate(page_count * sizeof(*rig->offsets));
    memset(rig->destination, RIG_CANARY, rig->ram_bytes);
    payload_max = page_size * page_count * (stream + 1);
    rig->send = (struct multifd_send_params){.page_size = page_size,
                                             .page_count = page_count,
                                             .stream = stream,
                                             .host = rig->source,
                                             .level = level,
                                             .payload = allocate(payload_max),
                                             .payload_max = payload_max};
    rig->recv = (struct multifd_recv_params){.page_size = page_size,
                                             .page_count = page_count,
                                             .stream = stream,
                                             .host = rig->destination};
    assert_int_equal(method->ops->send_setup(&rig->send, &err), 0);
    assert_int_equal(method->ops->recv_setup(&rig->recv, &err), 0);
    assert_untouched(&err);
}

void rig_make(struct rig *rig, const struct rig_method *method, uint32_t page_size,
              uint32_t page_count, int level)
{
    make(rig, method, page_size, page_count, level, 0);
}

void rig_make_stream(struct rig *rig, const struct rig_method *method, uint32_t page_size,
                     uint32_t page_count, int level)
{
    make(rig, method, page_size, page_count, level, 1);
}

void rig_renew_receiver(struct rig *rig)
{
    struct multifd_error err;

    rig->method->ops->recv_cleanup(&rig->recv);
    assert_int_equal(rig->method->ops->recv_setup(&rig->recv, &err), 0);
}

void rig_release(struct rig *rig)
{
    rig->method->ops->send_cleanup(&rig->send);
    rig->method->ops->recv_cleanup(&rig->recv);
    assert_null(rig->send.iov);
    assert_null(rig->send.compress_data);
    assert_null(rig->recv.compress_data);
    free(rig->send.payload);
    free(rig->offsets);
    free(rig->source);
    free(rig->destination);
}

static void reset_pages(struct rig *rig)
{
    for (uint32_t i = 0; i < rig->pages; i++) {
        memset(rig->destination + rig->offsets[i], RIG_CANARY, rig->page_size);
    }
}

static void name_pages(struct rig *rig, uint32_t pages)
{
    assert_true(pages >= 1 && pages <= rig->page_count);
    reset_pages(rig); /* those of the packet before */
    rig->pages = pages;
    rig->send.normal = rig->offsets;
    rig->send.normal_num = pages;
    rig->recv.normal = rig->offsets;
    rig->recv.normal_num = pages;
}

void rig_adjacent(struct rig *rig, uint32_t pages)
{
    name_pages(rig, pages);
    for (uint32_t i = 0; i < pages; i++) {
        rig->offsets[i] = (uint64_t)(i + 1) * rig->page_size;
    }
}

void rig_every_other(struct rig *rig, uint32_t pages)
{
    name_pages(rig, pages);
    for (uint32_t i = 0; i < pages; i++) {
        rig->offsets[i] = (uint64_t)(2 * i + 1) * rig->page_size;
    }
}

void rig_backwards(struct rig *rig, uint32_t pages)
{
    name_pages(rig, pages);
    for (uint32_t i = 0; i < pages; i++) {
        rig->offsets[i] = (uint64_t)(pages - i) * rig->page_size;
    }
}

uint32_t rig_random(void)
{
    static uint32_t x = 2463534242u;

    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return x;
}

void rig_fill_zero(struct rig *rig)
{
    memset(rig->source, 0, rig->ram_bytes);
}

void rig_fill_random(struct rig *rig)
{
    for (size_t i = 0; i < rig->ram_bytes; i += sizeof(uint32_t)) {
        const uint32_t value = rig_random();

        memcpy(rig->source + i, &value, sizeof(value));
    }
}

void rig_fill_text(struct rig *rig)
{
    char word[16];
    int length;

    for (size_t i = 0; i < rig->ram_bytes; i += (size_t)length) {
        length = snprintf(word, sizeof(word), "page %u, ", rig_random() % 1000);
        length = (size_t)length < rig->ram_bytes - i ? length : (int)(rig->ram_bytes - i);
        memcpy(rig->source + i, word, (size_t)length);
    }
}

void rig_fill_mixed(struct rig *rig)
{
    rig_fill_text(rig);
    for (size_t i = 0; i < rig->ram_bytes; i++) {
        if (i / rig->page_size % 4 == 1) { /* the first page of each packet, and others */
            rig->source[i] = (uint8_t)rig_random();
        }
    }
}

void rig_prepare(struct rig *rig)
{
    struct multifd_error err = ERROR_UNTOUCHED;
    unsigned filled = mock_calls("multifd_send_fill_packet");

    rig->send.flags = 0;
    rig->send.iovs_num = 0;
    rig->send.next_packet_size = 0;
    assert_int_equal(rig->method->ops->send_prepare(&rig->send, &err), 0);
    assert_untouched(&err);
    assert_int_equal(mock_calls("multifd_send_fill_packet"), filled + 1);
    mock_log_clear();
}

bool rig_is_compressed(const struct rig *rig)
{
    const struct multifd_send_params *p = &rig->send;
    size_t total = 0;

    for (uint32_t i = 1; i < p->iovs_num; i++) {
        total += p->iov[i].iov_len;
    }
    assert_int_equal(total, p->next_packet_size);
    if (p->flags == MULTIFD_FLAG_NOCOMP) {
        assert_int_equal(total, (size_t)rig->pages * rig->page_size);
        assert_ptr_equal(p->iov[1].iov_base, rig->source + rig->offsets[0]);
        return false;
    }
    assert_int_equal(p->flags, rig->method->flag);
    assert_int_equal(p->iovs_num, 2);
    assert_ptr_equal(p->iov[1].iov_base, p->payload);
    assert_true(p->stream != 0 || total < (size_t)rig->pages * rig->page_size);
    return true;
}

static bool all_canary(const uint8_t *bytes, size_t length)
{
    return bytes[0] == RIG_CANARY && memcmp(bytes, bytes + 1, length - 1) == 0;
}

static void assert_canaries(const struct rig *rig)
{
    for (uint64_t offset = 0; offset < rig->ram_bytes; offset += rig->page_size) {
        bool named = false;

        for (uint32_t i = 0; i < rig->pages && !named; i++) {
            named = rig->offsets[i] == offset;
        }
        if (!named && !all_canary(rig->destination + offset, rig->page_size)) {
            fail_msg("the page at %llu was written to", (unsigned long long)offset);
        }
    }
}

int rig_receive(struct rig *rig, const uint8_t *payload, size_t length, struct multifd_error *err)
{
    uint8_t *copy = allocate(length == 0 ? 1 : length); /* exactly that long, for sanitizers */
    int status;

    reset_pages(rig);
    memcpy(copy, payload, length);
    rig->recv.flags = rig->method->flag;
    rig->recv.payload = copy;
    rig->recv.next_packet_size = (uint32_t)length;
    status = rig->method->ops->recv(&rig->recv, err);
    assert_int_equal(memcmp(copy, payload, length), 0);
    free(copy);
    assert_canaries(rig);
    return status;
}

void rig_refuses(struct rig *rig, const uint8_t *payload, size_t length, const char *part)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    assert_int_equal(rig_receive(rig, payload, length, &err), -1);
    assert_error(&err, MULTIFD_ERROR_PROTOCOL, "packet refused: ");
    assert_error(&err, MULTIFD_ERROR_PROTOCOL, part);
}

void rig_assert_arrived(const struct rig *rig)
{
    for (uint32_t i = 0; i < rig->pages; i++) {
        assert_memory_equal(rig->destination + rig->offsets[i], rig->source + rig->offsets[i],
                            rig->page_size);
    }
}

void rig_pass(struct rig *rig)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    rig_prepare(rig);
    assert_true(rig_is_compressed(rig));
    assert_int_equal(rig_receive(rig, rig->send.payload, rig->send.next_packet_size, &err), 0);
    assert_untouched(&err);
    rig_assert_arrived(rig);
}
