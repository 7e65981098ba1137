/* SPDX-License-Identifier: MIT */
#include "compress/zlib.h"

#include "compress/pages.h"
#include "core/base/error.h"

#include <stdbool.h>
#include <stdlib.h>

#define ZLIB_CONST
#include <zlib.h>

struct zlib_sender {
    z_stream stream; /* all zero, which deflateEnd accepts, until deflateInit */
    uint8_t *copy;
};

struct zlib_receiver {
    z_stream stream; /* likewise */
    uint8_t beyond;  /* a byte behind the pages, if there is one */
    uint8_t *buffer; /* see pages_output */
};

static int zlib_send_setup(struct multifd_send_params *p, struct multifd_error *err)
{
    struct zlib_sender *sender = calloc(1, sizeof(*sender));
    int status;

    p->compress_data = sender;
    if (sender == NULL) {
        return error_set_nomem(err);
    }
    if (pages_alloc(p, &sender->copy, err) != 0) {
        return -1;
    }
    status = deflateInit(&sender->stream, p->level);
    if (status != Z_OK) {
        return error_set(err, MULTIFD_ERROR_METHOD, "zlib: no compressor of level %d: %s", p->level,
                         zError(status));
    }
    return 0;
}

static void zlib_send_cleanup(struct multifd_send_params *p)
{
    struct zlib_sender *sender = p->compress_data;

    if (sender != NULL) {
        (void)deflateEnd(&sender->stream);
        free(sender->copy);
        free(sender);
    }
    p->compress_data = NULL;
    free(p->iov);
    p->iov = NULL;
}

/* The next piece of a stream that never ends: flushed, so that it can be unpacked at once. */
static int deflate_piece(struct multifd_send_params *p, z_stream *stream, struct multifd_error *err)
{
    uInt room = stream->avail_out;
    int status = deflate(stream, Z_SYNC_FLUSH);

    if (status != Z_OK || stream->avail_in != 0 || stream->avail_out == 0) {
        return error_set(err, MULTIFD_ERROR_METHOD, "zlib: deflate: %s", zError(status));
    }
    return pages_send_payload(p, room - stream->avail_out, MULTIFD_FLAG_ZLIB);
}

static int zlib_send_prepare(struct multifd_send_params *p, struct multifd_error *err)
{
    struct zlib_sender *sender = p->compress_data;
    z_stream *stream = &sender->stream;
    size_t bytes = pages_copy(p, sender->copy);
    int status;

    stream->next_in = sender->copy;
    stream->avail_in = (uInt)bytes;
    stream->next_out = p->payload;
    stream->avail_out = (uInt)pages_payload_room(p, bytes);
    if (p->stream != 0) {
        return deflate_piece(p, stream, err);
    }
    (void)deflateReset(stream);
    status = deflate(stream, Z_FINISH);
    if (status == Z_STREAM_END) {
        return pages_send_payload(p, stream->total_out, MULTIFD_FLAG_ZLIB);
    }
    if (status == Z_OK || status == Z_BUF_ERROR) { /* there was no room for all */
        return multifd_send_uncompressed(p);
    }
    return error_set(err, MULTIFD_ERROR_METHOD, "zlib: deflate: %s", zError(status));
}

static int zlib_recv_setup(struct multifd_recv_params *p, struct multifd_error *err)
{
    struct zlib_receiver *receiver = calloc(1, sizeof(*receiver));
    int status;

    p->compress_data = receiver;
    if (receiver == NULL) {
        return error_set_nomem(err);
    }
    if (pages_output_alloc(p, &receiver->buffer, err) != 0) {
        return -1;
    }
    status = inflateInit(&receiver->stream);
    if (status != Z_OK) {
        return error_set(err, MULTIFD_ERROR_METHOD, "zlib: no decompressor: %s", zError(status));
    }
    return 0;
}

