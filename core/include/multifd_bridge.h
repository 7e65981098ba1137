/* SPDX-License-Identifier: MIT */
/*
 * multifd_bridge.h - an unmodified QEMU migrates over RDMA.
 *
 * One bridge stands beside each QEMU. The source's takes the connections of `migrate unix:PATH`,
 * the destination's makes those of `-incoming unix:PATH`; between the two bridges each of QEMU's
 * multifd channels is a queue pair, and the pages of RAM blocks that are known by their shared
 * files are written from the one guest's memory into the other's.
 *
 *   source host                                destination host
 *   -----------                                ----------------
 *                                              multifd_bridge_destination_new
 *   multifd_bridge_source_new                  multifd_bridge_add_block (each known block)
 *   multifd_bridge_add_block (each known one)  multifd_bridge_listen      for the source's bridge
 *   multifd_bridge_listen    for QEMU
 *   multifd_bridge_run                         multifd_bridge_run         until the migration ended
 *   multifd_bridge_delete                      multifd_bridge_delete
 *
 * Both QEMUs need multifd and return-path, the same number of channels and the same method. A
 * source with TLS or without return-path is refused before its destination hears of it; one without
 * multifd, or of an unknown version, when that shows. Blocks that only the destination's bridge
 * knows are written there from a buffer; what it does not know, and what QEMU compresses, goes to
 * QEMU as it came. The option "page-size" must be the guest's on both sides. "registration",
 * "piece-size", "timeout" and what names a device mean what they do for a session (multifd.h); a
 * method, zero pages and a bandwidth are QEMU's own business.
 *
 * THREAD SAFETY. Any thread, any time while the bridge exists: multifd_bridge_cancel,
 * multifd_bridge_statistics, multifd_bridge_channel_statistics. Everything else: one thread at a
 * time for each bridge.
 */
#ifndef MULTIFD_BRIDGE_H
#define MULTIFD_BRIDGE_H

#include <multifd.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct multifd_bridge;

/* How a migration came out, for run's caller and statistics. */
enum multifd_bridge_phase {
    MULTIFD_BRIDGE_WAITING,   /* for QEMU or the other bridge */
    MULTIFD_BRIDGE_ACTIVE,    /* streams pass */
    MULTIFD_BRIDGE_COMPLETED, /* QEMU's own return path said so */
    MULTIFD_BRIDGE_FAILED,
    /*
     * Source: the other bridge was lost in the moment in which it handed the guest over, and nobody
     * on this side can know whether it runs there. QEMU here was told that it does and keeps the
     * guest stopped, since a guest that runs twice destroys its disk. If it does not run at the
     * destination: `cont` here. Or QEMU here was cancelled in that moment, and the destination has
     * the guest: if it runs here, too, end QEMU there.
     * Destination: QEMU here has the guest, but the other bridge was lost in that moment. A bridge
     * that still lives keeps the source's guest stopped; one that was killed does if somebody
     * watched over it (multifd_bridge_observe). If the guest runs on at the source, end QEMU here.
     * The error tells which; run has returned -1.
     */
    MULTIFD_BRIDGE_UNDECIDED,
};

/*
 * A bridge on the source's host: listens on `qemu`, unix:PATH, connects to `peer`, rdma:HOST:PORT
 * (or tcp:HOST:PORT, where everything is carried).
 * Of the options it uses those of the transport (ib-dev, timeout and the like) and of logging;
 * they are copied. NULL with *err on error.
 */
struct multifd_bridge *multifd_bridge_source_new(const char *qemu, const char *peer,
                                                 const struct multifd_options *options,
                                                 struct multifd_error *err);

/* One on the destination's host: listens on `address`, rdma:HOST:PORT, connects to `qemu`,
 * unix:PATH. */
struct multifd_bridge *multifd_bridge_destination_new(const char *address, const char *qemu,
                                                      const struct multifd_options *options,
                                                      struct multifd_error *err);

/* Cancels if need be, and frees. Sets *bridge to NULL; accepts NULL. */
void multifd_bridge_delete(struct multifd_bridge **bridge);

/*
 * Says where a RAM block of QEMU's is mapped: `host` points to `length` bytes of the block's own
 * file, mapped shared, at least readable (source) or writable (destination), until the bridge is
 * deleted. `name` is QEMU's id of the block. Before multifd_bridge_listen.
 */
int multifd_bridge_add_block(struct multifd_bridge *bridge, const char *name, void *host,
                             uint64_t length, struct multifd_error *err);

