/* SPDX-License-Identifier: MIT */
#include "spy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SPY_FLAG   (3u << 1) /* not QEMU's */
#define NO_CHANNEL 0xff

static struct {
    struct guest *source;
    struct guest *destination;
    bool whole_pages;
    uint8_t *carriers; /* of each page: the channel that carried it last */
    atomic_uint changes;
    atomic_uint applied;
} spy;

void spy_start(struct guest *source, struct guest *destination, bool whole_pages)
{
    spy.source = source;
    spy.destination = destination;
    spy.whole_pages = whole_pages;
    if (source != NULL) {
        spy.carriers = malloc(source->pages);
        if (spy.carriers == NULL) {
            perror("spy");
            exit(1);
        }
        memset(spy.carriers, NO_CHANNEL, source->pages);
    }
}

void spy_stop(void)
{
    free(spy.carriers);
    memset(&spy, 0, sizeof(spy));
}

void spy_round_applied(uint32_t round)
{
    atomic_store(&spy.applied, round);
}

uint32_t spy_take_changes(void)
{
    return atomic_exchange(&spy.changes, 0);
}

/* ---- Hooks of the source ---- */

static int send_setup(struct multifd_send_params *p, struct multifd_error *err)
{
    p->iov = calloc(p->page_count + 1, sizeof(*p->iov));
    if (p->iov == NULL) {
        err->code = MULTIFD_ERROR_SYSTEM;
        (void)snprintf(err->message, sizeof(err->message), "no memory");
        return -1;
    }
    p->write_flags |= MULTIFD_WRITE_FLAG_ZERO_COPY;
    return 0;
}

static void send_cleanup(struct multifd_send_params *p)
{
    free(p->iov);
    p->iov = NULL;
}

/* A page is in one packet of a round, and rounds follow each other: no two threads meet here. */
static void record(const struct multifd_send_params *p, uint32_t page)
{
    if (spy.carriers[page] != NO_CHANNEL && spy.carriers[page] != p->id) {
        atomic_fetch_add(&spy.changes, 1);
    }
    spy.carriers[page] = p->id;
}

/* One slot for each page: that adjacent ones become one WRITE is the transport's affair. */
static int send_prepare(struct multifd_send_params *p, struct multifd_error *err)
{
    (void)err;
    for (uint32_t i = 0; i < p->normal_num; i++) {
        p->iov[i + 1].iov_base = (void *)(uintptr_t)(p->host + p->normal[i]);
        p->iov[i + 1].iov_len = p->page_size;
        record(p, (uint32_t)(p->normal[i] / p->page_size));
    }
    p->iovs_num = p->normal_num + 1;
    p->next_packet_size = p->normal_num * p->page_size;
    p->flags |= SPY_FLAG;
    multifd_send_fill_packet(p);
    return 0;
}

/* ---- Hooks of the destination ---- */

static int refuse(struct multifd_error *err, const char *what, uint64_t number)
{
    err->code = MULTIFD_ERROR_METHOD;
    (void)snprintf(err->message, sizeof(err->message), "spy: %s: %llu", what,
                   (unsigned long long)number);
    return -1;
}

static int check_page(const struct multifd_recv_params *p, uint32_t page, struct multifd_error *err)
{
    const struct guest *guest = spy.destination;
    const _Atomic uint64_t *words =
        guest->words + (size_t)page * (guest->page_size / sizeof(*words));
    /* The round after the last that was applied: later, whoever announces rounds may lag by one. */
    uint32_t least = atomic_load(&spy.applied) + 1;
    uint32_t most = atomic_load(&spy.applied) + 2;

    if ((const uint8_t *)guest->words != p->host || page >= guest->pages) {
        return refuse(err, "a page outside of the RAM block", page);
    }
    if (spy.whole_pages && !guest_page_is_whole(words, page, guest->page_size, least, most)) {
        return refuse(err, "not all of this round's page is in place", page);
    }
    return 0;
}

static int recv_pages(struct multifd_recv_params *p, struct multifd_error *err)
{
    if (p->flags != SPY_FLAG) {
        return refuse(err, "flags of another method", p->flags);
    }
    if (p->next_packet_size != p->normal_num * p->page_size) {
        return refuse(err, "a payload of the wrong size", p->next_packet_size);
    }
    for (uint32_t i = 0; i < p->normal_num; i++) {
        if (check_page(p, (uint32_t)(p->normal[i] / p->page_size), err) != 0) {
            return -1;
        }
    }
    return 0;
}

int spy_register(struct multifd_options *options, struct multifd_error *err)
{
    static const struct multifd_methods ops = {
        .send_setup = send_setup,
        .send_cleanup = send_cleanup,
        .send_prepare = send_prepare,
        .recv = recv_pages,
    };

    return multifd_register_ops(options, SPY_FLAG, "spy", &ops, err);
}
