/* SPDX-License-Identifier: MIT */
/* session_view.h - what a source and a destination have in common for progress, report and signals.
 */
#ifndef MULTIFD_TOOL_SESSION_VIEW_H
#define MULTIFD_TOOL_SESSION_VIEW_H

#include <multifd.h>

/* Exactly one of the two is set; owned by whoever made it. */
struct session_view {
    struct multifd_source *source;
    struct multifd_destination *destination;
};

/* All three from any thread. */
void session_view_statistics(const struct session_view *view, struct multifd_statistics *out);
int session_view_channel(const struct session_view *view, unsigned channel,
                         struct multifd_channel_statistics *out);
void session_view_cancel(const struct session_view *view, const char *reason);

#endif
