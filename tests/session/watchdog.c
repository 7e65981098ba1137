/* SPDX-License-Identifier: MIT */
#include "session_pair.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SLOW true
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define SLOW true
#endif
#endif
#ifndef SLOW
#define SLOW false
#endif

enum { SLOW_FACTOR = 4 };

static const char *volatile watched;

bool slow_build(void)
{
    return SLOW;
}

static void say(const char *text)
{
    (void)!write(STDERR_FILENO, text, strlen(text));
}

static void bite(int signal_number)
{
    (void)signal_number;
    say("WATCHDOG: this does not end: ");
    say(watched);
    say("\n");
    abort();
}

void watchdog_start(unsigned seconds, const char *name)
{
    struct sigaction action = {.sa_handler = bite};

    watched = name;
    sigaction(SIGALRM, &action, NULL);
    alarm(SLOW ? seconds * SLOW_FACTOR : seconds);
}

void watchdog_stop(void)
{
    alarm(0);
}
