/* SPDX-License-Identifier: MIT */
/*
 * bridge - one side's bridge: what its links, its control connection and its main thread share.
 *
 * Who runs. The thread in multifd_bridge_run is the session's main thread: it takes the control
 * connection's messages and decides. Each link has a thread. At the destination one more takes the
 * connections of the source's bridge in, until the first round is over, when all have come.
 *
 * How a migration ends. QEMU's destination starts its guest when it has read the byte that ends its
 * main stream, and only then answers (SHUT with 0). If that answer got lost the source would resume
 * its guest, too: two guests on one disk. So the destination's bridge keeps the end of the stream
 * back (tail.h), tells READY, and hands it over only when the source's bridge, which looks once
 * more whether all is well, has answered COMMIT.
 *
 *  - Before COMMIT is sent, any failure makes both sides fail: nothing can have started.
 *  - From COMMIT on the source's bridge lets its QEMU go on waiting until the destination's bridge
 *    has told what came out: the answer itself on the main link, or ERROR, which that bridge sends
 *    only when it has not handed the end over and never will (session_commit), or when QEMU there
 *    has ended without an answer (session_take_back).
 *  - If it loses the destination's bridge in these few milliseconds, nobody on this side can know.
 *    To resume the guest might run it twice, which destroys its disk; so QEMU is told SHUT with 0
 *    and keeps its guest stopped, from where an operator (or libvirt, which asks the destination)
 *    can continue it: MULTIFD_BRIDGE_UNDECIDED.
 *  - If QEMU's source leaves in that time (it was cancelled), it may have resumed its guest while
 *    the destination has it, too, as between two QEMUs without bridges. The bridge sees it when
 *    QEMU has closed its connection without reading the answer, and says so: UNDECIDED as well.
 *  - If the source's bridge is killed in that time, its QEMU sees a connection that closes, and may
 *    resume its guest in the same way. The destination's bridge, which has lost the other and has
 *    its QEMU's answer, cannot tell that from a wire that was cut: UNDECIDED there.
 */
#ifndef MULTIFD_BRIDGE_BRIDGE_H
#define MULTIFD_BRIDGE_BRIDGE_H

#include <multifd_bridge.h>

#include "core/bridge/frame.h"
#include "core/bridge/link.h"
#include "core/control.h"
#include "core/registrar.h"

/* SYNCs that are left behind on a channel of a migration that has failed. */
#define BRIDGE_LAST_SYNCS 3

struct multifd_bridge {
    struct session session;
    bool source;
    struct transport_address qemu;
    char qemu_name[TRANSPORT_PATH_MAX + 1];
    unsigned expected;         /* channels, as told on this side; 0: not known */
    atomic_uint peer_expected; /* and on the other */
    struct multifd_bridge_observer observer;
    bool listening;
    bool ran;

    /* Agreed on before the first link is made. */
    struct control *control;
    struct registrar *registrar; /* NULL: nothing is written into guest RAM */
    uint32_t page_size;
    uint32_t page_count;
    uint64_t max_message;
    uint8_t name[BRIDGE_SESSION_BYTES]; /* of this session, in greetings */
    bool holds; /* channels wait for the end of each round: some RAM is written directly */

    /*
     * Appear while the bridge runs, and stay until it is deleted; a link is complete when its
     * pointer is stored. Statistics look at them from any thread.
     */
    struct bridge_link *_Atomic main;
    struct bridge_link *_Atomic channels[MULTIFD_CHANNELS_MAX];
    atomic_uint channels_num;

    /* Rounds: see round.h. */
    _Atomic uint64_t released; /* source: rounds that are over on both sides */
    _Atomic uint64_t passed;   /* destination: times that a channel's QEMU passed a round's end */

    /* The end; what happens on links, for the main thread. */
    atomic_bool stream_done; /* source: of the main stream the RAM has been sent; destination: all
                                of it has come, and QEMU has it but for the end */
    atomic_bool committed;   /* source: COMMIT is sent; destination: the end may be handed over */
    atomic_int verdict;      /* enum bridge_verdict */
    atomic_bool main_closed; /* QEMU has closed its main connection, after the verdict */

    _Atomic int phase; /* enum multifd_bridge_phase */
    counter first_ns;  /* the first connection */
    counter end_ns;

    /* Source: listens for QEMU. */
    int listener;
    /* Destination: takes links in. */
    struct worker acceptor;
    bool accepting;
    uint8_t uuid[BRIDGE_UUID_BYTES]; /* the acceptor's: of the channels that have come */
    bool left[MULTIFD_CHANNELS_MAX]; /* the acceptor's: connected to QEMU, and given up */
    pthread_mutex_t decision;        /* who comes first, multifd_bridge_cancel or COMMIT */
};

enum bridge_verdict {
    BRIDGE_OPEN,
    BRIDGE_SUCCEEDED, /* source: and QEMU here has been told */
    BRIDGE_REFUSED,
    BRIDGE_UNHEARD, /* source: the destination has the guest, and QEMU here left before it heard */
};

/* Makes the links' main thread look again. */
void bridge_tell(struct multifd_bridge *bridge);

/* Both sides of agreeing, on the main thread. 0, or -1 with *err. agree.c */
int bridge_connect_control(struct multifd_bridge *bridge, struct multifd_error *err);
int bridge_agree_source(struct multifd_bridge *bridge, struct multifd_error *err);
int bridge_agree_destination(struct multifd_bridge *bridge, struct multifd_error *err);

/* The two sides' runs: from an agreed session to the end. */
int bridge_run_source(struct multifd_bridge *bridge, struct multifd_error *err);
int bridge_run_destination(struct multifd_bridge *bridge, struct multifd_error *err);

/* Source: listens for QEMU; run takes its connections. */
int bridge_listen_for_qemu(struct multifd_bridge *bridge, struct multifd_error *err);
void bridge_close_listener(struct multifd_bridge *bridge);

/* Takes the links apart, after the run. */
void bridge_stop_links(struct multifd_bridge *bridge);
void bridge_close_qemu(struct multifd_bridge *bridge, bool abandon);
void bridge_disconnect(struct multifd_bridge *bridge);

/* Makes links; each starts its thread and is in the bridge's table then. NULL with *err. */
struct bridge_link *bridge_main_new(struct multifd_bridge *bridge, int fd,
                                    struct transport_channel *channel, struct multifd_error *err);
struct bridge_link *bridge_source_channel_new(struct multifd_bridge *bridge, uint8_t id, int fd,
                                              struct transport_channel *transport,
                                              struct multifd_error *err);
struct bridge_link *bridge_destination_channel_new(struct multifd_bridge *bridge, uint8_t id,
                                                   int fd, struct transport_channel *transport,
                                                   struct multifd_error *err);

/* Source: where a channel's payloads go at the destination. Main thread. */
int bridge_source_channel_set_staging(struct multifd_bridge *bridge,
                                      const struct message_staging *staging,
                                      struct multifd_error *err);

/* Channel profiles. */
void bridge_main_profile(struct transport_profile *profile);
void bridge_channel_profile(const struct multifd_bridge *bridge, struct transport_profile *profile);

/* Slots and bytes of a slot of a channel's staging. */
uint32_t bridge_staging_slots(const struct multifd_bridge *bridge);
uint32_t bridge_staging_bytes(const struct multifd_bridge *bridge);

#endif
