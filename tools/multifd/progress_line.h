/* SPDX-License-Identifier: MIT */
/*
 * progress_line.h - a line on stderr that says how far something is: rewritten in place on a
 * terminal, a plain line every few seconds otherwise.
 */
#ifndef MULTIFD_TOOL_PROGRESS_LINE_H
#define MULTIFD_TOOL_PROGRESS_LINE_H

#define PROGRESS_TEXT 192

/* Says how far it is now; called in a thread of its own. */
typedef void progress_line_fn(void *opaque, char text[PROGRESS_TEXT]);

struct progress_line;

/* What `fn` needs must live until progress_line_stop. NULL when the line cannot be shown. */
struct progress_line *progress_line_start(const char *command, progress_line_fn *fn, void *opaque);

/* Takes the line away. Accepts NULL, sets to NULL. */
void progress_line_stop(struct progress_line **line);

#endif
