/* SPDX-License-Identifier: MIT */
#include "stats.h"

#include "console.h"
#include "fail.h"
#include "ticker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct stats {
    struct report before; /* what the last line told */
    const struct session_view *view;
    struct ticker *ticker;
    bool broken; /* stdout takes no more lines */
};

static void print_line(struct stats *stats, const struct report *now)
{
    if (stats->broken) {
        return;
    }
    char *text = report_json_statistics(now, &stats->before);
    errno = 0;
    /* Whoever reads the lines wants each when it is due. */
    if (text != NULL && (puts(text) == EOF || fflush(stdout) != 0)) {
        stats->broken = true;
        console_line(now->command, "the statistics cannot be written: %s", strerror(errno));
    }
    free(text);
}

static void tick(void *opaque)
{
    struct stats *stats = opaque;
    struct report now = stats->before;

    report_collect(&now, stats->view);
    print_line(stats, &now);
    report_clear(&stats->before);
    stats->before = now;
}

struct stats *stats_start(const struct report *subject, const struct session_view *view,
                          uint64_t interval_ns, struct multifd_error *err)
{
    struct stats *stats = calloc(1, sizeof(*stats));

    if (stats == NULL) {
        (void)tool_fail(err, MULTIFD_ERROR_SYSTEM, "no memory");
        return NULL;
    }
    /* The time is now, but the counters stay at zero: what has moved before is the first line's. */
    stats->before = *subject;
    report_stamp(&stats->before);
    stats->view = view;
    stats->ticker = ticker_start(interval_ns, tick, stats);
    if (stats->ticker == NULL) {
        free(stats);
        (void)tool_fail(err, MULTIFD_ERROR_SYSTEM, "no thread for --stats-interval");
        return NULL;
    }
    return stats;
}

void stats_hold(struct stats *stats)
{
    if (stats != NULL) {
        ticker_stop(&stats->ticker);
    }
}

void stats_stop(struct stats **stats, const struct report *last)
{
    if (*stats == NULL) {
        return;
    }
    stats_hold(*stats);
    print_line(*stats, last);
    report_clear(&(*stats)->before);
    free(*stats);
    *stats = NULL;
}
