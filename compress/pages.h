/* SPDX-License-Identifier: MIT */
/*
 * pages - what the methods that compress have in common: the pages of a packet as one piece of
 * memory, and the checks that do not depend on the format. Over a byte stream their payloads are
 * one stream, as QEMU's are; else each is complete by itself.
 *
 * Sending: pages_alloc once; for each packet pages_copy, then pages_send_payload or
 * multifd_send_uncompressed. Receiving: for each packet pages_check, pages_output, pages_check_end,
 * pages_scatter.
 */
#ifndef MULTIFD_COMPRESS_PAGES_H
#define MULTIFD_COMPRESS_PAGES_H

#include <multifd_method.h>
#include <stddef.h>

/*
 * Allocates p->iov and, into *copy, zeroed room for the pages of the largest packet. The caller
 * frees both, after a failure too.
 */
int pages_alloc(struct multifd_send_params *p, uint8_t **copy, struct multifd_error *err);

/*
 * Copies the packet's pages to `copy` and returns their bytes. The guest may write to its pages at
 * any time, and neither deflate nor zstd may see its input change: they look at a byte when they
 * search for a match, when they count symbols and when they write it, and what they make of
 * different answers need not decode at all. What the copy holds of a page that is being written
 * does not matter, for that page is sent again.
 */
size_t pages_copy(const struct multifd_send_params *p, uint8_t *copy);

/* The most bytes of payload that are worth sending for pages of so many bytes; in a stream all. */
size_t pages_payload_room(const struct multifd_send_params *p, size_t bytes);

/* Sends the first `length` bytes of p->payload with that method's flag. Returns 0. */
int pages_send_payload(struct multifd_send_params *p, size_t length, uint32_t flag);

/* Bytes of the packet's pages. */
size_t pages_bytes(const struct multifd_recv_params *p);

/* Refuses a packet that cannot come from this method; to be called before all others. */
int pages_check(const struct multifd_recv_params *p, uint32_t flag, const char *method,
                struct multifd_error *err);

/*
 * Allocates, into *buffer, room for the output of packets whose pages are apart; leaves it NULL on
 * a channel whose packets have one page. The caller frees it, after a failure too.
 */
int pages_output_alloc(struct multifd_recv_params *p, uint8_t **buffer, struct multifd_error *err);

/*
 * Where pages_bytes of output go: the pages themselves when they are adjacent and in order, else
 * `buffer`, from where pages_scatter copies them to their places.
 */
uint8_t *pages_output(const struct multifd_recv_params *p, uint8_t *buffer);
void pages_scatter(const struct multifd_recv_params *p, const uint8_t *output);

/* Refuses a payload that decoded to less than its pages, or has bytes behind its end. */
int pages_check_end(const struct multifd_recv_params *p, size_t made, size_t unread,
                    struct multifd_error *err);

/* Refuses a payload that would decode to more than its pages, or stops before its end. */
int pages_refuse_longer(struct multifd_error *err);
int pages_refuse_cut(struct multifd_error *err);

#endif
