/* SPDX-License-Identifier: MIT */
#include "transport/verbs/memory.h"

#include "core/base/error.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* Bit of CAP_IPC_LOCK in the effective set of /proc/self/status (linux/capability.h). */
#define CAP_IPC_LOCK_BIT 14

#define HOW_TO_RAISE                                                                               \
    "raise it with \"ulimit -l unlimited\", memlock in /etc/security/limits.conf, or "             \
    "LimitMEMLOCK=infinity in a systemd unit"

static int explain_memlock(uint64_t needed, uint64_t allowed, struct multifd_error *err)
{
    uint64_t needed_kib = needed / 1024 + (needed % 1024 != 0);

    return error_set(err, MULTIFD_ERROR_MEMLOCK,
                     "%llu KiB of memory must be locked, but the limit is %llu KiB: " HOW_TO_RAISE,
                     (unsigned long long)needed_kib, (unsigned long long)(allowed / 1024));
}

/* The guest's memory alone would have fitted: what queue pairs and packets lock comes on top. */
static int explain_refusal(uint64_t length, uint64_t allowed, struct multifd_error *err)
{
    return error_set(
        err, MULTIFD_ERROR_MEMLOCK,
        "no room to lock %llu KiB more: all that this process locks, queues and packets "
        "included, counts against the limit of %llu KiB; " HOW_TO_RAISE,
        (unsigned long long)(length / 1024), (unsigned long long)(allowed / 1024));
}

static unsigned access_flags(uint32_t access)
{
    unsigned flags = 0;

    if ((access & TRANSPORT_REMOTE_WRITE) != 0) {
        flags |= IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE;
    }
    if ((access & TRANSPORT_ON_DEMAND) != 0) {
        flags |= IBV_ACCESS_ON_DEMAND;
    }
    return flags;
}

int verbs_memory_register(const struct verbs_domain *domain, void *address, uint64_t length,
                          uint32_t access, struct transport_memory *memory,
                          struct multifd_error *err)
{
    struct ibv_mr *mr = ibv_reg_mr(domain->pd, address, length, access_flags(access));

    if (mr == NULL) {
        int errnum = errno;

        if (errnum == ENOMEM && verbs_memlock_limit() != UINT64_MAX) {
            return explain_refusal(length, verbs_memlock_limit(), err);
        }
        return error_set_errno(err, MULTIFD_ERROR_DEVICE, errnum,
                               "ibv_reg_mr(%s, %llu bytes of guest memory)",
                               verbs_domain_device(domain), (unsigned long long)length);
    }
    memory->handle = mr;
    memory->local_key = mr->lkey;
    memory->remote_key = mr->rkey;
    return 0;
}

int verbs_memory_deregister(struct transport_memory *memory, struct multifd_error *err)
{
    int errnum = ibv_dereg_mr(memory->handle);

    memory->handle = NULL;
    if (errnum != 0) {
        return error_set_errno(err, MULTIFD_ERROR_DEVICE, errnum, "ibv_dereg_mr");
    }
    return 0;
}

static bool has_ipc_lock(void)
{
    FILE *status = fopen("/proc/self/status", "re");
    unsigned long long effective = 0;
    static const char key[] = "CapEff:";
    char line[256];

    if (status == NULL) {
        return false;
    }
    while (fgets(line, sizeof(line), status) != NULL) {
        if (strncmp(line, key, strlen(key)) == 0) {
            effective = strtoull(line + strlen(key), NULL, 16);
            break;
        }
    }
    (void)fclose(status); /* only read */
    return (effective >> CAP_IPC_LOCK_BIT & 1) != 0;
}

uint64_t verbs_memlock_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
        has_ipc_lock()) {
        return UINT64_MAX;
    }
    return limit.rlim_cur;
}

int verbs_memlock_check(uint64_t bytes, struct multifd_error *err)
{
    uint64_t limit = verbs_memlock_limit();

    return bytes > limit ? explain_memlock(bytes, limit, err) : 0;
}
