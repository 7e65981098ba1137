/* SPDX-License-Identifier: MIT */
/*
 * multifd.h - moving a guest's memory between hosts over many RDMA queue pairs at once.
 *
 * THE LIFE OF A SESSION
 *
 *   source                                    destination
 *   ------                                    -----------
 *   multifd_options_new                       multifd_options_new
 *   multifd_source_new                        multifd_destination_new
 *   multifd_source_add_block (each block)     multifd_destination_add_block (each block)
 *                                             multifd_load_setup           listens
 *   multifd_save_setup          <-- connects, agrees -->
 *                                             multifd_recv_new_channel     until
 *                                             multifd_recv_all_channels_created
 *   multifd_queue_page (each page)            (multifd_queue_zero_page: of which it is known)
 *   multifd_send_sync_main      <-- ends a round on both sides -->  multifd_recv_sync_main == 1
 *   ... more rounds ...
 *   multifd_source_finish       <-- totals agree -->                multifd_recv_sync_main == 0
 *   multifd_save_cleanup                      multifd_load_cleanup
 *   multifd_source_delete                     multifd_destination_delete
 *
 * Until multifd_source_finish has returned 0 the source's guest is the only truth. When any call on
 * the destination fails, its memory must not be used.
 *
 * A page's content is read at some time between multifd_queue_page and the end of the next
 * multifd_send_sync_main. The guest may write to it meanwhile, as in pre-copy: queue the page again
 * in a later round. The last round must be sent while the guest is stopped.
 *
 * RETURN VALUES AND ERRORS
 *
 * Unless said otherwise a function returns 0, or -1 with *err filled; err may be NULL. A session's
 * first error is kept, stops all its channels, reaches the other side, and is what every later call
 * on that session returns.
 *
 * THREAD SAFETY
 *
 * Sessions are independent of each other: any number may live in one process, in any threads.
 *  - Any thread, any time while the object exists: multifd_source_cancel,
 *    multifd_destination_cancel, the *_statistics functions, multifd_recv_all_channels_created.
 *  - Any thread: multifd_error_name, multifd_version, multifd_devices_*, multifd_buffer_is_zero*,
 *    the hooks of a method, with parameters that no other thread uses.
 *  - One thread at a time per object: everything else.
 *  - Async-signal-safe: none.
 */
#ifndef MULTIFD_H
#define MULTIFD_H

#include <multifd_error.h>
#include <multifd_method.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Longest name of a RAM block in bytes, without the final NUL. */
#define MULTIFD_BLOCK_NAME_MAX 255u
/* Most channels of a session, as in QEMU. */
#define MULTIFD_CHANNELS_MAX 255u
/* Most RAM blocks of a session. */
#define MULTIFD_BLOCKS_MAX 1024u

struct multifd_options;
struct multifd_source;
struct multifd_destination;
struct multifd_ram_block;

/* The library's version as "MAJOR.MINOR.PATCH". Static storage. */
const char *multifd_version(void);

/*
 * ---- Options -----------------------------------------------------------------------------------
 */

/* What one option is; the list of them is also the command's list of options. */
struct multifd_option_info {
    const char *name;     /* "channels" */
    const char *argument; /* what the value is, "N" */
    const char *initial;  /* its value in multifd_options_new */
    const char *help;     /* one sentence */
};

/* All options in a fixed order, ended by an entry whose name is NULL. Static storage. */
const struct multifd_option_info *multifd_options_list(void);

/* New options with the values of multifd_options_list; NULL when there is no memory. */
struct multifd_options *multifd_options_new(void);

/*
 * Frees *options and sets it to NULL; NULL is accepted. Sessions made from it keep their own copy.
 */
void multifd_options_delete(struct multifd_options **options);

/*
 * Sets one option by name. Sizes take K, M, G and T (powers of 1024), times take ms, s and min (a
 * bare number means seconds). On error nothing changes.
 */
int multifd_options_set(struct multifd_options *options, const char *name, const char *value,
                        struct multifd_error *err);

/* Receives the library's log lines: one sentence without newline, from any thread of a session. */
typedef void multifd_log_fn(void *opaque, const char *line);

/* Where sessions made from these options log to; NULL (the initial value) for nowhere. */
void multifd_options_set_log(struct multifd_options *options, multifd_log_fn *log, void *opaque);

