/* SPDX-License-Identifier: MIT */
#include "console.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#define CLEAR_LINE "\r\033[K"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool progress_shown;

bool console_is_terminal(void)
{
    return isatty(STDERR_FILENO) == 1;
}

void console_line(const char *command, const char *format, ...)
{
    char text[1024];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);

    pthread_mutex_lock(&lock);
    (void)fprintf(stderr, "%smultifd%s%s: %s\n", progress_shown ? CLEAR_LINE : "",
                  command[0] != '\0' ? " " : "", command, text);
    (void)fflush(stderr);
    progress_shown = false;
    pthread_mutex_unlock(&lock);
}

void console_progress(const char *text)
{
    pthread_mutex_lock(&lock);
    if (progress_shown || text[0] != '\0') {
        (void)fprintf(stderr, CLEAR_LINE "%s", text);
        (void)fflush(stderr);
    }
    progress_shown = text[0] != '\0';
    pthread_mutex_unlock(&lock);
}
