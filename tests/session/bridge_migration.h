/* SPDX-License-Identifier: MIT */
/* bridge_migration - a whole migration through a pair of bridges, between two fake QEMUs. */
#ifndef BRIDGE_MIGRATION_H
#define BRIDGE_MIGRATION_H

#include <multifd_bridge.h>
#include <pthread.h>

#include "check.h"
#include "fake_qemu.h"

/* Which of the blocks a side's bridge knows, as bits. */
enum { KNOWS_NONE = 0, KNOWS_TWO = 3 };

struct bridge_plan {
    const char *name;
    struct fake_plan qemu;
    unsigned source_knows;
    unsigned destination_knows;
    bool tcp;
    const char *registration;
    unsigned source_expects;
    unsigned destination_expects;
    uint64_t wrong_length;    /* of the source's first block, instead of its own */
    unsigned cancel_after_ms; /* 0: never */
    bool cancel_source;
    unsigned cut_after_ms; /* the wire; 0: never */
    bool late_writes;      /* some wait between being read and being in place */
};

struct side {
    struct multifd_bridge *bridge;
    struct multifd_error err;
    int status;
    struct multifd_bridge_statistics statistics;
    pthread_t thread;

    /* Destination: what its observer was told. */
    atomic_int qemu;
    atomic_bool handed_over;

    /* Source: that its own was told to watch over QEMU's connection, of which it keeps a copy, and
     * with which words. */
    atomic_bool committed;
    int copy;
    uint8_t words[64];
    size_t words_length;
};

struct migration {
    const struct bridge_plan *plan;
    struct fake_qemu qemu;
    struct side source;
    struct side destination;
};

/* From the first connection to the last; what came out is in *migration then. */
void bridge_migration_run(struct migration *migration, const struct bridge_plan *plan);

/* Prints how each side ended. */
void bridge_migration_explain(const struct migration *migration);

#define EXPECT(migration, condition)                                                               \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            bridge_migration_explain(migration);                                                   \
            fail_msg("%s", #condition);                                                            \
        }                                                                                          \
    } while (0)

/* The guest is at the destination and nowhere else, with all of its memory. */
void bridge_migration_expect_success(struct migration *migration);

/* The guest runs at the source and nowhere else. */
void bridge_migration_expect_failure(struct migration *migration);

#endif
