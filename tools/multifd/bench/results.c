/* SPDX-License-Identifier: MIT */
#include "results.h"

#include "bench_system.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

json_t *results_new(const struct measurement *what)
{
    return json_pack("{s:i, s:s, s:s, s:s, s:o, s:[]}", "version", RESULTS_VERSION, "type", "bench",
                     "measurement", what->name, "multifd", multifd_version(), "system",
                     bench_system_json(), "rows");
}

void results_print_json(const json_t *results)
{
    char *text = json_dumps(results, JSON_INDENT(2) | JSON_REAL_PRECISION(9));

    (void)puts(text != NULL ? text : "");
    free(text);
}

bool results_is_swept(const char *name, const json_t *tried)
{
    return json_array_size(tried) > 1 && strcmp(name, "size") != 0;
}

const json_t *results_member(const json_t *row, const char *path)
{
    while (row != NULL && *path != '\0') {
        size_t length = strcspn(path, ".");
        char name[64];

        (void)snprintf(name, sizeof(name), "%.*s", (int)length, path);
        row = json_object_get(row, name);
        path += length + (path[length] == '.');
    }
    return row;
}
