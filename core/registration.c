/* SPDX-License-Identifier: MIT */
#include "core/registration.h"

#include "core/base/checked.h"
#include "core/base/error.h"

#include <string.h>

/*
 * Where all is pinned, large pieces cost the least. On demand a piece is what a single page that is
 * not zero pins: small, but not so small that asking for the next takes longer than sending this.
 */
#define PIECE_LARGE (UINT64_C(1) << 30)
#define PIECE_SMALL (UINT64_C(4) << 20)

/* More pieces than this are a burden for the device and for the table of them. */
#define PIECES_MANY 65536u

/* A piece of 2^63 bytes holds any block. */
#define WHOLE_BLOCK_SHIFT 63u

static bool on_demand(const struct session *session)
{
    return session->options.registration == REGISTRATION_ON_DEMAND;
}

uint64_t registration_piece_size(const struct session *session)
{
    uint64_t size = on_demand(session) ? PIECE_SMALL : PIECE_LARGE;

    if (session->options.piece_size != 0) {
        return session->options.piece_size;
    }
    while (size < session->options.page_size ||
           ram_table_bytes(&session->blocks) / size > PIECES_MANY) {
        size *= 2;
    }
    return size;
}

int registration_check_memory(const struct session *session, struct multifd_error *err)
{
    struct transport_endpoint *endpoint = session->endpoint;

    if (session->options.registration != REGISTRATION_ALL) {
        return 0; /* nobody knows how much it will be */
    }
    return endpoint->ops->check_memory(endpoint, ram_table_bytes(&session->blocks), err);
}

static const char *this_side(const struct session *session)
{
    return strcmp(session->peer, "source") == 0 ? "destination" : "source";
}

int registration_check_device(const struct session *session, struct multifd_error *err)
{
    struct transport_limits limits;

    if (session->endpoint->stream) {
        return 0;
    }
    session->endpoint->ops->limits(session->endpoint, &limits);
    if (session->options.page_size > limits.max_message) {
        return error_set(err, MULTIFD_ERROR_LIMIT,
                         "page-size %u is above the device's limit: max_msg_sz %llu",
                         session->options.page_size, (unsigned long long)limits.max_message);
    }
    if (session->options.registration == REGISTRATION_ODP && !limits.on_demand) {
        return error_set(err, MULTIFD_ERROR_LIMIT,
                         "registration odp needs on-demand paging, which the device of the %s "
                         "does not have (see: multifd devices)",
                         this_side(session));
    }
    return 0;
}

uint64_t registration_pieces(const struct session *session)
{
    uint64_t pieces = 0;

    for (uint32_t i = 0; i < session->blocks.num; i++) {
        pieces += session->blocks.blocks[i]->pieces_num;
    }
    return pieces;
}

static int split_blocks(struct session *session, uint64_t max_memory, struct multifd_error *err)
{
    uint32_t shift = log2_of(session->options.piece_size);

    for (uint32_t i = 0; i < session->blocks.num; i++) {
        struct multifd_ram_block *block = session->blocks.blocks[i];

        if (ram_block_split(block, shift, err) != 0) {
            return -1;
        }
        if (ram_block_piece_length(block, 0) > max_memory) {
            return error_set(err, MULTIFD_ERROR_LIMIT,
                             "piece-size %llu is above the device's limit: max_mr_size %llu",
                             (unsigned long long)session->options.piece_size,
                             (unsigned long long)max_memory);
        }
    }
    return 0;
}

int registration_split(struct session *session, struct multifd_error *err)
{
    struct transport_limits limits;

    session->endpoint->ops->limits(session->endpoint, &limits);
    if (split_blocks(session, limits.max_memory, err) != 0) {
        return -1;
    }
    /* On demand too: to fail then, in the midst of a migration, would be too late. */
    if (registration_pieces(session) > limits.max_regions) {
        return error_set(
            err, MULTIFD_ERROR_LIMIT,
            "with piece-size %llu there are %llu pieces, above the device's limit: max_mr %llu",
            (unsigned long long)session->options.piece_size,
            (unsigned long long)registration_pieces(session),
            (unsigned long long)limits.max_regions);
    }
    return registration_check_memory(session, err);
}

int registration_skip(struct session *session, struct multifd_error *err)
{
    for (uint32_t i = 0; i < session->blocks.num; i++) {
        if (ram_block_split(session->blocks.blocks[i], WHOLE_BLOCK_SHIFT, err) != 0) {
            return -1;
        }
    }
    return 0;
}
