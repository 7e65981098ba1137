/* SPDX-License-Identifier: MIT */
#include "progress.h"

#include "console.h"
#include "units.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Weight of the newest interval in the rate on a terminal, where intervals are short. */
#define NEWEST_WEIGHT 0.3

struct progress {
    const struct session_view *view;
    uint64_t total;
    bool terminal;
    double rate;
    uint64_t last_done;
    struct timespec last_time;
    struct progress_line *line;
};

/* Whole seconds, rounded up: more digits would only flicker. */
static void format_left(char text[UNITS_TEXT], double seconds)
{
    if (seconds < 60) {
        unsigned whole = (unsigned)seconds;
        (void)snprintf(text, UNITS_TEXT, "%u s", (double)whole < seconds ? whole + 1 : whole);
    } else {
        units_format_seconds(text, seconds);
    }
}

void progress_format(char text[PROGRESS_TEXT], const struct progress_sample *sample)
{
    char done[UNITS_TEXT];
    char total[UNITS_TEXT];
    char left[UNITS_TEXT] = "?";
    /* More than the total has moved when pages were sent again in a later round. */
    bool over = sample->done >= sample->total;
    double percent = over ? 100 : 100 * (double)sample->done / (double)sample->total;

    units_format_size(done, sample->done);
    units_format_size(total, sample->total);
    if (over || sample->rate > 0) {
        format_left(left, over ? 0 : (double)(sample->total - sample->done) / sample->rate);
    }
    (void)snprintf(text, PROGRESS_TEXT, "%3d %%  %s of %s  %.2f Gb/s  %s left", (int)percent, done,
                   total, sample->rate * 8 / 1e9, left);
}

static double seconds_between(const struct timespec *from, const struct timespec *to)
{
    return (double)(to->tv_sec - from->tv_sec) + (double)(to->tv_nsec - from->tv_nsec) / 1e9;
}

static void measure(struct progress *progress, struct progress_sample *sample)
{
    struct multifd_statistics statistics;
    struct timespec now;

    session_view_statistics(progress->view, &statistics);
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    double seconds = seconds_between(&progress->last_time, &now);
    double newest = seconds > 0 ? (double)(statistics.guest_bytes - progress->last_done) / seconds
                                : progress->rate;
    double weight = progress->terminal && progress->rate > 0 ? NEWEST_WEIGHT : 1;
    progress->rate = weight * newest + (1 - weight) * progress->rate;
    progress->last_done = statistics.guest_bytes;
    progress->last_time = now;
    *sample = (struct progress_sample){statistics.guest_bytes, progress->total, progress->rate};
}

static void format(void *opaque, char text[PROGRESS_TEXT])
{
    struct progress_sample sample;

    measure(opaque, &sample);
    progress_format(text, &sample);
}

struct progress *progress_start(const char *command, const struct session_view *view,
                                uint64_t total)
{
    struct progress *progress = calloc(1, sizeof(*progress));

    if (progress == NULL) {
        return NULL;
    }
    progress->view = view;
    progress->total = total;
    progress->terminal = console_is_terminal();
    (void)clock_gettime(CLOCK_MONOTONIC, &progress->last_time);
    progress->line = progress_line_start(command, format, progress);
    if (progress->line == NULL) {
        free(progress);
        return NULL;
    }
    return progress;
}

void progress_stop(struct progress **progress)
{
    if (*progress == NULL) {
        return;
    }
    progress_line_stop(&(*progress)->line);
    free(*progress);
    *progress = NULL;
}
