/* SPDX-License-Identifier: MIT */
/*
 * multifd_method.h - the interface between the engines and a compression method.
 *
 * A method is a table of hooks. One set of parameters belongs to one channel and is used by that
 * channel's thread alone, so hooks need no locks for what they hang on `compress_data`. Names,
 * flags and the header's fields are those of QEMU's multifd.
 */
#ifndef MULTIFD_METHOD_H
#define MULTIFD_METHOD_H

#include <multifd_error.h>
#include <stdint.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Flags of a packet; the values are QEMU's. */
#define MULTIFD_FLAG_SYNC             (1u << 0)
#define MULTIFD_FLAG_COMPRESSION_MASK (7u << 1)
#define MULTIFD_FLAG_NOCOMP           (0u << 1)
#define MULTIFD_FLAG_ZLIB             (1u << 1)
#define MULTIFD_FLAG_ZSTD             (2u << 1)

/* Bytes of guest pages that one packet holds at most; a larger page travels alone. */
#define MULTIFD_PACKET_SIZE (512u * 1024u)

/*
 * Set in write_flags by a method that never makes a payload of its own: its iov points into guest
 * memory, and those bytes are placed straight into the same offsets of the destination's RAM block.
 */
#define MULTIFD_WRITE_FLAG_ZERO_COPY (1u << 0)

/*
 * Set in write_flags, on both sides, by a method whose payloads on a channel are one stream: none
 * can be left out, so none is sent uncompressed, and one may be longer than its pages. Only over a
 * byte stream (p->stream).
 */
#define MULTIFD_WRITE_FLAG_STREAM (1u << 1)

/* The packet header in host byte order; the wire form is 320 bytes and 8 for each offset. */
struct multifd_packet {
    uint32_t magic;
    uint32_t version;
    uint32_t flags;
    uint32_t pages_alloc;      /* offsets that a packet may hold: packet size / page size */
    uint32_t normal_pages;     /* pages with a payload */
    uint32_t next_packet_size; /* bytes of the payload */
    uint64_t packet_num;       /* counts over all channels of a session */
    uint32_t zero_pages;       /* pages that are all zero, offsets only */
    uint32_t sync_channels;    /* of a SYNC: channels that get one this time; 0: all of them */
    uint32_t zero_runs;        /* entries that name zero pages as runs; 0: an offset for each */
    char ramblock[256];        /* name of the RAM block, NUL-terminated */
};

/* A channel of the source, as a method sees it. Fields marked (engine) are read-only for hooks. */
struct multifd_send_params {
    uint8_t id;                /* (engine) channel number */
    uint32_t page_size;        /* (engine) bytes */
    uint32_t page_count;       /* (engine) most pages of one packet */
    uint32_t stream;           /* (engine) 1: over a byte stream, where payloads come in order */
    const char *ramblock;      /* (engine) name of the packet's RAM block */
    const uint8_t *host;       /* (engine) first byte of that block */
    const uint64_t *normal;    /* (engine) offsets in the block, in the order queued */
    uint32_t normal_num;       /* (engine) their number */
    const uint64_t *zero;      /* (engine) offsets of the zero pages */
    uint32_t zero_num;         /* (engine) their number */
    uint64_t packet_num;       /* (engine) this packet's number */
    int32_t level;             /* (engine) the option zlib-level or zstd-level; 0 for others */
    uint8_t *payload;          /* (engine) where send_prepare puts what it makes of the pages:
                                  less than they have, if it is not part of a stream */
    uint32_t payload_max;      /* (engine) bytes there: those of page_count pages, over a byte
                                  stream twice as many */
    uint32_t flags;            /* method adds its bit in send_prepare; 0 before */
    uint32_t next_packet_size; /* method sets the payload's bytes in send_prepare */
    uint32_t write_flags;      /* method may set MULTIFD_WRITE_FLAG_* in send_setup */
    struct iovec *iov;         /* made in send_setup: slot 0 is the header's, then the payload */
    uint32_t iovs_num;         /* method sets the slots in use, slot 0 included */
    uint8_t *packet;           /* (engine) where the wire header goes; valid in send_prepare */
    uint32_t packet_len;       /* set by multifd_send_fill_packet: the header's bytes */
    void *compress_data;       /* the method's own */
};

/*
 * A channel of the destination, as a method sees it. Read-only for hooks but for write_flags and
 * compress_data.
 */
