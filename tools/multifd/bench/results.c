/* SPDX-License-Identifier: MIT */
#include "results.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

/* The active RDMA ports, as far as they can be listed. */
static json_t *devices_json(void)
{
    struct multifd_device *devices = NULL;
    json_t *list = json_array();
    struct multifd_error unused;
    size_t count = 0;

    if (multifd_devices_list(&devices, &count, &unused) != 0) {
        return list;
    }
    for (size_t i = 0; i < count; i++) {
        if (devices[i].active) {
            (void)json_array_append_new(
                list, json_pack("{s:s, s:i, s:s, s:i}", "name", devices[i].name, "port",
                                (int)devices[i].port, "link_layer", devices[i].link_layer, "mtu",
                                (int)devices[i].active_mtu));
        }
    }
    multifd_devices_free(&devices);
    return list;
}

static json_t *system_json(void)
{
    time_t now = time(NULL);
    struct utsname names;
    struct tm broken;
    char date[32];

    (void)uname(&names);
    (void)strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &broken));
    return json_pack("{s:s, s:s, s:s, s:s, s:i, s:o}", "date", date, "kernel", names.sysname,
                     "release", names.release, "machine", names.machine, "processors",
                     (int)sysconf(_SC_NPROCESSORS_ONLN), "devices", devices_json());
}

json_t *results_new(const struct measurement *what)
{
    return json_pack("{s:i, s:s, s:s, s:s, s:o, s:[]}", "version", RESULTS_VERSION, "type", "bench",
                     "measurement", what->name, "multifd", multifd_version(), "system",
                     system_json(), "rows");
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