/*
 * Makes a method available to sessions made from these options: `method` is its value in the
 * compression bits of the flags (3 << 1 to 7 << 1 are free), `name` what the option "method" calls
 * it. Both sides register it under the same value; the source chooses it, by name. The table and
 * the name must outlive every such session. Replacing a method that exists is refused, and so is
 * one without send_setup, send_cleanup, send_prepare or recv.
 *
 * multifd_method.h tells what each hook has to do. A complete method to start from, small and with
 * comments, is tests/install.d/repeat_method.c in the library's sources; method_user.c beside it is
 * a program that uses it, and tries its hooks without a session.
 */
int multifd_register_ops(struct multifd_options *options, uint32_t method, const char *name,
                         const struct multifd_methods *ops, struct multifd_error *err);

/*
 * The hooks of a method by its name, one of the library's or a registered one, for who wants to
 * call them without a session: multifd_method.h tells in which order, and what the caller, in place
 * of the engine, fills in before. NULL when there is no such method. The library's tables are
 * static; they outlive the options.
 */
const struct multifd_methods *multifd_options_method(const struct multifd_options *options,
                                                     const char *name);

/*
 * ---- Pages of zeros ----------------------------------------------------------------------------
 */

/*
 * Whether all `length` bytes, a multiple of 128, are zero: what the option "zero-page-detection"
 * asks of the pages, with the vector code that is fastest on this processor. Reads nothing outside
 * of them; the address needs no alignment. Another thread may write there meanwhile, and then
 * either answer may come.
 */
bool multifd_buffer_is_zero(const void *buffer, size_t length);

/* The instruction set that it uses on this processor, such as "avx2". Static storage. */
const char *multifd_buffer_is_zero_variant(void);

/*
 * ---- Statistics --------------------------------------------------------------------------------
 */

/* A counter that is not known. */
#define MULTIFD_UNKNOWN UINT64_MAX

/*
 * What the RDMA device has counted on the session's port since the session's first connection.
 * These are the device's counters: whatever else uses that port, other sessions and other programs,
 * counts too. Which of them there are depends on the driver; the others are MULTIFD_UNKNOWN, and so
 * are all of them before the first connection.
 */
struct multifd_device_counters {
    uint64_t retries;         /* send queues that were started again, for whatever reason */
    uint64_t ack_timeouts;    /* requests that were not acknowledged in time */
    uint64_t sequence_naks;   /* answers that say: a packet is missing */
    uint64_t rnr_naks;        /* answers that say: no receive is posted */
    uint64_t out_of_sequence; /* requests that came behind a missing packet */
    uint64_t duplicates;      /* requests that came again */
};

struct multifd_statistics {
    uint64_t guest_bytes;  /* bytes of guest pages sent or received */
    uint64_t wire_bytes;   /* payloads and headers handed to the transport */
    uint64_t normal_pages; /* pages with a payload */
    uint64_t zero_pages;   /* pages that were named as zero; normal ones may be zero, too */
    uint64_t packets;      /* packets, those that are a SYNC without pages included */
    uint64_t syncs;        /* rounds ended */
    uint64_t total_ns;     /* from setup's start to the end of finish, or to now */
    uint64_t setup_ns;     /* connecting and agreeing */
    uint64_t transfer_ns;  /* from the first page queued (source) or the end of setup (destination)
                              to the end of the last sync */
    uint64_t sync_ns;      /* time spent in syncs (source) */
    uint64_t verify_ns;    /* comparing hashes at the end */
    uint64_t registered_bytes; /* guest memory pinned on this side, at its most; 0 with odp */
    uint64_t register_ns;      /* time in which at least one thread was registering memory */
    /*
     * Processor time, user and system, that the session's own threads on this side have used, those
     * that have ended included; it grows until clean-up has returned. Not in it: what the calling
     * threads use in multifd_* functions, which CLOCK_THREAD_CPUTIME_ID tells them (where there is
     * one processor, that is most of the source's), and what the kernel does in threads of its own.
     */
    uint64_t cpu_ns;
    /*
     * Packets that waited, at the source: for the destination to take others, for room, and for
     * their memory to be registered on both sides. Each once, by what it waited for first.
     */
    uint64_t credit_stalls;
    uint64_t queue_stalls;
    uint64_t memory_stalls;
    struct multifd_device_counters device;
    unsigned channels; /* channels of the session */
};

struct multifd_channel_statistics {
    uint64_t guest_bytes; /* as above, of one channel */
    uint64_t wire_bytes;
    uint64_t normal_pages;
    uint64_t zero_pages;
    uint64_t packets;
    uint64_t credit_stalls;
    uint64_t queue_stalls;
    uint64_t memory_stalls;
    uint64_t cpu_ns; /* of the channel's thread */
};