static void zlib_recv_cleanup(struct multifd_recv_params *p)
{
    struct zlib_receiver *receiver = p->compress_data;

    if (receiver != NULL) {
        (void)inflateEnd(&receiver->stream);
        free(receiver->buffer);
        free(receiver);
    }
    p->compress_data = NULL;
}

/* Why inflate did not come to the end of the stream. */
static int refuse(const z_stream *stream, int status, struct multifd_error *err)
{
    switch (status) {
    case Z_OK:
    case Z_BUF_ERROR:
        /* The checksum comes last: with input left over, output is what it had no room for. */
        return stream->avail_in != 0 ? pages_refuse_longer(err) : pages_refuse_cut(err);
    case Z_NEED_DICT:
        return error_set(err, MULTIFD_ERROR_PROTOCOL,
                         "packet refused: zlib: the payload needs a dictionary");
    case Z_DATA_ERROR:
        return error_set(err, MULTIFD_ERROR_PROTOCOL, "packet refused: zlib: %s",
                         stream->msg != NULL ? stream->msg : zError(status));
    default:
        return error_set(err, MULTIFD_ERROR_METHOD, "zlib: inflate: %s", zError(status));
    }
}

/*
 * Takes a piece of a stream. Its pages may be full before its input is used up, which ends in a
 * marker that makes no output; and all input may be used while output is left over, which one byte
 * more of room brings to light.
 */
static int inflate_piece(const struct multifd_recv_params *p, struct zlib_receiver *receiver,
                         struct multifd_error *err)
{
    z_stream *stream = &receiver->stream;
    int status = inflate(stream, Z_SYNC_FLUSH);

    if (status != Z_OK && status != Z_BUF_ERROR) {
        return status == Z_STREAM_END ? pages_refuse_cut(err) : refuse(stream, status, err);
    }
    if (stream->avail_out != 0 || stream->avail_in != 0) {
        return pages_check_end(p, pages_bytes(p) - stream->avail_out, stream->avail_in, err);
    }
    stream->next_out = &receiver->beyond;
    stream->avail_out = sizeof(receiver->beyond);
    status = inflate(stream, Z_SYNC_FLUSH);
    if (status != Z_OK && status != Z_BUF_ERROR) {
        return refuse(stream, status, err);
    }
    return stream->avail_out == 0 ? pages_refuse_longer(err) : 0;
}

/* Takes a payload that is a stream of its own. */
static int inflate_whole(const struct multifd_recv_params *p, z_stream *stream,
                         struct multifd_error *err)
{
    int status = inflate(stream, Z_FINISH);

    if (status != Z_STREAM_END) {
        return refuse(stream, status, err);
    }
    return pages_check_end(p, stream->total_out, stream->avail_in, err);
}

static int zlib_recv(struct multifd_recv_params *p, struct multifd_error *err)
{
    struct zlib_receiver *receiver = p->compress_data;
    z_stream *stream = &receiver->stream;
    uint8_t *output;

    if (pages_check(p, MULTIFD_FLAG_ZLIB, "zlib", err) != 0) {
        return -1;
    }
    output = pages_output(p, receiver->buffer);
    if (p->stream == 0) {
        (void)inflateReset(stream);
    }
    stream->next_in = p->payload;
    stream->avail_in = p->next_packet_size;
    stream->next_out = output;
    stream->avail_out = (uInt)pages_bytes(p);
    if ((p->stream != 0 ? inflate_piece(p, receiver, err) : inflate_whole(p, stream, err)) != 0) {
        return -1;
    }
    pages_scatter(p, output);
    return 0;
}

const struct multifd_methods multifd_zlib_ops = {
    .send_setup = zlib_send_setup,
    .send_cleanup = zlib_send_cleanup,
    .send_prepare = zlib_send_prepare,
    .recv_setup = zlib_recv_setup,
    .recv_cleanup = zlib_recv_cleanup,
    .recv = zlib_recv,
};
