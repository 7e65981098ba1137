/* SPDX-License-Identifier: MIT */
#include "fail.h"

#include <stdarg.h>
#include <stdio.h>

void tool_fill_error(struct multifd_error *err, enum multifd_error_code code, const char *format,
                     ...)
{
    va_list arguments;
    err->code = code;
    err->channel = MULTIFD_NO_CHANNEL;
    va_start(arguments, format);
    (void)vsnprintf(err->message, sizeof(err->message), format, arguments);
    va_end(arguments);
}