/*
 * ---- Source ------------------------------------------------------------------------------------
 */

/*
 * A source that will connect to `address`: "rdma:HOST:PORT", "tcp:HOST:PORT" (IPv6 hosts in
 * brackets) or "unix:PATH". NULL on error. Copies what it needs of address and options.
 */
struct multifd_source *multifd_source_new(const char *address,
                                          const struct multifd_options *options,
                                          struct multifd_error *err);

/*
 * Cleans up if multifd_save_cleanup was not called, frees *source, sets it to NULL; accepts NULL.
 */
void multifd_source_delete(struct multifd_source **source);

/*
 * Adds the RAM block `name` at `host`, `length` bytes (a multiple of the page size), before
 * multifd_save_setup. The memory stays the caller's, must be readable until multifd_save_cleanup
 * has returned, and is never written. Returns the block for multifd_queue_page, owned by the
 * source; NULL on error.
 */
struct multifd_ram_block *multifd_source_add_block(struct multifd_source *source, const char *name,
                                                   const void *host, uint64_t length,
                                                   struct multifd_error *err);

/*
 * Connects, agrees with the destination on the session and its RAM blocks, and starts one thread
 * per channel. Blocks until every channel is up.
 *
 * From then on both sides register memory with their devices while pages are sent, and a packet
 * waits for the memory that it needs. The option "registration" says how much: `all`, in order;
 * `on-demand`, what has pages to send that are not zero; `odp`, all, but none of it pinned. What
 * fails then fails the session, as anything else does.
 */
int multifd_save_setup(struct multifd_source *source, struct multifd_error *err);

/*
 * Queues the page at `offset` of `block` in the current batch, which is handed to a channel when it
 * is full or when the next page is of another block. The channel sends it as soon as it can, but
 * may keep zero pages until it has more of them, other pages or a SYNC. Waits when every channel is
 * busy. `offset` is a multiple of the page size. A page may be queued only once in a round.
 */
int multifd_queue_page(struct multifd_source *source, struct multifd_ram_block *block,
                       uint64_t offset, struct multifd_error *err);

/*
 * The same for a page that the caller knows to be all zero without looking, such as a hole of the
 * file that it lies in: its memory is neither read nor, with the registration `on-demand`,
 * registered. If it does not stay zero until the guest is stopped it must be queued again in a
 * later round, as any page that was written to. With the option "zero-page-detection" at `none`
 * this is multifd_queue_page.
 */
int multifd_queue_zero_page(struct multifd_source *source, struct multifd_ram_block *block,
                            uint64_t offset, struct multifd_error *err);

/*
 * Ends a round: hands over the partly filled batch, sends SYNC on every channel that has had pages
 * since its last one (over sockets, as QEMU, on every channel), and returns when every queue pair
 * has drained and the destination has confirmed that it has applied everything before those SYNCs.
 */
int multifd_send_sync_main(struct multifd_source *source, struct multifd_error *err);

/*
 * Ends the migration: syncs if pages were queued since the last sync, compares the totals with the
 * destination's (and the contents, if the option "verify" is on) and waits for its confirmation.
 * After 0 the destination's memory is the guest's; after -1 the source's still is.
 */
int multifd_source_finish(struct multifd_source *source, struct multifd_error *err);

/*
 * Ends the session in whatever state it is: stops the threads, disconnects, releases all that
 * multifd_save_setup made. A session that has not finished is reported to the destination as
 * failed.
 */
void multifd_save_cleanup(struct multifd_source *source);

/*
 * Makes the session fail with MULTIFD_ERROR_CANCELLED and the text `reason`; wakes whoever waits in
 * it. Does nothing once the session has failed or finished.
 */
void multifd_source_cancel(struct multifd_source *source, const char *reason);

/* Fills *out with the session's counters as they are now. */
void multifd_source_statistics(const struct multifd_source *source, struct multifd_statistics *out);

/* The same for one channel; -1 (and no change) when there is no such channel. */
int multifd_source_channel_statistics(const struct multifd_source *source, unsigned channel,
                                      struct multifd_channel_statistics *out);

/*
 * ---- Destination -------------------------------------------------------------------------------
 */

/*
 * A destination that will listen on `address`; port 0 lets the system choose, an empty HOST means
 * every address of this host. NULL on error.
 */
struct multifd_destination *multifd_destination_new(const char *address,
                                                    const struct multifd_options *options,
                                                    struct multifd_error *err);

/* Cleans up if multifd_load_cleanup was not called, frees, sets to NULL; accepts NULL. */
void multifd_destination_delete(struct multifd_destination **destination);

