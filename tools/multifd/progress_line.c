/* SPDX-License-Identifier: MIT */
#include "progress_line.h"

#include "console.h"
#include "ticker.h"

#include <stdlib.h>

#define TERMINAL_INTERVAL_NS UINT64_C(200000000)
#define PLAIN_INTERVAL_NS    UINT64_C(5000000000)

struct progress_line {
    const char *command;
    progress_line_fn *fn;
    void *opaque;
    bool terminal;
    struct ticker *ticker;
};

static void show(void *opaque)
{
    struct progress_line *line = opaque;
    char text[PROGRESS_TEXT];

    line->fn(line->opaque, text);
    if (line->terminal) {
        console_progress(text);
    } else {
        console_line(line->command, "%s", text);
    }
}

struct progress_line *progress_line_start(const char *command, progress_line_fn *fn, void *opaque)
{
    struct progress_line *line = calloc(1, sizeof(*line));

    if (line == NULL) {
        return NULL;
    }
    line->command = command;
    line->fn = fn;
    line->opaque = opaque;
    line->terminal = console_is_terminal();
    line->ticker =
        ticker_start(line->terminal ? TERMINAL_INTERVAL_NS : PLAIN_INTERVAL_NS, show, line);
    if (line->ticker == NULL) {
        free(line);
        return NULL;
    }
    return line;
}

void progress_line_stop(struct progress_line **line)
{
    if (*line == NULL) {
        return;
    }
    ticker_stop(&(*line)->ticker);
    console_progress("");
    free(*line);
    *line = NULL;
}
