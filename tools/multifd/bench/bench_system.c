/* SPDX-License-Identifier: MIT */
#include "bench_system.h"

#include <multifd.h>
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

json_t *bench_system_json(void)
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
