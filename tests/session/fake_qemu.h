/* SPDX-License-Identifier: MIT */
/*
 * fake_qemu - two QEMUs for a pair of bridges: a source that generates a migration with multifd,
 * and a destination that takes it as QEMU 7.2 does, with a thread for each connection, the
 * semaphores between them, and the same ways to hang.
 *
 * The source changes its guest's pages before each round and sends those that it changed, over
 * channels and in packets chosen at random. It waits for nothing between rounds.
 */
#ifndef FAKE_QEMU_H
#define FAKE_QEMU_H

#include <multifd.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    FAKE_PAGE = 4096,
    FAKE_BLOCKS = 3,
    FAKE_CHANNELS_MAX = 8,
    FAKE_HEADER = 1344,
    FAKE_DEVICES = 9 + 20000 + 6, /* bytes behind the RAM, with the one that starts the guest */
};

struct fake_block {
    const char *name;
    uint64_t pages;
    uint8_t *from;
    uint8_t *to;
};

struct fake_plan {
    unsigned channels;
    unsigned rounds;
    unsigned seed;
    bool compressed;     /* every packet with pages: payload of an unknown length */
    bool zeros_inside;   /* zero pages in packets (9.0 and later), else records on main */
    bool flush;          /* FLUSH records (8.1 and later) instead of a sync at each EOS */
    bool sync_with_data; /* SYNC rides on a packet with pages, an empty one follows (7.2) */
    bool device_state;   /* packets with a device's state at the end (10.0 and later) */
    bool no_description; /* suppress-vmdesc=on */
    bool no_return_path;
    bool slow_main;         /* the destination takes its time over zero pages on main */
    bool no_multifd;        /* pages on the main connection */
    const char *start;      /* with which the first connection starts instead, 4 bytes */
    bool dies_at_end;       /* the destination, with all in hand, instead of starting its guest */
    void (*at_start)(void); /* called when the destination's guest starts, before it answers */
    /* 0: never; else the source cancels, or the destination is killed, after so many packets. */
    unsigned cancel_after;
    unsigned kill_after;
};

enum fake_outcome {
    FAKE_RUNNING = 0, /* not ended */
    FAKE_FAILED,      /* source: resumes its guest; destination: ends */
    FAKE_SUCCEEDED,   /* source: completed; destination: its guest has started */
};

struct fake_qemu;

struct fake_receiver {
    struct fake_qemu *qemu;
    int fd;
    int id;
    pthread_t thread;
    sem_t sync;
    uint64_t digest; /* of payloads that it cannot take apart */
};

struct fake_qemu {
    struct fake_plan plan;
    char source_path[64];
    char destination_path[64];
    struct fake_block blocks[FAKE_BLOCKS];

    /* Source. */
    pthread_t source;
    atomic_int source_outcome;
    int main;
    int fds[FAKE_CHANNELS_MAX];
    uint64_t packets;
    uint64_t random;
    uint64_t digests[FAKE_CHANNELS_MAX];

    /* Destination. */
    pthread_t destination;
    atomic_int destination_outcome;
    int listener;
    int incoming;
    struct fake_receiver receivers[FAKE_CHANNELS_MAX];
    unsigned receivers_num;
    sem_t synced;
    atomic_uint taken;        /* packets with pages or without */
    atomic_uint placed_pages; /* that it has put into RAM itself */
};

/* Makes the blocks and the paths, and listens as the destination. */
void fake_qemu_init(struct fake_qemu *qemu, const struct fake_plan *plan);
void fake_qemu_fini(struct fake_qemu *qemu);

void fake_qemu_start_destination(struct fake_qemu *qemu);
void fake_qemu_start_source(struct fake_qemu *qemu);

/* Waits for both; the outcomes are there then. */
void fake_qemu_join(struct fake_qemu *qemu);

/* Whether the destination's RAM is as the source's, and what it could not take apart came whole. */
bool fake_qemu_equal(const struct fake_qemu *qemu);

#endif
