/* SPDX-License-Identifier: MIT */
#include "bridge/qemu_blocks.h"

#include "bridge/mappings.h"
#include "fail.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int no_memory(struct multifd_error *err)
{
    return tool_fail(err, MULTIFD_ERROR_SYSTEM, "no memory");
}

/* ---- The blocks ---------------------------------------------------------------------------- */

/* Skips blanks and one word; NULL when there is none. */
static const char *skip_word(const char *at)
{
    at += strspn(at, " ");
    size_t word = strcspn(at, " ");

    return word == 0 ? NULL : at + word;
}

/* The end of the text in front of the last word before `end`. */
static const char *drop_word(const char *begin, const char *end)
{
    while (end > begin && end[-1] == ' ') {
        end--;
    }
    while (end > begin && end[-1] != ' ') {
        end--;
    }
    while (end > begin && end[-1] == ' ') {
        end--;
    }
    return end;
}

static int append(struct qemu_blocks *blocks, char *name, uint64_t length,
                  struct multifd_error *err)
{
    struct qemu_block *items = reallocarray(blocks->items, blocks->count + 1, sizeof(*items));

    if (items == NULL || name == NULL) {
        free(name);
        blocks->items = items != NULL ? items : blocks->items;
        return no_memory(err);
    }
    blocks->items = items;
    items[blocks->count++] = (struct qemu_block){.name = name, .length = length};
    return 0;
}

/*
 * A row of "info ramblock": NAME PAGESIZE UNIT OFFSET USED TOTAL and, in newer versions, more. A
 * name may have blanks, so the columns are counted from the first number that begins with 0x.
 */
static int take_row(struct qemu_blocks *blocks, const char *row, struct multifd_error *err)
{
    const char *offset = strstr(row, " 0x");
    const char *used = offset != NULL ? skip_word(offset) : NULL;
    const char *begin = row + strspn(row, " ");

    if (used == NULL || offset <= begin) {
        return 0; /* the heading */
    }
    const char *end = drop_word(begin, drop_word(begin, offset));
    return end <= begin ? 0
                        : append(blocks, strndup(begin, (size_t)(end - begin)),
                                 strtoull(used, NULL, 16), err);
}

static int take_rows(struct qemu_blocks *blocks, const char *table, struct multifd_error *err)
{
    while (*table != '\0') {
        size_t length = strcspn(table, "\r\n");
        char *row = strndup(table, length);
        int rc = row != NULL ? take_row(blocks, row, err) : no_memory(err);
        free(row);
        if (rc != 0) {
            return -1;
        }
        table += length;
        table += strspn(table, "\r\n");
    }
    return 0;
}

static int find_blocks(struct qemu_blocks *blocks, struct qmp *qmp, struct multifd_error *err)
{
    json_t *arguments = json_pack("{s:s}", "command-line", "info ramblock");
    json_t *table = NULL;

    if (qmp_execute(qmp, "human-monitor-command", arguments, &table, err) != 0) {
        return -1;
    }
    const char *text = json_string_value(table);
    int rc = text != NULL ? take_rows(blocks, text, err) : 0;
    json_decref(table);
    if (rc == 0 && blocks->count == 0) {
        return tool_fail(err, MULTIFD_ERROR_PROTOCOL,
                         "QEMU's table of RAM blocks (info ramblock) cannot be read");
    }
    return rc;
}

/* ---- The backends -------------------------------------------------------------------------- */

/* The block of the backend with this id; older machine types put its whole path in front. */
static struct qemu_block *find_backend(const struct qemu_blocks *blocks, const char *id)
{
    char path[512];

    (void)snprintf(path, sizeof(path), "/objects/%s", id);
    for (size_t i = 0; i < blocks->count; i++) {
        if (strcmp(blocks->items[i].name, id) == 0 || strcmp(blocks->items[i].name, path) == 0) {
            return &blocks->items[i];
        }
    }
    return NULL;
}

/* NULL when the backend has no such property, or it is no text. */
static char *property_of(struct qmp *qmp, const char *id, const char *property,
                         struct multifd_error *err)
{
    char path[512];
    json_t *value = NULL;
    char *text = NULL;

    (void)snprintf(path, sizeof(path), "/objects/%s", id);
    json_t *arguments = json_pack("{s:s, s:s}", "path", path, "property", property);
    if (qmp_execute(qmp, "qom-get", arguments, &value, err) == 0 && json_is_string(value)) {
        text = strdup(json_string_value(value));
    }
    json_decref(value);
    return text;
}

