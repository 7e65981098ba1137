/* SPDX-License-Identifier: MIT */
#include "core/option_table.h"

#include "core/message.h"
#include "core/options.h"

#include <assert.h>
#include <string.h>

#define KIB UINT64_C(1024)
#define MS  UINT64_C(1000000)
#define US  UINT64_C(1000)

#define FIELD(member)                                                                              \
    .offset = offsetof(struct multifd_options, member),                                            \
    .size = sizeof(((struct multifd_options *)0)->member)

static const char *const registration_choices[] = {"all", "on-demand", "odp", NULL};

static const char *const detection_choices[] = {"none", "multifd", "sampled", NULL};

/* Two lists in the same order: what users see, and how a value is taken in. */
static const struct multifd_option_info infos[] = {
    {"channels", "N", "2",
     "channels, each a queue pair or connection with a thread (source, or with qemu)"},
    {"page-size", "SIZE", "4K", "the guest's page size, a power of two from 1K to 1G (source)"},
    {"window", "N", "32", "packets in flight on each channel"},
    {"method", "NAME", "nocomp", "compression method: nocomp, zlib or zstd (source, or with qemu)"},
    {"zlib-level", "N", "1", "level of method zlib, 0 to 9 (source)"},
    {"zstd-level", "N", "1",
     "level of method zstd, 1 to 20, or -1 to -7 for its fast ones (source)"},
    {"zero-page-detection", "none|multifd|sampled", "sampled",
     "which pages the channels look at, to name those that are zero only: none, all, or a sample "
     "where hardly any is zero (over RDMA, with nocomp) (source)"},
    {"max-bandwidth", "SIZE", "0",
     "bytes per second that all channels may send together, 0 for no limit (source)"},
    {"verify", "on|off", "off", "compare a SHA-256 of each RAM block at the end (source)"},
    {"qemu", "on|off", "off",
     "the source is QEMU, with the channels and the method that are set there (destination)"},
    {"timeout", "TIME", "10s", "a peer that is silent for so long is dead"},
    {"poll", "TIME", "20us",
     "polling for completions before sleeping, where there are several processors"},
    {"registration", "all|on-demand|odp", "all",
     "pin all guest memory, or what has pages to send, or none, with a device that can (source)"},
    {"piece-size", "SIZE", "auto",
     "memory registered at a time, a power of two from 1M; auto: 1G, on demand 4M (source)"},
    {"registration-threads", "N", "0", "threads that register memory, 0 for one per processor"},
    {"fresh-memory", "on|off", "off",
     "all memory is zero at first: pages that are zero need not be looked at (destination)"},
    {"ib-dev", "NAME", "", "RDMA device that must be used"},
    {"ib-port", "N", "0", "port of the device that must be used, 0 for any"},
    {"gid-index", "N", "auto", "GID of the device to use, by its address (with ib-dev)"},
    {"tclass", "N", "auto", "traffic class (DSCP and ECN bits)"},
    {"sl", "N", "auto", "service level"},
    {"mtu", "BYTES", "0", "path MTU: 256, 512, 1024, 2048 or 4096, 0 for the port's"},
    {"qp-timeout", "N", "auto", "local ack timeout as an exponent: 4.096 us * 2^N"},
    {"retry-count", "N", "7", "tries before a packet without an answer breaks the connection"},
    {"rnr-timer", "N", "12", "minimum RNR NAK timer code (12 is 0.64 ms)"},
    {"tx-depth", "N", "0", "send-queue entries of a channel, 0 to choose"},
    {NULL, NULL, NULL, NULL},
};

static const struct option_entry entries[] = {
    {OPTION_COUNT, FIELD(channels), .least = 1, .most = MULTIFD_CHANNELS_MAX},
    {OPTION_SIZE, FIELD(page_size), .least = KIB, .most = KIB * KIB * KIB, .power_of_two = true},
    {OPTION_COUNT, FIELD(window), .least = 1, .most = 1024},
    {OPTION_TEXT, FIELD(method)},
    {OPTION_LEVEL, FIELD(zlib_level), .least = 0, .most = 9},
    {OPTION_LEVEL, FIELD(zstd_level), .least = (uint64_t)-7, .most = 20, .not_zero = true},
    {OPTION_CHOICE, FIELD(zero_page_detection), .choices = detection_choices},
    {OPTION_SIZE, FIELD(max_bandwidth), .least = 0, .most = KIB * KIB * KIB * KIB},
    {OPTION_FLAG, FIELD(verify)},
    {OPTION_FLAG, FIELD(qemu)},
    {OPTION_TIME, FIELD(transport.timeout_ms), .least = MESSAGE_LEAST_TIMEOUT, .most = 3600000,
     .unit_ns = MS},
    {OPTION_TIME, FIELD(poll_us), .least = 0, .most = 1000000, .unit_ns = US},
    {OPTION_CHOICE, FIELD(registration), .choices = registration_choices},
    {OPTION_SIZE, FIELD(piece_size), .least = KIB * KIB, .most = KIB * KIB * KIB * KIB,
     .power_of_two = true, .or_auto = true},
    {OPTION_COUNT, FIELD(registration_threads), .least = 0, .most = 64},
    {OPTION_FLAG, FIELD(fresh_memory)},
    {OPTION_TEXT, FIELD(transport.ib_dev)},
    {OPTION_COUNT, FIELD(transport.ib_port), .least = 0, .most = 255},
    {OPTION_AUTO, FIELD(transport.gid_index), .least = 0, .most = 65535},
    {OPTION_AUTO, FIELD(transport.traffic_class), .least = 0, .most = 255},
    {OPTION_AUTO, FIELD(transport.service_level), .least = 0, .most = 15},
    {OPTION_COUNT, FIELD(transport.mtu), .least = 0, .most = 4096},
    {OPTION_AUTO, FIELD(transport.qp_timeout), .least = 1, .most = 31},
    {OPTION_COUNT, FIELD(transport.retry_count), .least = 0, .most = 7},
    {OPTION_COUNT, FIELD(transport.rnr_timer), .least = 0, .most = 31},
    {OPTION_COUNT, FIELD(transport.tx_depth), .least = 0, .most = 65536},
};

static_assert(sizeof(infos) / sizeof(infos[0]) == sizeof(entries) / sizeof(entries[0]) + 1,
              "one entry for each option");

const struct multifd_option_info *multifd_options_list(void)
{
    return infos;
}

const struct option_entry *option_table_find(const char *name)
{
    for (size_t i = 0; infos[i].name != NULL; i++) {
        if (strcmp(infos[i].name, name) == 0) {
            return &entries[i];
        }
    }
    return NULL;
}