struct multifd_recv_params {
    uint8_t id;             /* channel number */
    uint32_t page_size;     /* bytes */
    uint32_t page_count;    /* most pages of one packet */
    uint32_t stream;        /* 1: over a byte stream, where payloads come in order */
    uint8_t *host;          /* first byte of the packet's RAM block */
    const uint64_t *normal; /* validated offsets in that block */
    uint32_t normal_num;    /* their number, at least 1 in the recv hook */
    uint32_t flags;         /* the packet's flags without SYNC; compression bits not yet checked */
    uint32_t next_packet_size; /* bytes of the payload: at least 1, at most what the pages have; in
                                  a stream twice what the largest packet has */
    const uint8_t *payload; /* the payload, which the peer cannot change any more; NULL when it is
                               in place, sent from guest memory: when it is as large as the
                               pages, and not part of a stream */
    uint32_t write_flags;   /* method may set MULTIFD_WRITE_FLAG_STREAM in recv_setup */
    void *compress_data;    /* the method's own */
};

/*
 * The hooks. Each returns 0, or -1 with err filled (err is never NULL in a hook): its code, its
 * message, and MULTIFD_NO_CHANNEL, since the engine adds the channel. The session then fails with
 * it on both sides.
 *
 * A channel's hooks run on its thread, one at a time: send_setup, any number of send_prepare,
 * send_cleanup; or recv_setup, any number of recv, recv_cleanup. Several channels run the same hook
 * at once, so whatever a method keeps outside compress_data needs a lock. Parameters are valid
 * while the hook runs; compress_data, iov and write_flags are kept. send_prepare and recv are the
 * data path: what they need is allocated in the set-up.
 *
 * Over verbs a packet's payload is written into memory of the destination that is made for
 * payloads, and only then does its header follow; the destination copies it out of there before the
 * recv hook sees it. Over sockets it follows its header. A method need not care, unless it makes
 * streams: packets of a session go over several channels, and a page over another one in the next
 * round, so each packet is decompressed alone.
 *
 * send_setup: source, once per channel while channels are set up. Allocates iov with one extra slot
 *   for the header (page_count + 1 slots); may set write_flags; may hang its state on
 *   compress_data.
 * send_cleanup: source, once per channel. Releases all that send_setup made; iov becomes NULL. Also
 *   called after a send_setup that failed.
 * send_prepare: source, per packet that has normal pages. Puts the payload into p->payload, makes
 *   iov[1] point to it (iovs_num 2), sets next_packet_size, sets the method's bit in flags and, as
 *   the last step, calls multifd_send_fill_packet. Pages that do not shrink it sends as they are:
 *   it returns what multifd_send_uncompressed returns. The guest may write to its pages meanwhile:
 *   any content must be survived.
 * recv_setup: destination, once per channel; may be NULL. Allocates what receiving needs.
 * recv_cleanup: destination, once per channel; may be NULL. Releases it; also after a recv_setup
 *   that failed.
 * recv: destination, per packet with a payload. Validates flags against the method and
 *   next_packet_size against what those pages can have, then writes exactly the pages named by
 *   `normal`, and nothing else. A packet that was sent uncompressed does not come here.
 */
struct multifd_methods {
    int (*send_setup)(struct multifd_send_params *p, struct multifd_error *err);
    void (*send_cleanup)(struct multifd_send_params *p);
    int (*send_prepare)(struct multifd_send_params *p, struct multifd_error *err);
    int (*recv_setup)(struct multifd_recv_params *p, struct multifd_error *err);
    void (*recv_cleanup)(struct multifd_recv_params *p);
    int (*recv)(struct multifd_recv_params *p, struct multifd_error *err);
};

/*
 * Writes the packet header from the channel's fields into p->packet and sets p->packet_len and slot
 * 0 of p->iov. A send_prepare hook calls it last. Cannot fail. Only the channel's own thread calls
 * it.
 */
void multifd_send_fill_packet(struct multifd_send_params *p);

/*
 * Prepares the packet without compression, in place of a send_prepare hook's own payload: the pages
 * travel as they are. Fills iov, which has page_count + 1 slots, and the header. Returns 0.
 */
int multifd_send_uncompressed(struct multifd_send_params *p);

#ifdef __cplusplus
}
#endif

#endif
