/* SPDX-License-Identifier: MIT */
#include "bridge/outcome.h"

#include "bridge/qmp_stream.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define ANSWER_MS   1000u
#define INTERVAL_NS 50000000
#define WAIT_MS     10000u
#define CANCEL_MS   2000u /* a source whose sockets are closed has failed by then */
#define IDLE_MS     1000u /* a destination that nobody has connected to will not end */

/* Asks once; false when QEMU is not there any more. */
static bool ask(struct outcome *outcome, struct qmp *qmp)
{
    struct multifd_error err = {0};

    if (qemu_query(qmp, &outcome->migration, &err) == 0 &&
        qemu_guest(qmp, outcome->guest, &err) == 0) {
        outcome->known = true;
        return true;
    }
    return err.code == MULTIFD_ERROR_TIMEOUT;
}

static bool is(const char *text, const char *other)
{
    return strcmp(text, other) == 0;
}

/* The guest's state follows a little behind the migration's. */
static bool is_settled(const struct outcome *outcome)
{
    return outcome->known && qemu_is_over(&outcome->migration) &&
           !is(outcome->guest, "inmigrate") && !is(outcome->guest, "finish-migrate");
}

/* It is told no sooner than the bridge has ended: only that knows which side has the guest. */
static void cancel(struct qmp *qmp, bool *told)
{
    struct multifd_error ignored = {0};

    if (!*told) {
        (void)qemu_cancel(qmp, &ignored);
        *told = true;
    }
}

static void wait_for_end(struct outcome *outcome, struct qmp *qmp, enum qemu_role role,
                         enum multifd_bridge_phase phase)
{
    static const struct timespec interval = {.tv_nsec = INTERVAL_NS};
    bool failed = phase == MULTIFD_BRIDGE_FAILED;
    uint64_t begin = qmp_stream_deadline(0);
    uint64_t passed = 0;
    bool told = false;

    for (; passed < WAIT_MS; passed = qmp_stream_deadline(0) - begin) {
        outcome->ended = !ask(outcome, qmp);
        if (outcome->ended || is_settled(outcome)) {
            return;
        }
        bool idle = outcome->known && (is(outcome->migration.status, "none") ||
                                       is(outcome->migration.status, "setup"));
        if (failed && role == QEMU_SOURCE && (idle || passed > CANCEL_MS)) {
            cancel(qmp, &told);
        }
        if (failed && role == QEMU_DESTINATION && idle && passed > IDLE_MS) {
            return;
        }
        (void)nanosleep(&interval, NULL);
    }
}

static void say(struct outcome *outcome, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void say(struct outcome *outcome, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(outcome->text, sizeof(outcome->text), format, arguments);
    va_end(arguments);
}

static void describe_source(struct outcome *outcome, bool failed)
{
    const char *status = outcome->migration.status;
    const char *guest = outcome->guest;

    if (outcome->ended) {
        say(outcome, "QEMU has ended");
    } else if (is(status, "completed")) {
        say(outcome,
            failed ? "but QEMU's migration has completed (its guest is %s): look at the "
                     "destination before you resume it"
                   : "the guest has moved (%s here)",
            guest);
    } else if (is(guest, "running")) {
        say(outcome, "the guest runs on here (QEMU's migration: %s)", status);
    } else {
        say(outcome, "the guest is still here, %s (QEMU's migration: %s)", guest, status);
    }
}

static void describe_destination(struct outcome *outcome, bool failed)
{
    const char *status = outcome->migration.status;
    const char *guest = outcome->guest;

    if (outcome->ended) {
        say(outcome, "QEMU has ended");
    } else if (!failed && !outcome->contrary) {
        say(outcome, is(guest, "running") ? "the guest is here and %s" : "the guest is here, %s",
            guest);
    } else if (is(guest, "inmigrate") && is(status, "none")) {
        say(outcome, "QEMU still waits for a migration");
    } else {
        say(outcome, "QEMU has not ended (its guest is %s, its migration %s): end it", guest,
            status);
    }
}

void outcome_find(struct outcome *outcome, struct qmp *qmp, enum qemu_role role,
                  enum multifd_bridge_phase phase)
{
    /* A destination that is undecided has the guest. */
    bool failed = phase == MULTIFD_BRIDGE_FAILED ||
                  (phase == MULTIFD_BRIDGE_UNDECIDED && role == QEMU_SOURCE);

    *outcome = (struct outcome){0};
    qmp_set_timeout(qmp, ANSWER_MS);
    wait_for_end(outcome, qmp, role, phase);
    /* A source that has ended since has nothing to say against its own return path. */
    outcome->contrary =
        !failed && outcome->known &&
        (outcome->ended ? role == QEMU_DESTINATION : !is(outcome->migration.status, "completed"));
    if (!outcome->known && !outcome->ended) {
        say(outcome, "QEMU does not answer%s",
            failed && role == QEMU_DESTINATION ? ": end it" : "");
    } else if (role == QEMU_SOURCE) {
        describe_source(outcome, failed);
    } else {
        describe_destination(outcome, failed);
    }
}
