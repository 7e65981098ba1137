/* SPDX-License-Identifier: MIT */
#include "compress/pages.h"

#include "core/base/error.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

int pages_alloc(struct multifd_send_params *p, uint8_t **copy, struct multifd_error *err)
{
    p->write_flags |= p->stream != 0 ? MULTIFD_WRITE_FLAG_STREAM : 0;
    p->iov = calloc(p->page_count + 1, sizeof(*p->iov)); /* slot 0 is the header's */
    *copy = calloc(p->page_count, p->page_size);
    return p->iov == NULL || *copy == NULL ? error_set_nomem(err) : 0;
}

size_t pages_copy(const struct multifd_send_params *p, uint8_t *copy)
{
    for (uint32_t i = 0; i < p->normal_num; i++) {
        memcpy(copy + (size_t)i * p->page_size, p->host + p->normal[i], p->page_size);
    }
    return (size_t)p->normal_num * p->page_size;
}

size_t pages_payload_room(const struct multifd_send_params *p, size_t bytes)
{
    if (p->stream != 0) {
        return p->payload_max;
    }
    return p->payload_max < bytes ? p->payload_max : bytes - 1;
}

int pages_send_payload(struct multifd_send_params *p, size_t length, uint32_t flag)
{
    p->iov[1] = (struct iovec){.iov_base = p->payload, .iov_len = length};
    p->iovs_num = 2;
    p->next_packet_size = (uint32_t)length;
    p->flags |= flag;
    multifd_send_fill_packet(p);
    return 0;
}

size_t pages_bytes(const struct multifd_recv_params *p)
{
    return (size_t)p->normal_num * p->page_size;
}

int pages_check(const struct multifd_recv_params *p, uint32_t flag, const char *method,
                struct multifd_error *err)
{
    if ((p->flags & MULTIFD_FLAG_COMPRESSION_MASK) != flag) {
        return error_set(err, MULTIFD_ERROR_PROTOCOL,
                         "packet refused: flags 0x%x on a session with %s", p->flags, method);
    }
    if (p->payload == NULL || p->next_packet_size == 0 ||
        (p->stream == 0 && p->next_packet_size >= pages_bytes(p))) {
        return error_set(err, MULTIFD_ERROR_PROTOCOL,
                         "packet refused: a compressed payload of %u bytes for %u pages of %u "
                         "bytes",
                         p->next_packet_size, p->normal_num, p->page_size);
    }
    return 0;
}

int pages_output_alloc(struct multifd_recv_params *p, uint8_t **buffer, struct multifd_error *err)
{
    p->write_flags |= p->stream != 0 ? MULTIFD_WRITE_FLAG_STREAM : 0;
    *buffer = NULL;
    if (p->page_count == 1) { /* one page is never apart, and may be a large one */
        return 0;
    }
    *buffer = calloc(p->page_count, p->page_size);
    return *buffer == NULL ? error_set_nomem(err) : 0;
}

static bool adjacent(const struct multifd_recv_params *p)
{
    for (uint32_t i = 1; i < p->normal_num; i++) {
        if (p->normal[i] != p->normal[i - 1] + p->page_size) {
            return false;
        }
    }
    return true;
}

uint8_t *pages_output(const struct multifd_recv_params *p, uint8_t *buffer)
{
    return adjacent(p) ? p->host + p->normal[0] : buffer;
}

void pages_scatter(const struct multifd_recv_params *p, const uint8_t *output)
{
    if (output == p->host + p->normal[0]) {
        return;
    }
    for (uint32_t i = 0; i < p->normal_num; i++) {
        memcpy(p->host + p->normal[i], output + (size_t)i * p->page_size, p->page_size);
    }
}

int pages_check_end(const struct multifd_recv_params *p, size_t made, size_t unread,
                    struct multifd_error *err)
{
    if (made < pages_bytes(p)) {
        return error_set(err, MULTIFD_ERROR_PROTOCOL,
                         "packet refused: the payload ends before its pages, after %zu of %zu "
                         "bytes",
                         made, pages_bytes(p));
    }
    if (unread != 0) {
        return error_set(err, MULTIFD_ERROR_PROTOCOL,
                         "packet refused: %zu bytes behind the end of the payload", unread);
    }
    return 0;
}

int pages_refuse_longer(struct multifd_error *err)
{
    return error_set(err, MULTIFD_ERROR_PROTOCOL,
                     "packet refused: the payload holds more than its pages");
}

int pages_refuse_cut(struct multifd_error *err)
{
    return error_set(err, MULTIFD_ERROR_PROTOCOL, "packet refused: the payload is cut off");
}
