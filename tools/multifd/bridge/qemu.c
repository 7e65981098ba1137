/* SPDX-License-Identifier: MIT */
#include "bridge/qemu.h"

#include "fail.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define CLEAN_UP_LOOKS   250
#define CLEAN_UP_WAIT_NS 20000000

static void copy_text(char *to, size_t room, const json_t *object, const char *member)
{
    const char *text = json_string_value(json_object_get(object, member));

    (void)snprintf(to, room, "%s", text != NULL ? text : "");
}

/* ---- Looking at it ------------------------------------------------------------------------- */

/* What makes QEMU send pages past the channels, or not at all. */
static const struct {
    const char *capability;
    const char *why;
} strangers[] = {
    {"x-ignore-shared", "does not send the RAM that lies in shared files"},
    {"postcopy-ram", "sends pages after the guest has moved, past the channels"},
    {"background-snapshot", "makes a snapshot, no migration"},
    {"x-colo", "never ends"},
    {"pause-before-switchover", "waits for a migrate-continue that nobody sends"},
    {"zero-copy-send", "is for TCP"},
    {"mapped-ram", "writes to a file"},
    {"release-ram", "frees the pages that the bridge still reads"},
};

static int check_capability(const json_t *item, struct multifd_error *err)
{
    const char *name = json_string_value(json_object_get(item, "capability"));

    if (name == NULL || !json_is_true(json_object_get(item, "state"))) {
        return 0;
    }
    for (size_t i = 0; i < sizeof(strangers) / sizeof(strangers[0]); i++) {
        if (strcmp(name, strangers[i].capability) == 0) {
            return tool_fail(err, MULTIFD_ERROR_STATE,
                             "QEMU's migration capability %s is on, which %s; set it off", name,
                             strangers[i].why);
        }
    }
    return 0;
}

static int check_capabilities(struct qmp *qmp, struct multifd_error *err)
{
    json_t *list = NULL;
    int rc = qmp_execute(qmp, "query-migrate-capabilities", NULL, &list, err);

    for (size_t i = 0; rc == 0 && i < json_array_size(list); i++) {
        rc = check_capability(json_array_get(list, i), err);
    }
    json_decref(list);
    return rc;
}

static int check_tls(struct qmp *qmp, struct multifd_error *err)
{
    json_t *parameters = NULL;
    char credentials[64];

    if (qmp_execute(qmp, "query-migrate-parameters", NULL, &parameters, err) != 0) {
        return -1;
    }
    copy_text(credentials, sizeof(credentials), parameters, "tls-creds");
    json_decref(parameters);
    return credentials[0] == '\0'
               ? 0
               : tool_fail(err, MULTIFD_ERROR_STATE,
                           "QEMU encrypts its migrations (tls-creds is %s), and the bridge cannot "
                           "read them; set tls-creds to the empty string",
                           credentials);
}

static int check_idle(struct qmp *qmp, struct multifd_error *err)
{
    struct qemu_migration now;

    if (qemu_query(qmp, &now, err) != 0) {
        return -1;
    }
    return strcmp(now.status, "none") == 0 || qemu_is_over(&now)
               ? 0
               : tool_fail(err, MULTIFD_ERROR_STATE, "QEMU is migrating already: %s", now.status);
}

static int check_guest(struct qmp *qmp, enum qemu_role role, struct multifd_error *err)
{
    char status[QEMU_STATUS];

    if (qemu_guest(qmp, status, err) != 0) {
        return -1;
    }
    bool waits = strcmp(status, "inmigrate") == 0;
    if (role == QEMU_DESTINATION && !waits) {
        return tool_fail(err, MULTIFD_ERROR_STATE,
                         "QEMU waits for no migration, its guest is %s: the destination's is "
                         "started with -incoming defer",
                         status);
    }
    if (role == QEMU_SOURCE && waits) {
        return tool_fail(err, MULTIFD_ERROR_STATE,
                         "QEMU has no guest yet, it waits for a migration itself: it is a "
                         "destination");
    }
    return 0;
}

int qemu_check(struct qmp *qmp, enum qemu_role role, struct multifd_error *err)
{
    if (check_guest(qmp, role, err) != 0 || check_idle(qmp, err) != 0 || check_tls(qmp, err) != 0) {
        return -1;
    }
    return check_capabilities(qmp, err);
}

int qemu_guest(struct qmp *qmp, char status[QEMU_STATUS], struct multifd_error *err)
{
    json_t *answer = NULL;

    if (qmp_execute(qmp, "query-status", NULL, &answer, err) != 0) {
        return -1;
    }
    copy_text(status, QEMU_STATUS, answer, "status");
    json_decref(answer);
    return 0;
}

/* ---- Setting it up ------------------------------------------------------------------------- */

static int set_capabilities(struct qmp *qmp, struct multifd_error *err)
{
    json_t *arguments = json_pack("{s:[{s:s, s:b}, {s:s, s:b}, {s:s, s:b}]}", "capabilities",
                                  "capability", "multifd", "state", 1, "capability", "return-path",
                                  "state", 1, "capability", "events", "state", 1);

    return qmp_execute(qmp, "migrate-set-capabilities", arguments, NULL, err);
}

static void add_number(json_t *arguments, const char *name, uint64_t value)
{
    if (value != QEMU_KEEP) {
        (void)json_object_set_new(arguments, name, json_integer((json_int_t)value));
    }
}

static int set_parameters(struct qmp *qmp, const struct qemu_settings *settings,
                          struct multifd_error *err)
{
    json_t *arguments = json_object();

