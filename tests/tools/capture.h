/* SPDX-License-Identifier: MIT */
/* capture.h - what a function prints to a standard stream, as a string. */
#ifndef MULTIFD_TESTS_CAPTURE_H
#define MULTIFD_TESTS_CAPTURE_H

#include <stdio.h>
#include <unistd.h>

struct capture {
    FILE *stream;
    FILE *file;
    int saved;
    char text[16384];
};

static inline void capture_start(struct capture *capture, FILE *stream)
{
    capture->stream = stream;
    (void)fflush(stream);
    capture->file = tmpfile();
    capture->saved = dup(fileno(stream));
    (void)dup2(fileno(capture->file), fileno(stream));
}

static inline void capture_stop(struct capture *capture)
{
    (void)fflush(capture->stream);
    (void)dup2(capture->saved, fileno(capture->stream));
    (void)close(capture->saved);
    rewind(capture->file);
    size_t length = fread(capture->text, 1, sizeof(capture->text) - 1, capture->file);
    capture->text[length] = '\0';
    (void)fclose(capture->file);
}

#endif
