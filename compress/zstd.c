/* SPDX-License-Identifier: MIT */
#include "compress/zstd.h"

#include "compress/pages.h"
#include "core/base/error.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>
#include <zstd_errors.h>

struct zstd_sender {
    ZSTD_CCtx *context;
    uint8_t *copy;
};

struct zstd_receiver {
    ZSTD_DCtx *context;
    uint8_t *buffer; /* see pages_output */
    bool begun;      /* over a byte stream: the frame's beginning has come */
};

/*
 * Makes the context allocate now, not with the first packet, what a packet of all pages takes. The
 * header of a frame does not fit into one byte, so nothing is compressed. (After some hundred small
 * packets in a row libzstd may give memory back, and takes it again with the next large one.)
 */
static ZSTD_ErrorCode reserve(const struct zstd_sender *sender, size_t bytes)
{
    uint8_t none;
    size_t status = ZSTD_compress2(sender->context, &none, sizeof(none), sender->copy, bytes);
    ZSTD_ErrorCode code = ZSTD_getErrorCode(status);

    (void)ZSTD_CCtx_reset(sender->context, ZSTD_reset_session_only);
    return code == ZSTD_error_dstSize_tooSmall ? ZSTD_error_no_error : code;
}

static ZSTD_ErrorCode make_compressor(struct zstd_sender *sender, int level, size_t bytes)
{
    size_t status;

    sender->context = ZSTD_createCCtx();
    if (sender->context == NULL) {
        return ZSTD_error_memory_allocation;
    }
    status = ZSTD_CCtx_setParameter(sender->context, ZSTD_c_compressionLevel, level);
    if (ZSTD_isError(status)) {
        return ZSTD_getErrorCode(status);
    }
    return reserve(sender, bytes);
}

static int zstd_send_setup(struct multifd_send_params *p, struct multifd_error *err)
{
    struct zstd_sender *sender = calloc(1, sizeof(*sender));
    ZSTD_ErrorCode code;

    p->compress_data = sender;
    if (sender == NULL) {
        return error_set_nomem(err);
    }
    if (pages_alloc(p, &sender->copy, err) != 0) {
        return -1;
    }
    code = make_compressor(sender, p->level, (size_t)p->page_count * p->page_size);
    if (code != ZSTD_error_no_error) {
        return error_set(err, MULTIFD_ERROR_METHOD, "zstd: no compressor of level %d: %s", p->level,
                         ZSTD_getErrorString(code));
    }
    return 0;
}

static void zstd_send_cleanup(struct multifd_send_params *p)
{
    struct zstd_sender *sender = p->compress_data;

    if (sender != NULL) {
        (void)ZSTD_freeCCtx(sender->context);
        free(sender->copy);
        free(sender);
    }
    p->compress_data = NULL;
    free(p->iov);
    p->iov = NULL;
}

/* The next piece of a frame that never ends: flushed, so that it can be unpacked at once. */
static int compress_piece(struct multifd_send_params *p, const struct zstd_sender *sender,
                          size_t bytes, struct multifd_error *err)
{
    ZSTD_inBuffer in = {.src = sender->copy, .size = bytes};
    ZSTD_outBuffer out = {.dst = p->payload, .size = pages_payload_room(p, bytes)};
    size_t left = ZSTD_compressStream2(sender->context, &out, &in, ZSTD_e_flush);

    if (left != 0) { /* an error, or bytes for which there is no room */
        return error_set(err, MULTIFD_ERROR_METHOD, "zstd: %s", ZSTD_getErrorName(left));
    }
    return pages_send_payload(p, out.pos, MULTIFD_FLAG_ZSTD);
}

/* A payload that is a frame of its own. */
static int compress_frame(struct multifd_send_params *p, const struct zstd_sender *sender,
                          size_t bytes, struct multifd_error *err)
{
    size_t length = ZSTD_compress2(sender->context, p->payload, pages_payload_room(p, bytes),
                                   sender->copy, bytes);

    if (!ZSTD_isError(length)) {
        return pages_send_payload(p, length, MULTIFD_FLAG_ZSTD);
    }
    if (ZSTD_getErrorCode(length) == ZSTD_error_dstSize_tooSmall) {
        return multifd_send_uncompressed(p);
    }
    return error_set(err, MULTIFD_ERROR_METHOD, "zstd: %s", ZSTD_getErrorName(length));
}

static int zstd_send_prepare(struct multifd_send_params *p, struct multifd_error *err)
{
    const struct zstd_sender *sender = p->compress_data;
    size_t bytes = pages_copy(p, sender->copy);

    return p->stream != 0 ? compress_piece(p, sender, bytes, err)
                          : compress_frame(p, sender, bytes, err);
}

static int zstd_recv_setup(struct multifd_recv_params *p, struct multifd_error *err)
{
    struct zstd_receiver *receiver = calloc(1, sizeof(*receiver));

    p->compress_data = receiver;
    if (receiver == NULL) {
        return error_set_nomem(err);
    }
    if (pages_output_alloc(p, &receiver->buffer, err) != 0) {
        return -1;
    }
    receiver->context = ZSTD_createDCtx();
    if (receiver->context == NULL) {
        return error_set(err, MULTIFD_ERROR_METHOD, "zstd: no decompressor: %s",
                         ZSTD_getErrorString(ZSTD_error_memory_allocation));
    }
    return 0;
}

static void zstd_recv_cleanup(struct multifd_recv_params *p)
{
    struct zstd_receiver *receiver = p->compress_data;

    if (receiver != NULL) {
        (void)ZSTD_freeDCtx(receiver->context);
        free(receiver->buffer);
        free(receiver);
    }
    p->compress_data = NULL;
}

