/* SPDX-License-Identifier: MIT */
/* options - the settings of a session; what multifd_options_set knows is in option_table.c. */
#ifndef MULTIFD_OPTIONS_H
#define MULTIFD_OPTIONS_H

#include <multifd.h>

#include "core/base/log.h"
#include "core/methods.h"
#include "transport/transport.h"

/* In the order of the option's choices. */
enum zero_page_detection {
    ZERO_PAGE_DETECTION_NONE,
    ZERO_PAGE_DETECTION_MULTIFD, /* in the channels' threads, as QEMU's choice of that name */
    ZERO_PAGE_DETECTION_SAMPLED, /* the same, but see zero_sample.h */
};

/* In the order of the option's choices. */
enum registration_mode {
    REGISTRATION_ALL,
    REGISTRATION_ON_DEMAND,
    REGISTRATION_ODP,
    REGISTRATION_MODES
};

struct multifd_options {
    uint32_t channels;
    uint32_t page_size;
    uint32_t window;               /* packets in flight on a channel */
    uint32_t registration;         /* enum registration_mode */
    uint64_t piece_size;           /* bytes registered at a time, 0: chosen */
    uint64_t max_bandwidth;        /* bytes per second on the wire, 0: no limit */
    uint32_t registration_threads; /* 0: as many as processors, up to 8 */
    uint32_t poll_us;              /* polling before sleeping */
    uint32_t verify;
    uint32_t qemu;                /* the source is QEMU's */
    uint32_t fresh_memory;        /* the destination's memory is all zero at first */
    uint32_t zero_page_detection; /* enum zero_page_detection */
    int32_t zlib_level;
    int32_t zstd_level;
    char method[32];
    struct transport_settings transport;
    struct log log;
    struct method_table methods;
};

/* The level that the options have for a method, 0 for one without. */
int32_t options_level(const struct multifd_options *options, uint32_t method);

#endif
