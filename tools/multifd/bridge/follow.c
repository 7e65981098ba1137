/* SPDX-License-Identifier: MIT */
#include "bridge/follow.h"

#include "console.h"
#include "fail.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How often QEMU is asked, and how long it may be deaf before it is asked again. */
#define INTERVAL_MS 100u
#define ANSWER_MS   1000u

struct follow {
    const char *command;
    struct qmp *qmp;
    struct multifd_bridge *bridge;
    bool quiet;
    char status[32]; /* that was said last */
    pthread_mutex_t lock;
    struct qemu_migration latest; /* under lock */
    atomic_bool stopping;
    pthread_t thread;
};

static void say(struct follow *follow, const char *status)
{
    if (strcmp(follow->status, status) == 0) {
        return;
    }
    (void)snprintf(follow->status, sizeof(follow->status), "%s", status);
    if (!follow->quiet && strcmp(status, "none") != 0) {
        console_line(follow->command, "QEMU's migration: %s", status);
    }
}

/* The bridge's own error, if it has one, is the earlier one, and stays. */
static void end_bridge(struct follow *follow, const struct qemu_migration *migration)
{
    char reason[320];

    (void)snprintf(reason, sizeof(reason), "QEMU's migration has %s%s%s",
                   strcmp(migration->status, "failed") == 0 ? "failed" : "been cancelled",
                   migration->error[0] != '\0' ? ": " : "", migration->error);
    multifd_bridge_cancel(follow->bridge, reason);
}

/* Whether QEMU is there. */
static bool ask(struct follow *follow)
{
    struct qemu_migration migration;
    struct multifd_error err = {0};

    if (qemu_query(follow->qmp, &migration, &err) != 0) {
        return err.code == MULTIFD_ERROR_TIMEOUT; /* its main loop waits for the migration */
    }
    pthread_mutex_lock(&follow->lock);
    follow->latest = migration;
    pthread_mutex_unlock(&follow->lock);
    say(follow, migration.status);
    if (qemu_is_over(&migration) && strcmp(migration.status, "completed") != 0) {
        end_bridge(follow, &migration);
    }
    return true;
}

static void take_event(struct follow *follow, const json_t *event)
{
    const char *name = json_string_value(json_object_get(event, "event"));
    const char *status =
        json_string_value(json_object_get(json_object_get(event, "data"), "status"));

    if (name != NULL && status != NULL && strcmp(name, "MIGRATION") == 0) {
        say(follow, status);
    }
}

static void *run(void *opaque)
{
    struct follow *follow = opaque;
    struct multifd_error err = {0};

    while (!atomic_load(&follow->stopping)) {
        json_t *event = NULL;
        int rc = qmp_event(follow->qmp, INTERVAL_MS, &event, &err);
        if (rc == 1) {
            take_event(follow, event);
            json_decref(event);
        }
        if (rc < 0 || (rc == 0 && !ask(follow))) {
            multifd_bridge_cancel(follow->bridge, "QEMU has ended, or closed its monitor");
            return NULL;
        }
    }
    return NULL;
}

struct follow *follow_start(const char *command, struct qmp *qmp, struct multifd_bridge *bridge,
                            bool quiet, struct multifd_error *err)
{
    struct follow *follow = calloc(1, sizeof(*follow));

    if (follow == NULL) {
        (void)tool_fail(err, MULTIFD_ERROR_SYSTEM, "no memory");
        return NULL;
    }
    follow->command = command;
    follow->qmp = qmp;
    follow->bridge = bridge;
    follow->quiet = quiet;
    (void)pthread_mutex_init(&follow->lock, NULL);
    qmp_set_timeout(qmp, ANSWER_MS);
    int rc = pthread_create(&follow->thread, NULL, run, follow);
    if (rc != 0) {
        (void)tool_fail(err, MULTIFD_ERROR_SYSTEM, "a thread cannot be started: %s", strerror(rc));
        (void)pthread_mutex_destroy(&follow->lock);
        free(follow);
        return NULL;
    }
    return follow;
}

void follow_latest(struct follow *follow, struct qemu_migration *out)
{
    pthread_mutex_lock(&follow->lock);
    *out = follow->latest;
    pthread_mutex_unlock(&follow->lock);
}

void follow_stop(struct follow **follow)
{
    if (*follow == NULL) {
        return;
    }
    atomic_store(&(*follow)->stopping, true);
    (void)pthread_join((*follow)->thread, NULL);
    (void)pthread_mutex_destroy(&(*follow)->lock);
    free(*follow);
    *follow = NULL;
}
