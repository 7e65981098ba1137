/* SPDX-License-Identifier: MIT */
/* words.h - a command line from one string, split at blanks. */
#ifndef MULTIFD_TESTS_WORDS_H
#define MULTIFD_TESTS_WORDS_H

#include <stdio.h>
#include <string.h>

struct words {
    char text[512];
    char *argv[32];
    int argc;
};

static inline void words_split(struct words *words, const char *command, const char *line)
{
    (void)snprintf(words->text, sizeof(words->text), "%s %s", command, line);
    words->argc = 0;
    for (char *word = strtok(words->text, " "); word != NULL; word = strtok(NULL, " ")) {
        words->argv[words->argc++] = word;
    }
    words->argv[words->argc] = NULL;
}

#endif
