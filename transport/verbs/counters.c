/* SPDX-License-Identifier: MIT */
#include "transport/verbs/counters.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#define DRIVERS 3

/* What the drivers call each: rxe, mlx5, bnxt_re. A device has at most one of them. */
static const struct {
    size_t offset;
    const char *names[DRIVERS];
} table[] = {
    {offsetof(struct multifd_device_counters, retries), {"completer_retry_err"}},
    {offsetof(struct multifd_device_counters, ack_timeouts),
     {"local_ack_timeout_err", "to_retransmits"}},
    {offsetof(struct multifd_device_counters, sequence_naks),
     {"rcvd_seq_err", "packet_seq_err", "seq_err_naks_rcvd"}},
    {offsetof(struct multifd_device_counters, rnr_naks),
     {"rcvd_rnr_err", "rnr_nak_retry_err", "rnr_naks_rcvd"}},
    {offsetof(struct multifd_device_counters, out_of_sequence),
     {"out_of_seq_request", "out_of_sequence", "res_oos_drop_count"}},
    {offsetof(struct multifd_device_counters, duplicates), {"duplicate_request", "dup_req"}},
};

#define COUNTERS (sizeof(table) / sizeof(table[0]))

static uint64_t *member(struct multifd_device_counters *counters, size_t index)
{
    return (uint64_t *)(void *)((char *)counters + table[index].offset);
}

/* The value in a file, MULTIFD_UNKNOWN when there is none. */
static uint64_t read_file(const char *folder, const char *name)
{
    char path[IBV_SYSFS_PATH_MAX + 64];
    char text[32] = "";
    uint64_t value;
    FILE *file;
    char *end;

    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    file = fopen(path, "re");
    if (file == NULL) {
        return MULTIFD_UNKNOWN;
    }
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    (void)fclose(file); /* only read */
    value = strtoull(text, &end, 10);
    return end == text ? MULTIFD_UNKNOWN : value;
}

static uint64_t read_counter(const char *folder, size_t index)
{
    uint64_t value = MULTIFD_UNKNOWN;

    for (size_t i = 0; i < DRIVERS && value == MULTIFD_UNKNOWN; i++) {
        if (table[index].names[i] != NULL) {
            value = read_file(folder, table[index].names[i]);
        }
    }
    return value;
}

void verbs_counters_begin(struct verbs_counters *counters, const struct ibv_device *device,
                          unsigned port)
{
    (void)snprintf(counters->folder, sizeof(counters->folder), "%s/ports/%u/hw_counters",
                   device->ibdev_path, port);
    for (size_t i = 0; i < COUNTERS; i++) {
        *member(&counters->first, i) = read_counter(counters->folder, i);
    }
    atomic_store(&counters->begun, true);
}

void verbs_counters_read(const struct verbs_counters *counters, struct multifd_device_counters *out)
{
    struct multifd_device_counters first = {0};
    bool begun = atomic_load(&counters->begun);

    if (begun) {
        first = counters->first;
    }
    for (size_t i = 0; i < COUNTERS; i++) {
        uint64_t from = *member(&first, i);
        uint64_t now =
            begun && from != MULTIFD_UNKNOWN ? read_counter(counters->folder, i) : MULTIFD_UNKNOWN;

        /* One that has gone back says nothing: the device was reset. */
        *member(out, i) = now == MULTIFD_UNKNOWN || now < from ? MULTIFD_UNKNOWN : now - from;
    }
}
