/* SPDX-License-Identifier: MIT */
/* processors - how many of the host's processors this process may use. */
#ifndef MULTIFD_BASE_PROCESSORS_H
#define MULTIFD_BASE_PROCESSORS_H

#include <sched.h>
#include <unistd.h>

/* Those of the calling thread's affinity; all that are online where that is not told. */
static inline long processors_usable(void)
{
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof(set), &set) == 0) {
        return CPU_COUNT(&set);
    }
    return sysconf(_SC_NPROCESSORS_ONLN); /* more than a cpu_set_t has */
}

#endif
