/* SPDX-License-Identifier: MIT */
/* progress.h - how far a session is, as a line. */
#ifndef MULTIFD_TOOL_PROGRESS_H
#define MULTIFD_TOOL_PROGRESS_H

#include "progress_line.h"
#include "session_view.h"

struct progress_sample {
    uint64_t done;  /* bytes */
    uint64_t total; /* bytes */
    double rate;    /* bytes per second, 0 when nothing moves */
};

/* " 37 %  94.7 MiB of 256.0 MiB  9.53 Gb/s  1 s left" */
void progress_format(char text[PROGRESS_TEXT], const struct progress_sample *sample);

struct progress;

/*
 * Starts showing the progress of `view`, of which `total` bytes are expected. `view` and its
 * session must live until progress_stop. Progress is never worth failing for: NULL when it cannot
 * be shown.
 */
struct progress *progress_start(const char *command, const struct session_view *view,
                                uint64_t total);

/* Takes the line away. Accepts NULL, sets to NULL. */
void progress_stop(struct progress **progress);

#endif
