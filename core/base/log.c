/* SPDX-License-Identifier: MIT */
#include "log.h"

#include <stdarg.h>
#include <stdio.h>

void log_line(const struct log *log, const char *format, ...)
{
    char line[1024];
    va_list args;

    if (log->line == NULL) {
        return;
    }
    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    log->line(log->opaque, line);
}