    add_number(arguments, "multifd-channels", settings->channels);
    add_number(arguments, "max-bandwidth", settings->max_bandwidth);
    add_number(arguments, "downtime-limit", settings->downtime_ms);
    if (settings->compression != NULL) {
        (void)json_object_set_new(arguments, "multifd-compression",
                                  json_string(settings->compression));
    }
    return qmp_execute(qmp, "migrate-set-parameters", arguments, NULL, err);
}

static int get_channels(struct qmp *qmp, unsigned *channels, struct multifd_error *err)
{
    json_t *parameters = NULL;

    if (qmp_execute(qmp, "query-migrate-parameters", NULL, &parameters, err) != 0) {
        return -1;
    }
    *channels = (unsigned)json_integer_value(json_object_get(parameters, "multifd-channels"));
    json_decref(parameters);
    return 0;
}

int qemu_set_up(struct qmp *qmp, const struct qemu_settings *settings, unsigned *channels,
                struct multifd_error *err)
{
    if (set_capabilities(qmp, err) != 0 || set_parameters(qmp, settings, err) != 0) {
        return -1;
    }
    return get_channels(qmp, channels, err);
}

/* ---- Starting and ending ------------------------------------------------------------------- */

static int execute_uri(struct qmp *qmp, const char *command, const char *address,
                       struct multifd_error *err)
{
    return qmp_execute(qmp, command, json_pack("{s:s}", "uri", address), NULL, err);
}

/* Whether QEMU says that it listens there. */
static bool listens_on(struct qmp *qmp, const char *address)
{
    struct multifd_error ignored = {0};
    json_t *answer = NULL;
    bool found = false;

    if (qmp_execute(qmp, "query-migrate", NULL, &answer, &ignored) != 0) {
        return false;
    }
    const json_t *sockets = json_object_get(answer, "socket-address");
    for (size_t i = 0; i < json_array_size(sockets); i++) {
        const char *path = json_string_value(json_object_get(json_array_get(sockets, i), "path"));
        found = found || (path != NULL && strncmp(address, "unix:", 5) == 0 &&
                          strcmp(path, address + 5) == 0);
    }
    json_decref(answer);
    return found;
}

int qemu_listen(struct qmp *qmp, const char *address, struct multifd_error *err)
{
    return listens_on(qmp, address) ? 0 : execute_uri(qmp, "migrate-incoming", address, err);
}

/* Whether query-yank lists a migration: then QEMU has something of one, even if it is over. */
static bool has_migration(struct qmp *qmp)
{
    struct multifd_error ignored = {0};
    json_t *list = NULL;
    bool found = false;

    if (qmp_execute(qmp, "query-yank", NULL, &list, &ignored) != 0) {
        return false; /* a QEMU before 6.0 */
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *type = json_string_value(json_object_get(json_array_get(list, i), "type"));
        found = found || (type != NULL && strcmp(type, "migration") == 0);
    }
    json_decref(list);
    return found;
}

static bool is_cleaning_up(struct qmp *qmp)
{
    struct multifd_error ignored = {0};
    struct qemu_migration migration;

    return has_migration(qmp) && qemu_query(qmp, &migration, &ignored) == 0 &&
           qemu_is_over(&migration);
}

int qemu_migrate(struct qmp *qmp, const char *address, struct multifd_error *err)
{
    static const struct timespec interval = {.tv_nsec = CLEAN_UP_WAIT_NS};

    /* QEMU 7.2 refuses a `migrate` that comes too early, but has begun with it: it says
     * "in progress" to each one after that, or ends. */
    for (int i = 0; i < CLEAN_UP_LOOKS && is_cleaning_up(qmp); i++) {
        (void)nanosleep(&interval, NULL);
    }
    return execute_uri(qmp, "migrate", address, err);
}

int qemu_cancel(struct qmp *qmp, struct multifd_error *err)
{
    return qmp_execute(qmp, "migrate_cancel", NULL, NULL, err);
}

/* ---- Following it -------------------------------------------------------------------------- */

static uint64_t number_of(const json_t *object, const char *member)
{
    json_int_t value = json_integer_value(json_object_get(object, member));

    return value > 0 ? (uint64_t)value : 0;
}

static void fill(struct qemu_migration *out, const json_t *answer)
{
    const json_t *ram = json_object_get(answer, "ram");

    *out = (struct qemu_migration){
        .total_ms = number_of(answer, "total-time"),
        .setup_ms = number_of(answer, "setup-time"),
        .downtime_ms = number_of(answer, "downtime"),
        .rounds = number_of(ram, "dirty-sync-count"),
        .normal_pages = number_of(ram, "normal"),
        .zero_pages = number_of(ram, "duplicate"),
        .transferred = number_of(ram, "transferred"),
        .remaining = number_of(ram, "remaining"),
        .total = number_of(ram, "total"),
        .mbps = json_number_value(json_object_get(ram, "mbps")),
    };
    copy_text(out->status, sizeof(out->status), answer, "status");
    copy_text(out->error, sizeof(out->error), answer, "error-desc");
    if (out->status[0] == '\0') {
        (void)snprintf(out->status, sizeof(out->status), "none");
    }
}

int qemu_query(struct qmp *qmp, struct qemu_migration *out, struct multifd_error *err)
{
    json_t *answer = NULL;

    if (qmp_execute(qmp, "query-migrate", NULL, &answer, err) != 0) {
        return -1;
    }
    fill(out, answer);
    json_decref(answer);
    return 0;
}

bool qemu_is_over(const struct qemu_migration *migration)
{
    static const char *const ends[] = {"completed", "failed", "cancelled"};

    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        if (strcmp(migration->status, ends[i]) == 0) {
            return true;
        }
    }
    return false;
}
