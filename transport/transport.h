/* SPDX-License-Identifier: MIT */
/*
 * transport.h - how bytes reach the other side: the interface that every transport implements.
 *
 * A transport knows addresses, lengths and messages; it does not know pages or packets. An endpoint
 * is one side of a session; it connects or accepts channels and registers memory. A channel carries
 * messages in order, each with writes of local memory. There are two kinds of transport. One places
 * what is written into the peer's memory itself, where it is when the peer receives the message. On
 * the other, a byte stream, those bytes follow the message, and the peer reads them to where it
 * wants them. No transport takes a lock: a channel belongs to one thread at a time.
 */
#ifndef MULTIFD_TRANSPORT_H
#define MULTIFD_TRANSPORT_H

#include <multifd_error.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "transport/address.h"

/* Bytes of a greeting: what the two sides tell each other before a channel is up. */
#define TRANSPORT_GREETING_MAX 32u

/* Bytes of the shortest message that an engine may send; shorter ones are the transport's own. */
#define TRANSPORT_MESSAGE_LEAST 12u

/* Most file descriptors that one channel waits on. */
#define TRANSPORT_POLLFDS 2u

/*
 * No sleep on a channel is longer than this: devices have been seen to lose an event (rxe of
 * Linux 6.1 under load), and then nothing but looking again finds the completion.
 */
#define TRANSPORT_SLEEP_MS_MAX 200

struct transport_greeting {
    uint8_t bytes[TRANSPORT_GREETING_MAX];
    size_t length;
};

/* What all channels of an endpoint share; filled from the session's options. */
struct transport_settings {
    uint32_t timeout_ms;   /* a peer that is silent for so long is dead */
    char ib_dev[64];       /* device name, empty: the one that the address selects */
    uint32_t ib_port;      /* port number, 0: any */
    int32_t gid_index;     /* -1: the one that the address selects */
    int32_t traffic_class; /* -1: the device's */
    int32_t service_level; /* -1: the device's */
    uint32_t mtu;          /* bytes, 0: the port's active MTU */
    int32_t qp_timeout; /* local ack timeout as an exponent (4.096 us * 2^n), -1: from timeout_ms */
    uint32_t retry_count;  /* 0 to 7 */
    uint32_t rnr_timer;    /* minimum RNR timer code, 0 to 31 */
    uint32_t tx_depth;     /* send-queue entries, 0: chosen */
    uint8_t bare_start[4]; /* streams: a connection that begins so has no other greeting; 0: none */
};

/* How messages lie in a byte stream. */
enum transport_framing {
    TRANSPORT_FRAMED, /* with their length before them */
    /*
     * As they are: of exactly send_size and receive_size bytes. The side that accepts a channel
     * does not answer its greeting.
     */
    TRANSPORT_FIXED,
    TRANSPORT_BARE, /* there are none: a message is what has arrived, up to receive_size bytes */
};

/* The shape of one channel. */
struct transport_profile {
    uint32_t send_slots;            /* messages of ours that may be in flight */
    uint32_t send_size;             /* bytes of our longest message */
    uint32_t receive_slots;         /* messages that the peer may have in flight towards us */
    uint32_t receive_size;          /* bytes of the peer's longest message */
    uint32_t writes;                /* most writes that go with one message of ours */
    enum transport_framing framing; /* of a byte stream */
};

/* One contiguous write into the peer's memory. A byte stream looks at nothing but what is local. */
struct transport_write {
    uint64_t local_address;
    uint64_t remote_address;
    uint32_t length;
    uint32_t local_key;
    uint32_t remote_key;
};

/* A received message; valid until it is released. */
struct transport_message {
    const uint8_t *bytes;
    uint32_t length;
};

/* Registered memory. The keys are what transport_write wants on the two sides. */
struct transport_memory {
    void *handle;
    uint32_t local_key;
    uint32_t remote_key;
};

