/* SPDX-License-Identifier: MIT */
#include "compress/nocomp.h"

#include "core/base/error.h"

#include <stdlib.h>

static int nocomp_send_setup(struct multifd_send_params *p, struct multifd_error *err)
{
    p->iov = calloc(p->page_count + 1, sizeof(*p->iov)); /* slot 0 is the header's */
    if (p->iov == NULL) {
        return error_set_nomem(err);
    }
    p->write_flags |= MULTIFD_WRITE_FLAG_ZERO_COPY;
    return 0;
}

static void nocomp_send_cleanup(struct multifd_send_params *p)
{
    free(p->iov);
    p->iov = NULL;
}

/*
 * One slot for each run: pages that are adjacent in the block and were queued one after the other.
 */
int multifd_send_uncompressed(struct multifd_send_params *p)
{
    struct iovec *last = p->iov;
    uint64_t end = UINT64_MAX;

    for (uint32_t i = 0; i < p->normal_num; i++) {
        if (p->normal[i] == end) {
            last->iov_len += p->page_size;
        } else {
            last++;
            last->iov_base = (void *)(uintptr_t)(p->host + p->normal[i]); /* read only */
            last->iov_len = p->page_size;
        }
        end = p->normal[i] + p->page_size;
    }
    p->iovs_num = (uint32_t)(last - p->iov) + 1;
    p->next_packet_size = p->normal_num * p->page_size;
    p->flags |= MULTIFD_FLAG_NOCOMP;
    multifd_send_fill_packet(p);
    return 0;
}

static int nocomp_send_prepare(struct multifd_send_params *p, struct multifd_error *err)
{
    (void)err;
    return multifd_send_uncompressed(p);
}

/*
 * The pages are in place: nocomp has nothing to do but to check that the header says what happened.
 */
static int nocomp_recv(struct multifd_recv_params *p, struct multifd_error *err)
{
    if ((p->flags & MULTIFD_FLAG_COMPRESSION_MASK) != MULTIFD_FLAG_NOCOMP) {
        return error_set(err, MULTIFD_ERROR_PROTOCOL,
                         "packet refused: flags 0x%x on a session without compression", p->flags);
    }
    if (p->next_packet_size != p->normal_num * p->page_size) {
        return error_set(err, MULTIFD_ERROR_PROTOCOL,
                         "packet refused: a payload of %u bytes for %u pages of %u bytes",
                         p->next_packet_size, p->normal_num, p->page_size);
    }
    return 0;
}

const struct multifd_methods multifd_nocomp_ops = {
    .send_setup = nocomp_send_setup,
    .send_cleanup = nocomp_send_cleanup,
    .send_prepare = nocomp_send_prepare,
    .recv = nocomp_recv,
};
