/* SPDX-License-Identifier: MIT */
#include "session_view.h"

void session_view_statistics(const struct session_view *view, struct multifd_statistics *out)
{
    if (view->source != NULL) {
        multifd_source_statistics(view->source, out);
    } else {
        multifd_destination_statistics(view->destination, out);
    }
}

int session_view_channel(const struct session_view *view, unsigned channel,
                         struct multifd_channel_statistics *out)
{
    return view->source != NULL
               ? multifd_source_channel_statistics(view->source, channel, out)
               : multifd_destination_channel_statistics(view->destination, channel, out);
}

void session_view_cancel(const struct session_view *view, const char *reason)
{
    if (view->source != NULL) {
        multifd_source_cancel(view->source, reason);
    } else {
        multifd_destination_cancel(view->destination, reason);
    }
}