/* How memory is registered. */
enum {
    TRANSPORT_REMOTE_WRITE = 1 << 0, /* the peer may write to it */
    TRANSPORT_ON_DEMAND = 1 << 1,    /* nothing is pinned: the device faults pages in */
};

/* Limits that a session must obey, known once the first channel is up. */
struct transport_limits {
    uint64_t max_message; /* bytes of one write */
    uint64_t max_memory;  /* bytes of one registration */
    uint64_t max_regions; /* registrations that may exist at once */
    bool on_demand;       /* TRANSPORT_ON_DEMAND is there */
};

struct multifd_device_counters;
struct transport_channel;
struct transport_endpoint;
struct transport_request;

struct transport_channel_ops {
    /*
     * Takes in what has completed and arrived. 0, or -1 with *err when the channel is broken:
     * MULTIFD_ERROR_DISCONNECTED when all that is known is that the connection has ended, another
     * code for a cause.
     */
    int (*progress)(struct transport_channel *channel, struct multifd_error *err);

    /*
     * Where the next message is to be composed, profile.send_size bytes; NULL while a message with
     * `writes` writes cannot be sent: no slot, no room in the send queue, or no credit from the
     * peer.
     */
    uint8_t *(*send_buffer)(struct transport_channel *channel, uint32_t writes);

    /*
     * Why send_buffer returned NULL last: true for want of credit from the peer, false for want of
     * room on this side.
     */
    bool (*lacks_credit)(const struct transport_channel *channel);

    /*
     * Posts the writes and behind them the message of `length` bytes composed in send_buffer, which
     * must have been asked for as many writes. The local memory stays in use until drained. `more`:
     * another message follows at once, so that a sleeping peer need not be woken for this one.
     */
    int (*send)(struct transport_channel *channel, const struct transport_write *writes,
                uint32_t writes_num, uint32_t length, bool more, struct multifd_error *err);

    /* Takes the next message that progress has found; false when there is none. */
    bool (*receive)(struct transport_channel *channel, struct transport_message *message);

    /*
     * Byte streams, NULL for the others: reads what has arrived of the bytes that follow the
     * message taken last to where *iov says, and moves *iov and *iovs_num past what is full. None
     * left: that was all. Errors as for progress.
     */
    int (*read)(struct transport_channel *channel, struct iovec **iov, uint32_t *iovs_num,
                struct multifd_error *err);

    /* Gives back the message taken last, so that the peer may send another. */
    int (*release)(struct transport_channel *channel, struct multifd_error *err);

    /*
     * Whether all that was sent is out of this side's hands: local memory is no longer in use, and
     * nothing can change the peer's memory later than what the peer was told in a message.
     */
    bool (*drained)(const struct transport_channel *channel);

    /* Whether all that was sent has reached the peer, even if this side fails now. */
    bool (*delivered)(const struct transport_channel *channel);

    /* Sends something that needs the peer's answer if nothing is under way: a dead path shows. */
    int (*keepalive)(struct transport_channel *channel, struct multifd_error *err);

    /*
     * Asks to be woken when a message arrives or one can be sent again, and, if `completions`, when
     * something sent has reached the peer. Call progress once more before sleeping: what came
     * before shows there.
     */
    int (*arm)(struct transport_channel *channel, bool completions, struct multifd_error *err);

    /* The descriptors to sleep on after arm; returns their number, at most TRANSPORT_POLLFDS. */
    uint32_t (*pollfds)(const struct transport_channel *channel, struct pollfd *fds);

    /*
     * Takes the wake-ups that poll(2) has reported in those descriptors; NULL when it has slept in
     * vain: what was asked for before counts no more then. Errors as for progress.
     */
    int (*wake)(struct transport_channel *channel, const struct pollfd *fds,
                struct multifd_error *err);

    /* Disconnects and frees; the peer sees MULTIFD_ERROR_DISCONNECTED. */
    void (*free)(struct transport_channel *channel);
};

