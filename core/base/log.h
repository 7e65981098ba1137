/* SPDX-License-Identifier: MIT */
/* Where log lines go. Never used per packet. */
#ifndef MULTIFD_BASE_LOG_H
#define MULTIFD_BASE_LOG_H

struct log {
    void (*line)(void *opaque, const char *line); /* NULL: nowhere */
    void *opaque;
};

/* Formats one line and hands it to the log's function. Any thread. */
void log_line(const struct log *log, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