/*
 * How many multifd channels the QEMU beside this bridge was told to use; the other side's number is
 * compared with it. Not called or 0: not known. Then a migration that fails while its channels are
 * being connected may leave a destination QEMU that waits for the others; tell it on one side at
 * least. Before multifd_bridge_listen.
 */
int multifd_bridge_expect_channels(struct multifd_bridge *bridge, unsigned channels,
                                   struct multifd_error *err);

/*
 * What someone has to know at once who watches over this process, to do what it cannot do any more
 * when it is killed. Called on the bridge's threads; they are to be quick and call nothing of the
 * bridge's. Any may be NULL.
 *
 * Destination, connected: QEMU has the main connection, and a migration of which only this bridge
 * can make the end. `qemu` is its process (SO_PEERCRED), 0 if that has no number here. Once. If the
 * bridge is lost from now on and QEMU does not end by itself, end it.
 * Destination, handing_over: QEMU is about to get the end of its stream: from now on the guest may
 * run there, whatever becomes of the bridge, and QEMU is to be left alone. Once, or never.
 * Source, committing: the guest is about to be handed over. If the bridge is lost before run has
 * returned, QEMU resumes the guest, which may run at the destination by then, unless somebody has
 * kept a copy of its connection `qemu` (which is the bridge's, and valid in this call alone), and
 * writes the `length` bytes of `words` to it, which make QEMU keep the guest stopped. Once, or
 * never.
 */
struct multifd_bridge_observer {
    void (*connected)(void *opaque, pid_t qemu);
    void (*handing_over)(void *opaque);
    void (*committing)(void *opaque, int qemu, const void *words, size_t length);
    void *opaque;
};

/* The observer is copied; what it needs must live until the bridge is deleted. Before
 * multifd_bridge_listen. */
int multifd_bridge_observe(struct multifd_bridge *bridge,
                           const struct multifd_bridge_observer *observer,
                           struct multifd_error *err);

/* Binds and listens. */
int multifd_bridge_listen(struct multifd_bridge *bridge, struct multifd_error *err);

/* The port that a destination's bridge listens on, which the address may have left open as 0. */
uint16_t multifd_bridge_port(const struct multifd_bridge *bridge);

/*
 * Takes one migration from its first connection to its end. 0: QEMU's return path said that the
 * destination has it. -1 with *err else: then the source QEMU's connections were closed, so that it
 * fails and its guest runs on, and the destination QEMU was made to end.
 */
int multifd_bridge_run(struct multifd_bridge *bridge, struct multifd_error *err);

/*
 * Ends run with an error; the migration fails. Does nothing when it has completed, or when the
 * guest is being handed over: then it may have started at the destination, and a moment later run
 * tells. Any thread.
 */
void multifd_bridge_cancel(struct multifd_bridge *bridge, const char *reason);

/* Counters since the bridge was made. Bytes of pages are guest bytes. */
struct multifd_bridge_statistics {
    enum multifd_bridge_phase phase;
    unsigned channels;     /* multifd channels */
    uint64_t rounds;       /* that every channel has passed */
    uint64_t packets;      /* of all channels */
    uint64_t direct_pages; /* written from the source guest's RAM to the destination guest's */
    uint64_t direct_bytes;
    uint64_t dropped_bytes; /* of pages: read from the source QEMU's sockets, and not sent */
    uint64_t
        buffered_pages; /* written to the destination guest's RAM from a buffer of the bridge's */
    uint64_t buffered_bytes;
    uint64_t zero_pages;    /* in packets, cleared by the destination's bridge */
    uint64_t carried_bytes; /* of channels, handed to the destination QEMU's sockets */
    uint64_t main_bytes;    /* of the main channel, source to destination */
    uint64_t return_bytes;  /* destination to source */
    uint64_t held_ns;       /* time in which a channel's next round waited for the last one's end */
    uint64_t total_ns;      /* from the first connection to the end, or to now */
    uint64_t registered_bytes;
    uint64_t register_ns;
    uint64_t cpu_ns; /* of the bridge's own threads */
};

/* One channel's share. */
struct multifd_bridge_channel_statistics {
    uint64_t packets;
    uint64_t direct_bytes;
    uint64_t buffered_bytes;
    uint64_t carried_bytes;
    uint64_t cpu_ns;
};

void multifd_bridge_statistics(const struct multifd_bridge *bridge,
                               struct multifd_bridge_statistics *out);

/* -1 when there is no such channel, or not yet. */
int multifd_bridge_channel_statistics(const struct multifd_bridge *bridge, unsigned channel,
                                      struct multifd_bridge_channel_statistics *out);

#ifdef __cplusplus
}
#endif

#endif
