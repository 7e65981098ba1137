/* SPDX-License-Identifier: MIT */
/*
 * session_pair - a source and a destination in one process, on the fake fabric or over sockets,
 * with what a test wants to know about both when they have ended.
 *
 * The source runs on the calling thread, the destination on a second one. Nothing here asserts: a
 * test looks at the results after pair_run. A session that does not end aborts the program with a
 * message.
 *
 * The source's memory is read-only while a session runs, and both sides' memory lies between pages
 * that nobody may touch: a stray access is a crash, not a wrong result that goes unseen.
 */
#ifndef SESSION_PAIR_H
#define SESSION_PAIR_H

#include <multifd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "fabric.h"

enum {
    PAIR_BLOCKS_MAX = 32,
    PAIR_CHANNELS_MAX = 16,
    PAIR_LOG_BYTES = 4096,
    PAIR_OLD_BYTE = 0xd5, /* what the destination's memory is full of before */
};

enum pair_transport {
    PAIR_RDMA,
    PAIR_TCP,
    PAIR_TCP6,
    PAIR_UNIX,
};

/* Of the sessions to come; at first PAIR_RDMA. */
extern enum pair_transport pair_transport;

/* Who shows messages on their way; at first fabric_on_send. */
extern void (*pair_on_send)(fabric_send_hook *hook, void *opaque);

struct session_pair;

struct pair_setting {
    const char *name;
    const char *value;
};

struct pair_block_plan {
    const char *name;
    uint64_t length;
};

/* What to run; whatever is zero has a sensible meaning. */
struct pair_plan {
    const char *name;                    /* for messages */
    const struct pair_setting *settings; /* of both sides; ends with a NULL name */
    const struct pair_setting *source_settings;
    const struct pair_setting *destination_settings;
    struct pair_block_plan blocks[PAIR_BLOCKS_MAX]; /* ends with a NULL name; none: one of 1 MiB */
    uint32_t page_size;                             /* 0: 4096; the option is set to it */
    uint32_t rounds;                                /* 0: one */
    /* Queues a round's pages, on the source's thread; NULL: every page of every block. */
    int (*queue)(struct session_pair *pair, uint32_t round, struct multifd_error *err);
    /* Called on the source's thread when a round has been synced. */
    void (*synced)(struct session_pair *pair, uint32_t round);
    /* Called on both threads before the sessions are made, with the side's options. */
    void (*configure)(struct session_pair *pair, struct multifd_options *options, bool source);
    bool blocks_backwards; /* the destination adds its blocks in the opposite order */
    bool ask_for_blocks;   /* the destination gets its blocks through on_block */
    bool blank;            /* both sides' memory is as it was mapped: never touched, all zero */
    uint16_t port;         /* 0: chosen */
    void *opaque;          /* the test's own */
};

struct pair_block {
    char name[MULTIFD_BLOCK_NAME_MAX + 1];
    uint64_t length;
    uint8_t *from; /* read-only but between pair_writable and pair_read_only */
    uint8_t *to;
    struct multifd_ram_block *block; /* the source's */
};

struct pair_side {
    int status; /* 0: the session has finished */
    struct multifd_error err;
    struct multifd_error repeated; /* what a call after the failure returned */
    struct multifd_statistics statistics;
    struct multifd_channel_statistics channels[PAIR_CHANNELS_MAX];
    uint32_t rounds; /* ended */
    pthread_mutex_t lock;
    char log[PAIR_LOG_BYTES]; /* under lock */
};

struct session_pair {
    struct pair_plan plan;
    unsigned number; /* counts the pairs of this process */
    struct pair_block blocks[PAIR_BLOCKS_MAX];
    uint32_t blocks_num;
    struct pair_side source_side;
    struct pair_side destination_side;
    struct multifd_source *source;           /* while the source's thread may use it */
    struct multifd_destination *destination; /* while the destination's thread may use it */
    bool asked_for_nobody; /* the destination was told to stop waiting: no source ever came in */

    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint16_t port;          /* under lock; listened on; 1 for a unix socket, which has none */
    bool ready;             /* under lock; listening, or failed to */
    bool destination_ended; /* under lock */
    bool source_ended;      /* under lock */
    bool deleted;           /* under lock: neither side exists */
};

/* Makes the blocks; the source's are full of a pattern. Aborts when there is no memory. */
struct session_pair *pair_new(const struct pair_plan *plan);
void pair_delete(struct session_pair **pair);

/* Runs the session to its end on both sides and releases both. */
void pair_run(struct session_pair *pair);

/* For tests that make the calls of one side themselves. */
struct multifd_options *pair_options(struct session_pair *pair, bool source);
void pair_start_destination(struct session_pair *pair); /* returns when it listens, or has failed */
void pair_address(const struct session_pair *pair, char address[64]);
void pair_add_source_blocks(struct session_pair *pair, struct multifd_source *source);
/* The whole source, on this thread. */
void pair_run_source(struct session_pair *pair);
void pair_join_destination(struct session_pair *pair);

/* Queues every page of a block, or of all. */
int pair_queue_block(struct session_pair *pair, uint32_t block, struct multifd_error *err);
int pair_queue_all(struct session_pair *pair, struct multifd_error *err);

/* Lets the test change the source's memory, between rounds. */
void pair_writable(struct session_pair *pair);
void pair_read_only(struct session_pair *pair);

/* Sockets that this process has open. */
unsigned pair_sockets(void);

/* Whether both sides' memory is equal. */
bool pair_equal(const struct session_pair *pair);
/* Whether every page at the destination is as before or as at the source. */
bool pair_pages_old_or_new(const struct session_pair *pair);
/* Whether the source's memory is as pair_new has made it. */
bool pair_source_untouched(const struct session_pair *pair);
/* The pattern that pair_new writes. */
uint8_t pair_pattern(uint32_t block, uint64_t offset);

/* Copies what a side has logged. */
void pair_log(struct pair_side *side, char log[PAIR_LOG_BYTES]);

/* Prints both sides' results, for a test that is about to fail. */
void pair_print(struct session_pair *pair);

/* What is not over after so many seconds (more under a sanitizer) aborts with this name. */
void watchdog_start(unsigned seconds, const char *name);
void watchdog_stop(void);

/* Whether this build is slow: a thread or address sanitizer. */
bool slow_build(void);

#endif
