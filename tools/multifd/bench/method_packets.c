/* SPDX-License-Identifier: MIT */
#include "method_packets.h"

#include "fail.h"

#include <stdlib.h>

#define HEADER_BYTES 320u /* and 8 for each page */

struct packet {
    uint32_t flags;
    uint32_t payload_bytes;
};

struct method_packets {
    struct method_input input;
    uint32_t page_count; /* most of a packet */
    size_t num;
    struct packet *packets;
    uint8_t *payloads; /* room for the pages of each packet, one after the other */
    uint8_t *header;
    struct multifd_send_params send;
    struct multifd_recv_params recv;
};

static uint32_t pages_of(const struct method_packets *packets, size_t packet)
{
    size_t left = packets->input.pages - packet * packets->page_count;

    return left < packets->page_count ? (uint32_t)left : packets->page_count;
}

static bool shrank(const struct packet *packet)
{
    return (packet->flags & MULTIFD_FLAG_COMPRESSION_MASK) != MULTIFD_FLAG_NOCOMP;
}

static uint8_t *payload_of(const struct method_packets *packets, size_t packet)
{
    return packets->payloads + packet * packets->page_count * packets->input.page_size;
}

/* ---- Life ---- */

static int set_up(struct method_packets *packets, struct multifd_error *err)
{
    const struct method_input *input = &packets->input;

    packets->send = (struct multifd_send_params){
        .page_size = input->page_size,
        .page_count = packets->page_count,
        .ramblock = "bench",
        .host = input->host,
        .level = input->level,
        .payload_max = packets->page_count * input->page_size,
        .packet = packets->header,
    };
    packets->recv = (struct multifd_recv_params){
        .page_size = input->page_size,
        .page_count = packets->page_count,
    };
    if (input->ops->send_setup(&packets->send, err) != 0) {
        return -1;
    }
    return input->ops->recv_setup != NULL ? input->ops->recv_setup(&packets->recv, err) : 0;
}

struct method_packets *method_packets_new(const struct method_input *input,
                                          struct multifd_error *err)
{
    struct method_packets *packets = calloc(1, sizeof(*packets));
    uint32_t fit = MULTIFD_PACKET_SIZE / input->page_size;

    if (packets == NULL) {
        (void)tool_fail(err, MULTIFD_ERROR_SYSTEM, "no memory");
        return NULL;
    }
    packets->input = *input;
    packets->page_count = fit > 0 ? fit : 1;
    packets->num = (input->pages + packets->page_count - 1) / packets->page_count;
    packets->packets = calloc(packets->num, sizeof(*packets->packets));
    packets->payloads = calloc(packets->num * packets->page_count, input->page_size);
    packets->header = calloc(1, HEADER_BYTES + 8 * (size_t)packets->page_count);
    if (packets->packets == NULL || packets->payloads == NULL || packets->header == NULL) {
        (void)tool_fail(err, MULTIFD_ERROR_SYSTEM, "no memory");
        free(packets->header);
        free(packets->payloads);
        free(packets->packets);
        free(packets);
        return NULL;
    }
    if (set_up(packets, err) != 0) {
        method_packets_delete(&packets);
    }
    return packets;
}

void method_packets_delete(struct method_packets **packets)
{
    struct method_packets *gone = *packets;

    if (gone == NULL) {
        return;
    }
    gone->input.ops->send_cleanup(&gone->send); /* after a failed setup, too */
    if (gone->input.ops->recv_cleanup != NULL) {
        gone->input.ops->recv_cleanup(&gone->recv);
    }
    free(gone->header);
    free(gone->payloads);
    free(gone->packets);
    free(gone);
    *packets = NULL;
}

/* ---- Work ---- */

int method_packets_compress(struct method_packets *packets, struct multifd_error *err)
{
    struct multifd_send_params *send = &packets->send;

    for (size_t i = 0; i < packets->num; i++) {
        send->normal = packets->input.offsets + i * packets->page_count;
        send->normal_num = pages_of(packets, i);
        send->packet_num = i;
        send->payload = payload_of(packets, i);
        send->flags = 0;
        send->next_packet_size = 0;
        if (packets->input.ops->send_prepare(send, err) != 0) {
            return -1;
        }
        packets->packets[i] = (struct packet){
            .flags = send->flags,
            .payload_bytes = send->next_packet_size,
        };
    }
    return 0;
}

int method_packets_decompress(struct method_packets *packets, uint8_t *host,
                              struct multifd_error *err)
{
    struct multifd_recv_params *recv = &packets->recv;

    recv->host = host;
    for (size_t i = 0; i < packets->num; i++) {
        const struct packet *packet = &packets->packets[i];

        recv->normal = packets->input.offsets + i * packets->page_count;
        recv->normal_num = pages_of(packets, i);
        recv->flags = packet->flags;
        recv->next_packet_size = packet->payload_bytes;
        recv->payload = payload_of(packets, i);
        if (shrank(packet) && packets->input.ops->recv(recv, err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* ---- What came of it ---- */

void method_packets_totals(const struct method_packets *packets, struct method_totals *totals)
{
    *totals = (struct method_totals){.packets = packets->num};
    for (size_t i = 0; i < packets->num; i++) {
        const struct packet *packet = &packets->packets[i];
        uint64_t bytes = (uint64_t)pages_of(packets, i) * packets->input.page_size;

        totals->payload_bytes += shrank(packet) ? packet->payload_bytes : bytes;
        totals->uncompressed += shrank(packet) ? 0 : 1;
        totals->shrunk_bytes += shrank(packet) ? bytes : 0;
    }
}

bool method_packets_shrank(const struct method_packets *packets, size_t page)
{
    return shrank(&packets->packets[page / packets->page_count]);
}
