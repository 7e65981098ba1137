/* SPDX-License-Identifier: MIT */
#include "error.h"

#include <stdio.h>
#include <string.h>

static const char *const code_names[] = {
    [MULTIFD_OK] = "ok",
    [MULTIFD_ERROR_INVALID] = "invalid",
    [MULTIFD_ERROR_STATE] = "state",
    [MULTIFD_ERROR_ADDRESS] = "address",
    [MULTIFD_ERROR_CONNECT] = "connect",
    [MULTIFD_ERROR_REFUSED] = "refused",
    [MULTIFD_ERROR_VERSION] = "version",
    [MULTIFD_ERROR_MISMATCH] = "mismatch",
    [MULTIFD_ERROR_LIMIT] = "limit",
    [MULTIFD_ERROR_MEMLOCK] = "memlock",
    [MULTIFD_ERROR_DEVICE] = "device",
    [MULTIFD_ERROR_COMPLETION] = "completion",
    [MULTIFD_ERROR_PROTOCOL] = "protocol",
    [MULTIFD_ERROR_DISCONNECTED] = "disconnected",
    [MULTIFD_ERROR_TIMEOUT] = "timeout",
    [MULTIFD_ERROR_PEER] = "peer",
    [MULTIFD_ERROR_CANCELLED] = "cancelled",
    [MULTIFD_ERROR_VERIFY] = "verify",
    [MULTIFD_ERROR_METHOD] = "method",
    [MULTIFD_ERROR_SYSTEM] = "system",
};

const char *multifd_error_name(enum multifd_error_code code)
{
    if ((unsigned)code >= sizeof(code_names) / sizeof(code_names[0])) {
        return "unknown";
    }
    return code_names[code];
}

__attribute__((format(printf, 3, 0))) static void
set_text(struct multifd_error *err, enum multifd_error_code code, const char *format, va_list args)
{
    char text[MULTIFD_ERROR_TEXT]; /* an argument may point into err->message */

    vsnprintf(text, sizeof(text), format, args);
    memcpy(err->message, text, sizeof(text));
    err->code = code;
    err->channel = MULTIFD_NO_CHANNEL;
}

int error_set(struct multifd_error *err, enum multifd_error_code code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    set_text(err, code, format, args);
    va_end(args);
    return -1;
}

int error_set_errno(struct multifd_error *err, enum multifd_error_code code, int errnum,
                    const char *format, ...)
{
    char reason[128];
    va_list args;
    size_t used;

    va_start(args, format);
    set_text(err, code, format, args);
    va_end(args);
    used = strlen(err->message);
    snprintf(err->message + used, sizeof(err->message) - used, ": %s",
             strerror_r(errnum, reason, sizeof(reason)));
    return -1;
}

void error_set_channel(struct multifd_error *err, int channel)
{
    char text[MULTIFD_ERROR_TEXT];

    if (err->channel != MULTIFD_NO_CHANNEL) {
        return;
    }
    err->channel = channel;
    memcpy(text, err->message, sizeof(text));
    if (channel == MULTIFD_CONTROL_CHANNEL) {
        snprintf(err->message, sizeof(err->message), "control connection: %.480s", text);
    } else {
        snprintf(err->message, sizeof(err->message), "channel %d: %.480s", channel, text);
    }
}

int error_set_nomem(struct multifd_error *err)
{
    return error_set(err, MULTIFD_ERROR_SYSTEM, "out of memory");
}

void error_clear(struct multifd_error *err)
{
    err->code = MULTIFD_OK;
    err->channel = MULTIFD_NO_CHANNEL;
    err->message[0] = '\0';
}