/*
 * Adds the RAM block `name` at `host`, before the source connects. The memory stays the caller's
 * and must be writable until multifd_load_cleanup has returned. Every block that the source has
 * must exist with the same length, and no other.
 */
int multifd_destination_add_block(struct multifd_destination *destination, const char *name,
                                  void *host, uint64_t length, struct multifd_error *err);

/*
 * Asked for the memory of a block that the source offers and that was not added: returns its first
 * byte (`length` bytes, the caller's), or NULL to refuse with err->message filled.
 */
typedef void *multifd_block_fn(void *opaque, const char *name, uint64_t length,
                               struct multifd_error *err);

/* Sets that function; NULL (the initial value) refuses blocks that were not added. */
void multifd_destination_on_block(struct multifd_destination *destination, multifd_block_fn *fn,
                                  void *opaque);

/* Binds the address and listens. */
int multifd_load_setup(struct multifd_destination *destination, struct multifd_error *err);

/* The port listened on, 0 before multifd_load_setup and for a unix socket. */
uint16_t multifd_destination_port(const struct multifd_destination *destination);

/*
 * Waits for one connection and takes it in: first the control connection, with which it agrees on
 * the session, then each channel in any order. Waits without limit for the first connection only. A
 * connection that does not belong to the session is refused and logged, and the waiting goes on.
 */
int multifd_recv_new_channel(struct multifd_destination *destination, struct multifd_error *err);

/* Whether the control connection and every channel are up; false before multifd_load_setup. */
bool multifd_recv_all_channels_created(const struct multifd_destination *destination);

/*
 * Waits until every channel that gets a SYNC has reached it and confirms the round to the source.
 * Returns 1 when a round has been applied, 0 when the source has finished and everything agreed, -1
 * on error.
 *
 * One doubt no protocol removes: if the source or the network dies in the very moment in which the
 * confirmation arrives, this returns 0 and multifd_source_finish -1. Where a guest must not run
 * twice, start it only when the source's side is known to have ended or to have returned 0.
 */
int multifd_recv_sync_main(struct multifd_destination *destination, struct multifd_error *err);

/* Ends the session in whatever state it is; see multifd_save_cleanup. */
void multifd_load_cleanup(struct multifd_destination *destination);

/* See multifd_source_cancel. */
void multifd_destination_cancel(struct multifd_destination *destination, const char *reason);

/* See multifd_source_statistics and multifd_source_channel_statistics. */
void multifd_destination_statistics(const struct multifd_destination *destination,
                                    struct multifd_statistics *out);
int multifd_destination_channel_statistics(const struct multifd_destination *destination,
                                           unsigned channel,
                                           struct multifd_channel_statistics *out);

/*
 * ---- Devices -----------------------------------------------------------------------------------
 */

/* One port of an RDMA device and the limits that matter to a session. */
struct multifd_device_gid {
    unsigned index;
    char text[48]; /* as inet_ntop writes it */
};

#define MULTIFD_DEVICE_GIDS 32

struct multifd_device {
    char name[64];
    char transport[32]; /* "InfiniBand", "iWARP", ... */
    unsigned port;      /* 1-based */
    bool active;
    char state[32];      /* "PORT_ACTIVE", ... */
    char link_layer[16]; /* "Ethernet" or "InfiniBand" */
    unsigned active_mtu; /* bytes */
    unsigned max_mtu;    /* bytes */
    unsigned max_qp;
    unsigned max_qp_wr;
    unsigned max_sge;
    unsigned max_cqe;
    unsigned max_mr;
    uint64_t max_mr_size; /* bytes */
    uint64_t max_msg_sz;  /* bytes */
    bool odp;             /* on-demand paging for RC WRITE and SEND */
    unsigned gids_num;
    struct multifd_device_gid gids[MULTIFD_DEVICE_GIDS]; /* the first of those that are set */
};

/*
 * Lists the ports of all RDMA devices: *devices becomes an array of *count entries that the caller
 * releases with multifd_devices_free. No device at all is no error: *count is 0.
 */
int multifd_devices_list(struct multifd_device **devices, size_t *count, struct multifd_error *err);
void multifd_devices_free(struct multifd_device **devices);

/*
 * The locked-memory limit of this process in bytes, UINT64_MAX when there is none (no limit set, or
 * the process has CAP_IPC_LOCK).
 */
uint64_t multifd_devices_memlock_limit(void);

#ifdef __cplusplus
}
#endif

#endif