/* The backend's file as this process can open it; NULL when it has no name. */
static char *named_file(pid_t pid, const char *path)
{
    char full[PATH_MAX] = "";
    struct stat status;

    if (path != NULL && path[0] == '/') {
        (void)snprintf(full, sizeof(full), "%s", path);
    } else if (path != NULL) {
        (void)snprintf(full, sizeof(full), "/proc/%d/cwd/%s", (int)pid, path);
    }
    return stat(full, &status) == 0 && S_ISREG(status.st_mode) ? strdup(full) : NULL;
}

/* How many backends have shared memory of that size: those of one size cannot be told apart. */
static unsigned count_alike(const json_t *backends, uint64_t size)
{
    unsigned alike = 0;

    for (size_t i = 0; i < json_array_size(backends); i++) {
        const json_t *backend = json_array_get(backends, i);
        alike += json_is_true(json_object_get(backend, "share")) &&
                 json_integer_value(json_object_get(backend, "size")) == (json_int_t)size;
    }
    return alike;
}

static void find_nameless(struct qemu_block *block, const json_t *backends, pid_t pid)
{
    char path[MAPPINGS_PATH];
    unsigned alike = count_alike(backends, block->length);
    unsigned found = pid != 0 ? mappings_nameless(pid, block->length, path) : 0;

    if (alike == 1 && found == 1) {
        block->path = strdup(path);
        return;
    }
    (void)snprintf(block->why, sizeof(block->why),
                   alike > 1    ? "its file has no name, and another backend has the same size"
                   : found == 0 ? "its file has no name, and is not found in QEMU's process"
                                : "its file has no name, and several of QEMU's have its size");
}

static void find_file(struct qemu_block *block, const char *id, const json_t *backends,
                      struct qmp *qmp)
{
    struct multifd_error ignored = {0};
    char *type = property_of(qmp, id, "type", &ignored);
    char *path = property_of(qmp, id, "mem-path", &ignored);

    if (!block->shared) {
        (void)snprintf(block->why, sizeof(block->why),
                       "its backend is not shared (%s without share=on)",
                       type != NULL ? type : "no type");
    } else {
        block->path = named_file(qmp_process(qmp), path);
        if (block->path == NULL) {
            find_nameless(block, backends, qmp_process(qmp));
        }
    }
    free(type);
    free(path);
}

static int find_backends(struct qemu_blocks *blocks, struct qmp *qmp, struct multifd_error *err)
{
    json_t *backends = NULL;

    if (qmp_execute(qmp, "query-memdev", NULL, &backends, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < json_array_size(backends); i++) {
        const json_t *backend = json_array_get(backends, i);
        const char *id = json_string_value(json_object_get(backend, "id"));
        struct qemu_block *block = id != NULL ? find_backend(blocks, id) : NULL;
        if (block != NULL) {
            block->backend = true;
            block->shared = json_is_true(json_object_get(backend, "share"));
            find_file(block, id, backends, qmp);
        }
    }
    json_decref(backends);
    return 0;
}

int qemu_blocks_find(struct qemu_blocks *blocks, struct qmp *qmp, struct multifd_error *err)
{
    return find_blocks(blocks, qmp, err) != 0 ? -1 : find_backends(blocks, qmp, err);
}

const struct qemu_block *qemu_blocks_get(const struct qemu_blocks *blocks, const char *name)
{
    for (size_t i = 0; i < blocks->count; i++) {
        if (strcmp(blocks->items[i].name, name) == 0) {
            return &blocks->items[i];
        }
    }
    return NULL;
}

void qemu_blocks_names(const struct qemu_blocks *blocks, char *text, size_t room)
{
    size_t used = 0;

    text[0] = '\0';
    for (size_t i = 0; i < blocks->count && used < room; i++) {
        int length =
            snprintf(text + used, room - used, "%s%s", i > 0 ? ", " : "", blocks->items[i].name);
        used += length > 0 ? (size_t)length : 0;
    }
}

void qemu_blocks_clear(struct qemu_blocks *blocks)
{
    for (size_t i = 0; i < blocks->count; i++) {
        free(blocks->items[i].name);
        free(blocks->items[i].path);
    }
    free(blocks->items);
    *blocks = (struct qemu_blocks){0};
}
