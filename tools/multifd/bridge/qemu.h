/* SPDX-License-Identifier: MIT */
/* qemu.h - what the bridge asks of the QEMU beside it, over QMP, for one migration. */
#ifndef MULTIFD_BRIDGE_QEMU_H
#define MULTIFD_BRIDGE_QEMU_H

#include "bridge/qmp.h"

#include <stdbool.h>

/* A parameter that stays as it is in QEMU. */
#define QEMU_KEEP UINT64_MAX

struct qemu_settings {
    uint64_t channels;       /* multifd-channels */
    uint64_t max_bandwidth;  /* bytes per second, 0 for no limit */
    uint64_t downtime_ms;    /* downtime-limit */
    const char *compression; /* multifd-compression; NULL to keep it */
};

enum qemu_role {
    QEMU_SOURCE,
    QEMU_DESTINATION,
};

/*
 * Refuses what no bridge can carry: a QEMU that is migrating already, or waits for no migration at
 * the destination; TLS; capabilities that send RAM on other ways.
 */
int qemu_check(struct qmp *qmp, enum qemu_role role, struct multifd_error *err);

/*
 * Sets the capabilities multifd, return-path and events, and the parameters. *channels is what
 * multifd-channels is then. Settings stay in QEMU.
 */
int qemu_set_up(struct qmp *qmp, const struct qemu_settings *settings, unsigned *channels,
                struct multifd_error *err);

/*
 * Destination: makes QEMU listen on `address`, unix:PATH, unless it does already. Then a source can
 * come.
 */
int qemu_listen(struct qmp *qmp, const char *address, struct multifd_error *err);

/* Source: starts the migration to `address`; somebody listens there. */
int qemu_migrate(struct qmp *qmp, const char *address, struct multifd_error *err);

int qemu_cancel(struct qmp *qmp, struct multifd_error *err);

/* What QEMU tells of the migration; 0 for what it does not tell. */
struct qemu_migration {
    char status[32]; /* query-migrate's; "none" before the start */
    uint64_t total_ms;
    uint64_t setup_ms;
    uint64_t downtime_ms; /* when completed */
    uint64_t rounds;      /* dirty-sync-count */
    uint64_t normal_pages;
    uint64_t zero_pages; /* duplicate */
    uint64_t transferred;
    uint64_t remaining;
    uint64_t total; /* guest RAM */
    double mbps;
    char error[256]; /* error-desc */
};

int qemu_query(struct qmp *qmp, struct qemu_migration *out, struct multifd_error *err);

/* Whether the migration has come to an end of whatever kind. */
bool qemu_is_over(const struct qemu_migration *migration);

#define QEMU_STATUS 32

/* The guest's run state, such as "running". */
int qemu_guest(struct qmp *qmp, char status[QEMU_STATUS], struct multifd_error *err);

#endif
