/* SPDX-License-Identifier: MIT */
#include "ram_spec.h"

#include "fail.h"
#include "units.h"

#include <multifd.h>
#include <stdlib.h>
#include <string.h>

/*
 * Copies a path up to its end or a single comma, turning each double comma into one. *settings
 * points behind the single comma, NULL when there is none.
 */
static char *copy_path(const char *text, const char **settings)
{
    char *path = malloc(strlen(text) + 1);
    size_t length = 0;

    *settings = NULL;
    if (path == NULL) {
        return NULL;
    }
    for (; *text != '\0'; text++) {
        if (*text == ',') {
            if (text[1] != ',') {
                *settings = text + 1;
                break;
            }
            text++;
        }
        path[length++] = *text;
    }
    path[length] = '\0';
    return path;
}

static int parse_settings(struct ram_spec *spec, const char *settings, struct multifd_error *err)
{
    static const char key[] = "size=";

    if (strncmp(settings, key, strlen(key)) != 0) {
        return tool_fail(err, MULTIFD_ERROR_INVALID,
                         "--ram %s: \"%s\" is not size=SIZE (a comma in a path is written twice)",
                         spec->name, settings);
    }
    if (units_parse_size(settings + strlen(key), &spec->size) != 0 || spec->size == 0) {
        return tool_fail(err, MULTIFD_ERROR_INVALID,
                         "--ram %s: \"%s\" is not a size such as 4096, 512M or 4G", spec->name,
                         settings + strlen(key));
    }
    return 0;
}

static int parse(struct ram_spec *spec, const char *text, struct multifd_error *err)
{
    const char *equals = strchr(text, '=');
    const char *settings;

    if (equals == NULL || equals == text || equals[1] == '\0' || equals[1] == ',') {
        return tool_fail(err, MULTIFD_ERROR_INVALID, "--ram %s: not NAME=PATH[,size=SIZE]", text);
    }
    spec->name = strndup(text, (size_t)(equals - text));
    spec->path = copy_path(equals + 1, &settings);
    if (spec->name == NULL || spec->path == NULL) {
        return tool_fail(err, MULTIFD_ERROR_SYSTEM, "no memory");
    }
    if (strlen(spec->name) > MULTIFD_BLOCK_NAME_MAX) {
        return tool_fail(err, MULTIFD_ERROR_INVALID,
                         "--ram: the name of a RAM block has at most %u bytes, this one has %zu",
                         MULTIFD_BLOCK_NAME_MAX, strlen(spec->name));
    }
    return settings == NULL ? 0 : parse_settings(spec, settings, err);
}

struct ram_spec *ram_specs_find(const struct ram_specs *specs, const char *name)
{
    for (size_t i = 0; i < specs->count; i++) {
        if (strcmp(specs->items[i].name, name) == 0) {
            return &specs->items[i];
        }
    }
    return NULL;
}

static int check_room(const struct ram_specs *specs, const struct ram_spec *spec,
                      struct multifd_error *err)
{
    if (specs->count == MULTIFD_BLOCKS_MAX) {
        return tool_fail(err, MULTIFD_ERROR_INVALID, "--ram: more than %u RAM blocks",
                         MULTIFD_BLOCKS_MAX);
    }
    if (ram_specs_find(specs, spec->name) != NULL) {
        return tool_fail(err, MULTIFD_ERROR_INVALID, "--ram %s: this RAM block is named twice",
                         spec->name);
    }
    for (size_t i = 0; i < specs->count; i++) {
        if (strcmp(specs->items[i].path, spec->path) == 0) {
            return tool_fail(err, MULTIFD_ERROR_INVALID,
                             "--ram %s: %s already holds the RAM block %s", spec->name, spec->path,
                             specs->items[i].name);
        }
    }
    return 0;
}

static int append(struct ram_specs *specs, const struct ram_spec *spec, struct multifd_error *err)
{
    struct ram_spec *items = reallocarray(specs->items, specs->count + 1, sizeof(*items));

    if (items == NULL) {
        return tool_fail(err, MULTIFD_ERROR_SYSTEM, "no memory");
    }
    items[specs->count++] = *spec;
    specs->items = items;
    return 0;
}

/* Takes the texts of *spec, on error too. */
static int take(struct ram_specs *specs, struct ram_spec *spec, struct multifd_error *err)
{
    if (check_room(specs, spec, err) != 0 || append(specs, spec, err) != 0) {
        free(spec->name);
        free(spec->path);
        return -1;
    }
    return 0;
}

int ram_specs_add(struct ram_specs *specs, const char *text, struct multifd_error *err)
{
    struct ram_spec spec = {0};

    if (parse(&spec, text, err) != 0) {
        free(spec.name);
        free(spec.path);
        return -1;
    }
    return take(specs, &spec, err);
}

int ram_specs_add_block(struct ram_specs *specs, const char *name, const char *path, uint64_t size,
                        struct multifd_error *err)
{
    struct ram_spec spec = {.name = strdup(name), .path = strdup(path), .size = size};

    if (spec.name == NULL || spec.path == NULL) {
        free(spec.name);
        free(spec.path);
        return tool_fail(err, MULTIFD_ERROR_SYSTEM, "no memory");
    }
    return take(specs, &spec, err);
}

void ram_specs_clear(struct ram_specs *specs)
{
    for (size_t i = 0; i < specs->count; i++) {
        free(specs->items[i].name);
        free(specs->items[i].path);
    }
    free(specs->items);
    *specs = (struct ram_specs){0};
}
