/* SPDX-License-Identifier: MIT */
#include "transport/verbs/device.h"
#include "transport/verbs/memory.h"

#include <stdlib.h>

int multifd_devices_list(struct multifd_device **devices, size_t *count, struct multifd_error *err)
{
    struct multifd_error unused;

    return verbs_device_list(devices, count, err == NULL ? &unused : err);
}

void multifd_devices_free(struct multifd_device **devices)
{
    free(*devices);
    *devices = NULL;
}

uint64_t multifd_devices_memlock_limit(void)
{
    return verbs_memlock_limit();
}

const char *multifd_version(void)
{
    return MULTIFD_VERSION_TEXT;
}
