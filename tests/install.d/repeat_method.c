/* SPDX-License-Identifier: MIT */
/*
 * The payload of a packet: for each of its normal pages, in their order, a byte that says what
 * follows (TAG_WORD or TAG_PAGE) and then the word or the page.
 *
 * multifd_method.h tells what the engine wants of each hook; the comments here tell how that is
 * kept.
 */
#include "repeat_method.h"

#include <multifd_error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TAG_PAGE 0u
#define TAG_WORD 1u
#define WORD     8u

/* Errors are the caller's struct, filled; the engine adds the channel and keeps the first. */
static int fail(struct multifd_error *err, enum multifd_error_code code, const char *text)
{
    err->code = code;
    err->channel = MULTIFD_NO_CHANNEL;
    (void)snprintf(err->message, sizeof(err->message), "method repeat: %s", text);
    return -1;
}

/* ---- Source ---- */

/*
 * Once per channel, on the channel's thread, as are all hooks: no lock is needed for what hangs on
 * compress_data. Here that is a page's copy.
 */
static int send_setup(struct multifd_send_params *p, struct multifd_error *err)
{
    /* Slot 0 is the header's. All are there for multifd_send_uncompressed. */
    p->iov = calloc(p->page_count + 1, sizeof(*p->iov));
    p->compress_data = malloc(p->page_size);
    if (p->iov == NULL || p->compress_data == NULL) {
        return fail(err, MULTIFD_ERROR_SYSTEM, "no memory"); /* send_cleanup frees the other */
    }
    return 0;
}

static void send_cleanup(struct multifd_send_params *p)
{
    free(p->compress_data);
    free(p->iov);
    p->compress_data = NULL;
    p->iov = NULL;
}

static int is_one_word(const uint8_t *page, uint32_t size)
{
    /* Each byte equals the one a word before it. */
    return memcmp(page, page + WORD, size - WORD) == 0;
}

static uint32_t put(uint8_t *to, uint8_t tag, const uint8_t *from, uint32_t bytes)
{
    to[0] = tag;
    memcpy(to + 1, from, bytes);
    return 1 + bytes;
}

/*
 * The zero pages are not among `normal` any more, and there is at least one page. The payload must
 * be smaller than the pages, or they go as they are, at no cost for anybody.
 */
static int send_prepare(struct multifd_send_params *p, struct multifd_error *err)
{
    const uint32_t whole = p->normal_num * p->page_size;
    uint8_t *copy = p->compress_data;
    uint32_t used = 0;

    (void)err; /* nothing can fail */
    for (uint32_t i = 0; i < p->normal_num; i++) {
        /* The guest may be writing to it: what is looked at must be what is sent. */
        memcpy(copy, p->host + p->normal[i], p->page_size);
        int repeats = is_one_word(copy, p->page_size);
        uint32_t bytes = repeats ? WORD : p->page_size;

        if (used + 1 + bytes >= whole || used + 1 + bytes > p->payload_max) {
            return multifd_send_uncompressed(p);
        }
        used += put(p->payload + used, repeats ? TAG_WORD : TAG_PAGE, copy, bytes);
    }
    p->iov[1].iov_base = p->payload;
    p->iov[1].iov_len = used;
    p->iovs_num = 2;
    p->next_packet_size = used;
    p->flags |= REPEAT_FLAG;
    multifd_send_fill_packet(p); /* last: it writes what was set above into the header */
    return 0;
}

/* ---- Destination ---- */

static void repeat_word(uint8_t *page, uint32_t size, const uint8_t *word)
{
    for (uint32_t at = 0; at < size; at += WORD) {
        memcpy(page + at, word, WORD);
    }
}

/*
 * The pages are validated, and lie in the RAM block; flags and payload are what the peer says they
 * are. What it names must be there, and exactly all of it, and nothing but the pages is written.
 */
static int recv_packet(struct multifd_recv_params *p, struct multifd_error *err)
{
    uint32_t at = 0;

    if (p->flags != REPEAT_FLAG || p->payload == NULL) { /* NULL: as large as the pages */
        return fail(err, MULTIFD_ERROR_PROTOCOL, "the packet is not of this method");
    }
    for (uint32_t i = 0; i < p->normal_num; i++) {
        uint8_t *page = p->host + p->normal[i];
        uint32_t left = p->next_packet_size - at;
        uint8_t tag = left > 0 ? p->payload[at] : TAG_PAGE;
        uint32_t bytes = tag == TAG_WORD ? WORD : p->page_size;

        if (tag > TAG_WORD) {
            return fail(err, MULTIFD_ERROR_PROTOCOL, "a page of no known kind");
        }
        if (left < 1 + bytes) {
            return fail(err, MULTIFD_ERROR_PROTOCOL, "the payload is cut off");
        }
        if (tag == TAG_WORD) {
            repeat_word(page, p->page_size, p->payload + at + 1);
        } else {
            memcpy(page, p->payload + at + 1, p->page_size);
        }
        at += 1 + bytes;
    }
    if (at != p->next_packet_size) {
        return fail(err, MULTIFD_ERROR_PROTOCOL, "something follows the last page");
    }
    return 0;
}

/* Receiving needs nothing of its own: recv_setup and recv_cleanup stay NULL. */
const struct multifd_methods repeat_method = {
    .send_setup = send_setup,
    .send_cleanup = send_cleanup,
    .send_prepare = send_prepare,
    .recv = recv_packet,
};