struct transport_channel {
    const struct transport_channel_ops *ops;
};

struct transport_endpoint_ops {
    /* Destination: binds the endpoint's address and listens. */
    int (*listen)(struct transport_endpoint *endpoint, uint32_t backlog, struct multifd_error *err);

    /* Stops listening; what has been accepted stays. */
    void (*stop_listening)(struct transport_endpoint *endpoint);

    /* The port listened on, also after stop_listening; 0 before listen. */
    uint16_t (*port)(const struct transport_endpoint *endpoint);

    /*
     * Destination: waits up to timeout_ms (-1: without limit) for a peer that wants a channel, or
     * until wake_fd is readable. *request is NULL when none came. -1 with *err when listening has
     * failed.
     */
    int (*wait_request)(struct transport_endpoint *endpoint, int wake_fd, int timeout_ms,
                        struct transport_request **request, struct multifd_error *err);

    /* The peer's greeting, which lives as long as the request. */
    const struct transport_greeting *(*request_greeting)(const struct transport_request *request);

    /*
     * Takes the channel in, with a greeting in answer. Frees the request in any case. NULL on
     * error.
     */
    struct transport_channel *(*accept)(struct transport_endpoint *endpoint,
                                        struct transport_request *request,
                                        const struct transport_profile *profile,
                                        const struct transport_greeting *answer, int wake_fd,
                                        struct multifd_error *err);

    /* Refuses it, with a greeting that says why. Frees the request. */
    void (*reject)(struct transport_endpoint *endpoint, struct transport_request *request,
                   const struct transport_greeting *answer);

    /*
     * Source: connects a channel; gives up when wake_fd becomes readable. *answer is the peer's
     * greeting, also when it refused (then *err is MULTIFD_ERROR_REFUSED); its length is 0 if none
     * came. After the first channel several threads may connect at once. NULL on error.
     */
    struct transport_channel *(*connect)(struct transport_endpoint *endpoint,
                                         const struct transport_profile *profile,
                                         const struct transport_greeting *greeting, int wake_fd,
                                         struct transport_greeting *answer,
                                         struct multifd_error *err);

    /* Changes settings.timeout_ms for the channels to come, while none is being made. */
    void (*set_timeout)(struct transport_endpoint *endpoint, uint32_t timeout_ms);

    /* Limits of the device; valid after the first channel. */
    void (*limits)(const struct transport_endpoint *endpoint, struct transport_limits *limits);

    /* Checks before registering that so many bytes of memory may be locked. */
    int (*check_memory)(const struct transport_endpoint *endpoint, uint64_t bytes,
                        struct multifd_error *err);

    /*
     * Registers memory after the first channel is up; `access`: TRANSPORT_REMOTE_WRITE and the
     * like. Several threads may register at once.
     */
    int (*register_memory)(struct transport_endpoint *endpoint, void *address, uint64_t length,
                           uint32_t access, struct transport_memory *memory,
                           struct multifd_error *err);

    /* Releases it: after all channels that may use it are freed. */
    int (*deregister_memory)(struct transport_memory *memory, struct multifd_error *err);

    /*
     * What the device tells about the session's time; MULTIFD_UNKNOWN for what it does not tell.
     * Any thread. NULL when the transport has no device.
     */
    void (*device_counters)(const struct transport_endpoint *endpoint,
                            struct multifd_device_counters *out);

    /* Frees the endpoint, after its channels and its memory. */
    void (*free)(struct transport_endpoint *endpoint);
};

struct transport_endpoint {
    const struct transport_endpoint_ops *ops;
    bool stream; /* a byte stream: memory needs no registration, and channels have `read` */
};

/* An endpoint for the address's transport. NULL on error. */
struct transport_endpoint *transport_endpoint_new(const struct transport_address *address,
                                                  const struct transport_settings *settings,
                                                  struct multifd_error *err);

#endif