static int refuse(size_t status, struct multifd_error *err)
{
    switch (ZSTD_getErrorCode(status)) {
    case ZSTD_error_dstSize_tooSmall:
        return pages_refuse_longer(err);
    case ZSTD_error_srcSize_wrong:
        return pages_refuse_cut(err);
    case ZSTD_error_memory_allocation:
        return error_set(err, MULTIFD_ERROR_METHOD, "zstd: %s", ZSTD_getErrorName(status));
    default:
        return error_set(err, MULTIFD_ERROR_PROTOCOL, "packet refused: zstd: %s",
                         ZSTD_getErrorName(status));
    }
}

/*
 * A frame must be one of today's format: libzstd would also take frames of its first versions,
 * whose decoders are old and allocate memory, and skip such as hold no content at all.
 */
static int check_magic(const struct multifd_recv_params *p, struct multifd_error *err)
{
    static const uint8_t magic[] = {0x28, 0xb5, 0x2f, 0xfd};

    if (p->next_packet_size < sizeof(magic) || memcmp(p->payload, magic, sizeof(magic)) != 0) {
        return error_set(err, MULTIFD_ERROR_PROTOCOL,
                         "packet refused: zstd: the payload is not a frame");
    }
    return 0;
}

/* Finds where the first frame ends. */
static int find_frame(const struct multifd_recv_params *p, size_t *length,
                      struct multifd_error *err)
{
    unsigned long long content;

    if (check_magic(p, err) != 0) {
        return -1;
    }
    *length = ZSTD_findFrameCompressedSize(p->payload, p->next_packet_size);
    if (ZSTD_isError(*length)) {
        return refuse(*length, err);
    }
    content = ZSTD_getFrameContentSize(p->payload, p->next_packet_size);
    if (content != ZSTD_CONTENTSIZE_UNKNOWN && content > pages_bytes(p)) {
        return pages_refuse_longer(err);
    }
    return 0;
}

/*
 * The frame is decoded in one call, with the output as the decoder's window: whatever window size a
 * frame claims to need, no memory is allocated for it.
 */
static int decompress_frame(const struct multifd_recv_params *p, ZSTD_DCtx *context,
                            uint8_t *output, struct multifd_error *err)
{
    size_t length = 0;
    size_t made;

    if (find_frame(p, &length, err) != 0) {
        return -1;
    }
    made = ZSTD_decompressDCtx(context, output, pages_bytes(p), p->payload, length);
    if (ZSTD_isError(made)) {
        return refuse(made, err);
    }
    return pages_check_end(p, made, p->next_packet_size - length, err);
}

/* Decodes as far as there is input and room. 0, or -1 with *err; *ended when the frame has. */
static int decompress(ZSTD_DCtx *context, ZSTD_outBuffer *out, ZSTD_inBuffer *in, bool *ended,
                      struct multifd_error *err)
{
    size_t before;
    size_t status;

    do {
        before = in->pos + out->pos;
        status = ZSTD_decompressStream(context, out, in);
        if (ZSTD_isError(status)) {
            return refuse(status, err);
        }
    } while (status != 0 && in->pos + out->pos != before);
    *ended = status == 0;
    return 0;
}

/*
 * Takes a piece of a frame that never ends. The decoder's window is what the frame claims to need,
 * up to libzstd's own limit of 128 MiB, which is what level 20 takes. Output that is left over when
 * the pages are full comes to light with one byte more of room.
 */
static int decompress_piece(const struct multifd_recv_params *p, struct zstd_receiver *receiver,
                            void *output, struct multifd_error *err)
{
    ZSTD_DCtx *context = receiver->context;
    ZSTD_inBuffer in = {.src = p->payload, .size = p->next_packet_size};
    ZSTD_outBuffer out = {.dst = output, .size = pages_bytes(p)};
    uint8_t more;
    ZSTD_outBuffer rest = {.dst = &more, .size = sizeof(more)};
    bool ended = false;

    if (!receiver->begun && check_magic(p, err) != 0) {
        return -1;
    }
    receiver->begun = true;
    if (decompress(context, &out, &in, &ended, err) != 0) {
        return -1;
    }
    if (ended) {
        return pages_refuse_cut(err);
    }
    if (out.pos == out.size && decompress(context, &rest, &in, &ended, err) != 0) {
        return -1;
    }
    if (rest.pos != 0) {
        return pages_refuse_longer(err);
    }
    return pages_check_end(p, out.pos, in.size - in.pos, err);
}

static int zstd_recv(struct multifd_recv_params *p, struct multifd_error *err)
{
    struct zstd_receiver *receiver = p->compress_data;
    uint8_t *output;
    int status;

    if (pages_check(p, MULTIFD_FLAG_ZSTD, "zstd", err) != 0) {
        return -1;
    }
    output = pages_output(p, receiver->buffer);
    status = p->stream != 0 ? decompress_piece(p, receiver, output, err)
                            : decompress_frame(p, receiver->context, output, err);
    if (status != 0) {
        return -1;
    }
    pages_scatter(p, output);
    return 0;
}

const struct multifd_methods multifd_zstd_ops = {
    .send_setup = zstd_send_setup,
    .send_cleanup = zstd_send_cleanup,
    .send_prepare = zstd_send_prepare,
    .recv_setup = zstd_recv_setup,
    .recv_cleanup = zstd_recv_cleanup,
    .recv = zstd_recv,
};
