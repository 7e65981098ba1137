/* SPDX-License-Identifier: MIT */
#include "signals.h"

#include "cli.h"
#include "console.h"
#include "fail.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct signals {
    const char *command;
    signals_fn *cancel;
    const void *opaque;
    pthread_t thread;
    atomic_bool stopping;
};

static void fill_set(sigset_t *set)
{
    struct sigaction hangup;

    (void)sigemptyset(set);
    (void)sigaddset(set, SIGINT);
    (void)sigaddset(set, SIGTERM);
    /* nohup(1) says that a hangup shall not matter. */
    if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN) {
        (void)sigaddset(set, SIGHUP);
    }
}

void signals_block(void)
{
    sigset_t set;

    fill_set(&set);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    /* A session must not die because nobody reads its report. */
    (void)signal(SIGPIPE, SIG_IGN);
}

static void *wait_for_signals(void *opaque)
{
    struct signals *signals = opaque;
    sigset_t set;

    fill_set(&set);
    for (unsigned count = 0;; count++) {
        char reason[64];
        int number = SIGTERM;
        (void)sigwait(&set, &number);
        if (atomic_load(&signals->stopping)) {
            return NULL;
        }
        (void)snprintf(reason, sizeof(reason), "interrupted by SIG%s", sigabbrev_np(number));
        if (count > 0) {
            console_line(signals->command, "%s again, ended at once", reason);
            _exit(CLI_EXIT_FAILED);
        }
        signals->cancel(signals->opaque, reason);
    }
}

struct signals *signals_start(const char *command, signals_fn *cancel, const void *opaque,
                              struct multifd_error *err)
{
    struct signals *signals = calloc(1, sizeof(*signals));

    if (signals == NULL) {
        (void)tool_fail(err, MULTIFD_ERROR_SYSTEM, "no memory");
        return NULL;
    }
    signals->command = command;
    signals->cancel = cancel;
    signals->opaque = opaque;
    int rc = pthread_create(&signals->thread, NULL, wait_for_signals, signals);
    if (rc != 0) {
        (void)tool_fail(err, MULTIFD_ERROR_SYSTEM, "a thread cannot be started: %s", strerror(rc));
        free(signals);
        return NULL;
    }
    return signals;
}

void signals_stop(struct signals **signals)
{
    if (*signals == NULL) {
        return;
    }
    atomic_store(&(*signals)->stopping, true);
    /* To that thread alone, which takes it with sigwait. */
    (void)pthread_kill((*signals)->thread, SIGINT);
    (void)pthread_join((*signals)->thread, NULL);
    free(*signals);
    *signals = NULL;
}
