/* SPDX-License-Identifier: MIT */
/*
 * Input: lines, each a --ram argument, added one after the other. What is taken can be written down
 * again and gives the same block.
 */
#include "fuzz.h"

#include "ram_spec.h"

#include <inttypes.h>
#include <multifd.h>

/* NAME=PATH[,size=SIZE] with each comma of the path twice. *path_end is where PATH ends. */
static char *written(const struct ram_spec *spec, size_t *path_end)
{
    size_t room = strlen(spec->name) + 2 * strlen(spec->path) + 64;
    char *text = malloc(room);
    char *at;

    FUZZ_CHECK(text != NULL);
    at = stpcpy(stpcpy(text, spec->name), "=");
    for (const char *from = spec->path; *from != '\0'; from++) {
        *at++ = *from;
        if (*from == ',') {
            *at++ = ',';
        }
    }
    *at = '\0';
    *path_end = (size_t)(at - text);
    if (spec->size != 0) {
        (void)snprintf(at, room - *path_end, ",size=%" PRIu64, spec->size);
    }
    return text;
}

/* What stands behind the path. A size that has wrapped around is no multiple of its number. */
static void check_size(uint64_t size, const char *settings)
{
    static const char key[] = ",size=";
    uint64_t number;

    if (size == 0) {
        FUZZ_CHECK(*settings == '\0');
        return;
    }
    FUZZ_CHECK(strncmp(settings, key, strlen(key)) == 0);
    number = strtoull(settings + strlen(key), NULL, 10);
    FUZZ_CHECK(number != 0 && size >= number && size % number == 0);
}

static void check_taken(const struct ram_spec *spec, const char *line)
{
    size_t path_end;
    struct ram_specs again = {0};
    struct multifd_error err;
    char *text = written(spec, &path_end);

    FUZZ_CHECK(spec->name[0] != '\0' && strlen(spec->name) <= MULTIFD_BLOCK_NAME_MAX);
    FUZZ_CHECK(spec->path[0] != '\0');
    FUZZ_CHECK(strncmp(line, text, path_end) == 0);
    check_size(spec->size, line + path_end);
    FUZZ_CHECK(ram_specs_add(&again, text, &err) == 0 && again.count == 1);
    FUZZ_CHECK(strcmp(again.items[0].name, spec->name) == 0);
    FUZZ_CHECK(strcmp(again.items[0].path, spec->path) == 0);
    FUZZ_CHECK(again.items[0].size == spec->size);
    ram_specs_clear(&again);
    FUZZ_CHECK(again.count == 0);
    free(text);
}

static void add(struct ram_specs *specs, const char *line)
{
    size_t count = specs->count;
    struct multifd_error err;

    fuzz_error_poison(&err);
    if (ram_specs_add(specs, line, &err) != 0) {
        fuzz_check_refusal(&err);
        FUZZ_CHECK(err.code == MULTIFD_ERROR_INVALID);
        FUZZ_CHECK(specs->count == count);
        return;
    }
    FUZZ_CHECK(specs->count == count + 1 && specs->count <= MULTIFD_BLOCKS_MAX);
    check_taken(&specs->items[count], line);
    for (size_t i = 0; i < count; i++) {
        FUZZ_CHECK(strcmp(specs->items[i].name, specs->items[count].name) != 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ram_specs specs = {0};
    char *text = fuzz_text(data, size);
    char *rest = text;
    char *line;

    while ((line = strsep(&rest, "\n")) != NULL) {
        add(&specs, line);
    }
    ram_specs_clear(&specs);
    free(text);
    return 0;
}
