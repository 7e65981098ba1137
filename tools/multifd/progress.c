/* SPDX-License-Identifier: MIT */
#include "progress.h"

#include "console.h"
#include "units.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define TERMINAL_INTERVAL_MS 200
#define PLAIN_INTERVAL_MS    5000
/* Weight of the newest interval in the rate on a terminal, where intervals are short. */
#define NEWEST_WEIGHT 0.3

struct progress {
    const char *command;
    const struct session_view *view;
    uint64_t total;
    bool terminal;
    double rate;
    uint64_t last_done;
    struct timespec last_time;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stopping; /* under lock */
    pthread_t thread;
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

static void show(struct progress *progress)
{
    struct progress_sample sample;
    char text[PROGRESS_TEXT];

    measure(progress, &sample);
    progress_format(text, &sample);
    if (progress->terminal) {
        console_progress(text);
    } else {
        console_line(progress->command, "%s", text);
    }
}

static void add_ms(struct timespec *time, long milliseconds)
{
    time->tv_sec += milliseconds / 1000;
    time->tv_nsec += milliseconds % 1000 * 1000000;
    if (time->tv_nsec >= 1000000000) {
        time->tv_sec++;
        time->tv_nsec -= 1000000000;
    }
}

static void *run(void *opaque)
{
    struct progress *progress = opaque;
    struct timespec next = progress->last_time;

    pthread_mutex_lock(&progress->lock);
    while (!progress->stopping) {
        int rc = 0;
        add_ms(&next, progress->terminal ? TERMINAL_INTERVAL_MS : PLAIN_INTERVAL_MS);
        while (!progress->stopping && rc == 0) {
            rc = pthread_cond_timedwait(&progress->wake, &progress->lock, &next);
        }
        if (!progress->stopping) {
            show(progress);
        }
    }
    pthread_mutex_unlock(&progress->lock);
    return NULL;
}

static void init_wake(struct progress *progress)
{
    pthread_condattr_t attributes;

    (void)pthread_mutex_init(&progress->lock, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&progress->wake, &attributes);
    (void)pthread_condattr_destroy(&attributes);
}

static void progress_delete(struct progress *progress)
{
    (void)pthread_cond_destroy(&progress->wake);
    (void)pthread_mutex_destroy(&progress->lock);
    free(progress);
}

struct progress *progress_start(const char *command, const struct session_view *view,
                                uint64_t total)
{
    struct progress *progress = calloc(1, sizeof(*progress));

    if (progress == NULL) {
        return NULL;
    }
    progress->command = command;
    progress->view = view;
    progress->total = total;
    progress->terminal = console_is_terminal();
    (void)clock_gettime(CLOCK_MONOTONIC, &progress->last_time);
    init_wake(progress);
    if (pthread_create(&progress->thread, NULL, run, progress) != 0) {
        progress_delete(progress);
        return NULL;
    }
    return progress;
}

void progress_stop(struct progress **progress)
{
    if (*progress == NULL) {
        return;
    }
    pthread_mutex_lock(&(*progress)->lock);
    (*progress)->stopping = true;
    (void)pthread_cond_signal(&(*progress)->wake);
    pthread_mutex_unlock(&(*progress)->lock);
    (void)pthread_join((*progress)->thread, NULL);
    console_progress("");
    progress_delete(*progress);
    *progress = NULL;
}
