/* SPDX-License-Identifier: MIT */
/*
 * fuzz - what the targets share. A target is one LLVMFuzzerTestOneInput that feeds a decoder and
 * checks what the decoder promises; it is linked with libFuzzer or with replay.c.
 */
#ifndef MULTIFD_TEST_FUZZ_H
#define MULTIFD_TEST_FUZZ_H

#include <multifd_error.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* libFuzzer's entry point. `size` may be 0; returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Not assert: a target must check in every kind of build. */
#define FUZZ_CHECK(condition)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* For structs with padding, when they were filled with memset or memcpy. */
static inline int fuzz_same_bytes(const void *one, const void *other, size_t size)
{
    return memcmp(one, other, size) == 0;
}

/* An error as no decoder leaves it. */
static inline void fuzz_error_poison(struct multifd_error *err)
{
    memset(err, 0xa5, sizeof(*err));
}

/* A refusal says why: a code, no other channel, and a sentence of one line. */
static inline void fuzz_check_refusal(const struct multifd_error *err)
{
    FUZZ_CHECK(err->code > MULTIFD_OK && err->code <= MULTIFD_ERROR_SYSTEM);
    FUZZ_CHECK(strcmp(multifd_error_name(err->code), "unknown") != 0);
    FUZZ_CHECK(err->channel == MULTIFD_NO_CHANNEL);
    FUZZ_CHECK(memchr(err->message, '\0', sizeof(err->message)) != NULL);
    FUZZ_CHECK(err->message[0] != '\0');
}

/* A string of the input's bytes on the heap, so that a sanitizer sees a step beyond its end. */
static inline char *fuzz_text(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);

    FUZZ_CHECK(text != NULL);
    if (size != 0) {
        memcpy(text, data, size);
    }
    text[size] = '\0';
    return text;
}

#endif
