/* SPDX-License-Identifier: MIT */
#include "bridge/bridge_progress.h"

#include "units.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct bridge_progress {
    const struct multifd_bridge *bridge;
    struct follow *follow;
    uint64_t last_moved;
    struct timespec last_time;
    struct progress_line *line;
};

static uint64_t moved(const struct multifd_bridge_statistics *statistics)
{
    return statistics->direct_bytes + statistics->buffered_bytes + statistics->carried_bytes;
}

/* "QEMU active, round 3, 94.7 MiB of 256.0 MiB left; " */
static void format_qemu(char text[PROGRESS_TEXT], const struct qemu_migration *qemu)
{
    char remaining[UNITS_TEXT];
    char total[UNITS_TEXT];

    if (qemu->total == 0) {
        (void)snprintf(text, PROGRESS_TEXT, "QEMU %s; ", qemu->status);
        return;
    }
    units_format_size(remaining, qemu->remaining);
    units_format_size(total, qemu->total);
    (void)snprintf(text, PROGRESS_TEXT, "QEMU %s, round %" PRIu64 ", %s of %s left; ", qemu->status,
                   qemu->rounds, remaining, total);
}

void bridge_progress_format(char text[PROGRESS_TEXT], const struct qemu_migration *qemu,
                            const struct multifd_bridge_statistics *statistics, double rate)
{
    char direct[UNITS_TEXT];
    char buffered[UNITS_TEXT];
    char carried[UNITS_TEXT];

    text[0] = '\0';
    if (qemu != NULL && qemu->status[0] != '\0') {
        format_qemu(text, qemu);
    }
    size_t used = strlen(text);
    if (statistics->phase == MULTIFD_BRIDGE_WAITING) {
        (void)snprintf(text + used, PROGRESS_TEXT - used, "waiting");
        return;
    }
    units_format_size(direct, statistics->direct_bytes);
    units_format_size(buffered, statistics->buffered_bytes);
    units_format_size(carried, statistics->carried_bytes);
    (void)snprintf(text + used, PROGRESS_TEXT - used,
                   "direct %s, buffered %s, carried %s, %.2f Gb/s", direct, buffered, carried,
                   rate * 8 / 1e9);
}

static void format(void *opaque, char text[PROGRESS_TEXT])
{
    struct bridge_progress *progress = opaque;
    struct multifd_bridge_statistics statistics;
    struct qemu_migration qemu;
    struct timespec now;

    multifd_bridge_statistics(progress->bridge, &statistics);
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    double seconds = (double)(now.tv_sec - progress->last_time.tv_sec) +
                     (double)(now.tv_nsec - progress->last_time.tv_nsec) / 1e9;
    double rate = seconds > 0 ? (double)(moved(&statistics) - progress->last_moved) / seconds : 0;
    progress->last_moved = moved(&statistics);
    progress->last_time = now;
    if (progress->follow != NULL) {
        follow_latest(progress->follow, &qemu);
    }
    bridge_progress_format(text, progress->follow != NULL ? &qemu : NULL, &statistics, rate);
}

struct bridge_progress *bridge_progress_start(const char *command,
                                              const struct multifd_bridge *bridge,
                                              struct follow *follow)
{
    struct bridge_progress *progress = calloc(1, sizeof(*progress));

    if (progress == NULL) {
        return NULL;
    }
    progress->bridge = bridge;
    progress->follow = follow;
    (void)clock_gettime(CLOCK_MONOTONIC, &progress->last_time);
    progress->line = progress_line_start(command, format, progress);
    if (progress->line == NULL) {
        free(progress);
        return NULL;
    }
    return progress;
}

void bridge_progress_stop(struct bridge_progress **progress)
{
    if (*progress == NULL) {
        return;
    }
    progress_line_stop(&(*progress)->line);
    free(*progress);
    *progress = NULL;
}
