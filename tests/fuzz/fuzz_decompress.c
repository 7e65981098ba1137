/* SPDX-License-Identifier: MIT */
/*
 * Input: a byte that chooses the method (bit 0), the packet's pages (bits 1 and 2) and the form
 * (bit 3), then a payload as a hostile source would write it. Nothing but those pages may change, a
 * refusal says why, and a channel that has refused a payload treats the next one as a new channel
 * would. In the form of a stream the payload is several pieces, each behind its length as u16, and
 * two channels make the same of them.
 */
#include "fuzz.h"

#include "compress/zlib.h"
#include "compress/zstd.h"

#define PAGE      512u
#define PAGES     4u
#define RAM_PAGES 10u
#define CANARY    0xc5

struct layout {
    uint32_t num;
    uint64_t offsets[PAGES];
};

static const struct layout layouts[] = {
    {1, {3 * PAGE}},
    {3, {2 * PAGE, 3 * PAGE, 4 * PAGE}},
    {4, {8 * PAGE, PAGE, 6 * PAGE, 4 * PAGE}},
    {2, {5 * PAGE, 4 * PAGE}},
};

static const struct {
    const struct multifd_methods *ops;
    uint32_t flag;
} methods[] = {
    {&multifd_zlib_ops, MULTIFD_FLAG_ZLIB},
    {&multifd_zstd_ops, MULTIFD_FLAG_ZSTD},
};

static int is_named(const struct layout *layout, uint64_t offset)
{
    for (uint32_t i = 0; i < layout->num; i++) {
        if (layout->offsets[i] == offset) {
            return 1;
        }
    }
    return 0;
}

static void check_canaries(const uint8_t *ram, const struct layout *layout)
{
    for (uint64_t at = 0; at < RAM_PAGES * PAGE; at++) {
        FUZZ_CHECK(ram[at] == CANARY || is_named(layout, at / PAGE * PAGE));
    }
}

/* Returns whether the payload was taken. */
static int receive(const struct multifd_methods *ops, struct multifd_recv_params *p,
                   const struct layout *layout)
{
    struct multifd_error err;
    int status;

    memset(p->host, CANARY, RAM_PAGES * PAGE);
    fuzz_error_poison(&err);
    status = ops->recv(p, &err);
    if (status != 0) {
        fuzz_check_refusal(&err);
        FUZZ_CHECK(err.code == MULTIFD_ERROR_PROTOCOL);
        FUZZ_CHECK(strncmp(err.message, "packet refused: ", 16) == 0);
    }
    check_canaries(p->host, layout);
    return status == 0;
}

/* Takes pieces until one is refused; returns how many were taken. */
static unsigned receive_pieces(const struct multifd_methods *ops, struct multifd_recv_params *p,
                               const struct layout *layout, const uint8_t *data, size_t size)
{
    struct multifd_error err;
    unsigned taken = 0;

    FUZZ_CHECK(ops->recv_setup(p, &err) == 0);
    FUZZ_CHECK(p->write_flags == MULTIFD_WRITE_FLAG_STREAM);
    while (size >= 2) {
        size_t length = (size_t)data[0] << 8 | data[1];

        data += 2;
        size -= 2;
        length = length < size ? length : size;
        p->payload = data;
        p->next_packet_size = (uint32_t)length;
        data += length;
        size -= length;
        if (!receive(ops, p, layout)) {
            break;
        }
        taken++;
    }
    ops->recv_cleanup(p);
    FUZZ_CHECK(p->compress_data == NULL);
    return taken;
}

static void take_stream(const struct multifd_methods *ops, struct multifd_recv_params *p,
                        const struct layout *layout, const uint8_t *data, size_t size)
{
    uint8_t *ram = malloc((size_t)RAM_PAGES * PAGE);
    uint8_t *again = malloc((size_t)RAM_PAGES * PAGE);
    unsigned taken;

    FUZZ_CHECK(ram != NULL && again != NULL);
    p->stream = 1;
    p->host = ram;
    taken = receive_pieces(ops, p, layout, data, size);
    p->host = again;
    FUZZ_CHECK(receive_pieces(ops, p, layout, data, size) == taken);
    free(ram);
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct multifd_recv_params p = {.page_size = PAGE, .page_count = PAGES};
    const struct multifd_methods *ops;
    const struct layout *layout;
    struct multifd_error err;
    uint8_t *ram, *again;
    int taken;

    if (size == 0 || size > UINT16_MAX) {
        return 0;
    }
    ops = methods[data[0] & 1].ops;
    layout = &layouts[data[0] >> 1 & 3];
    p.normal = layout->offsets;
    p.normal_num = layout->num;
    p.flags = methods[data[0] & 1].flag;
    if ((data[0] & 8) != 0) {
        take_stream(ops, &p, layout, data + 1, size - 1);
        return 0;
    }
    ram = malloc((size_t)RAM_PAGES * PAGE);
    again = malloc((size_t)RAM_PAGES * PAGE);
    FUZZ_CHECK(ram != NULL && again != NULL);
    p.payload = data + 1;
    p.next_packet_size = (uint32_t)size - 1;
    FUZZ_CHECK(ops->recv_setup(&p, &err) == 0);
    p.host = ram;
    taken = receive(ops, &p, layout);
    p.host = again;
    FUZZ_CHECK(receive(ops, &p, layout) == taken);
    FUZZ_CHECK(!taken || memcmp(ram, again, (size_t)RAM_PAGES * PAGE) == 0);
    ops->recv_cleanup(&p);
    FUZZ_CHECK(p.compress_data == NULL);
    free(ram);
    free(again);
    return 0;
}
