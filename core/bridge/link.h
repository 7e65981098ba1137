/* SPDX-License-Identifier: MIT */
/*
 * link - one of QEMU's connections and the channel on which it travels to the other bridge: the
 * socket, the channel, and the thread that owns both.
 *
 * Each link has its own flow control in both directions: nothing is read from the socket before the
 * channel has room for it, and nothing is taken from the channel before the socket has had what
 * came before. No link ever waits for another one but for the end of a round (round.h), which is
 * why QEMU's own waiting between its connections cannot come to a standstill here.
 */
#ifndef MULTIFD_BRIDGE_LINK_H
#define MULTIFD_BRIDGE_LINK_H

#include "core/channel_loop.h"
#include "core/session.h"

#define BRIDGE_MAIN (-1) /* the number of the main connection's link */

struct multifd_bridge;
struct bridge_link;

/* Written by the link's thread alone. */
struct bridge_counters {
    alignas(64) counter packets;
    counter direct_pages;
    counter dropped_bytes;
    counter buffered_pages;
    counter zero_pages;
    counter carried_bytes; /* of a channel */
    counter main_bytes;
    counter return_bytes;
    counter held_ns;
    counter rounds;
};

/* What the kinds of links do differently. */
struct bridge_link_ops {
    /* As in struct channel_loop. */
    int (*step)(void *link, bool *busy, struct multifd_error *err);
    uint64_t (*not_before)(void *link);
    void (*also_poll)(void *link, struct pollfd *fd);

    /* Before QEMU's socket is closed in a migration that has failed. NULL: nothing. No thread. */
    void (*abandon)(struct bridge_link *link);

    /* Releases what the link has of its own, after the channel. */
    void (*release)(struct bridge_link *link);
};

struct bridge_link {
    struct bridge_counters counters;
    struct multifd_bridge *bridge;
    const struct bridge_link_ops *ops;
    int id; /* number of the channel, or BRIDGE_MAIN */
    int fd; /* QEMU's socket */
    struct transport_channel *channel;
    struct waker waker;
    struct worker worker;
    atomic_bool stop;
    bool running;
};

/*
 * Prepares a link that was zeroed: it owns `fd` and the channel from then on, or, on error, neither
 * and nothing is made. 0, or -1 with *err.
 */
int bridge_link_init(struct bridge_link *link, struct multifd_bridge *bridge,
                     const struct bridge_link_ops *ops, int id, int fd,
                     struct transport_channel *channel, struct multifd_error *err);

/* Starts the thread. 0, or -1 with *err. */
int bridge_link_start(struct bridge_link *link, struct multifd_error *err);

/* Ends the thread; what the link has in hand stays. */
void bridge_link_stop(struct bridge_link *link);

/* Closes QEMU's socket; the thread has ended. */
void bridge_link_close_socket(struct bridge_link *link);

/* Gives up the channel and the rest; the thread has ended. */
void bridge_link_disconnect(struct bridge_link *link);

/*
 * Writes to QEMU's socket what is left of *bytes, and moves on; *busy is set if it could write
 * anything. 0, or -1 with *err.
 */
int bridge_link_write(struct bridge_link *link, const uint8_t **bytes, uint32_t *left, bool *busy,
                      struct multifd_error *err);

/*
 * Reads up to `room` bytes: their number, 0 when none have come, -1 with *err;
 * MULTIFD_ERROR_DISCONNECTED when QEMU has closed the connection.
 */
int bridge_link_read(struct bridge_link *link, void *to, uint32_t room, struct multifd_error *err);

/* Bytes of what was written that QEMU has not read yet, or -1 with *err. A QEMU that is gone may
 * have none. */
int bridge_link_unread(const struct bridge_link *link, struct multifd_error *err);

#endif
