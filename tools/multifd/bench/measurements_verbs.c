/* SPDX-License-Identifier: MIT */
#include "measurements_verbs.h"

#include "registration.h"
#include "round_trips.h"

/* ---- send, write, read ---- */

#define ONE_PROCESSOR                                                                              \
    "In a loopback on one processor a side sleeps for a moment after each poll, else the other\n"  \
    "could not run until the kernel's next tick, as with perftest. \"waiting\" says \"napping\"\n" \
    "then, and the figures are those of the naps: compare with perftest what says \"polling\"\n"   \
    "or \"events\".\n"

static const struct sweep verbs_sweep = {
    .sizes = "2,4,8,16,32,64,128,256,512,1K,2K,4K,8K,16K,32K,64K",
    .help = "every power of two from 2 to 64K as the message size in turn",
};

/* Those of the device that a queue pair with one message under way has a use for. */
static const char *const verbs_library[] = {
    "ib-dev", "ib-port",    "gid-index",   "tclass",    "sl",
    "mtu",    "qp-timeout", "retry-count", "rnr-timer", NULL,
};

static const struct initial_value send_initials[] = {
    {"size", "2"},
    {"inline", "236"},
    {NULL, NULL},
};

static const struct initial_value write_initials[] = {
    {"size", "2"},
    {"inline", "220"},
    {NULL, NULL},
};

static const struct initial_value read_initials[] = {
    {"size", "2"},
    {NULL, NULL},
};

static const struct column verbs_columns[] = {
    {"message", "message_bytes", COLUMN_SIZE},
    {"waiting", "waiting", COLUMN_TEXT},
    {"us min", "latency.min", COLUMN_MICROSECONDS_2},
    {"p50", "latency.p50", COLUMN_MICROSECONDS_2},
    {"p90", "latency.p90", COLUMN_MICROSECONDS_2},
    {"p99", "latency.p99", COLUMN_MICROSECONDS_2},
    {"p99.9", "latency.p99_9", COLUMN_MICROSECONDS_2},
    {"max", "latency.max", COLUMN_MICROSECONDS_2},
    {.heading = NULL},
};

static const char *const send_options[] = {"size", "iters", "duration", "events", "inline", NULL};

const struct measurement measurement_send = {
    .name = "send",
    .summary = "Half the round trip of a SEND and the SEND that answers it, as ib_send_lat.",
    .text =
        "Nothing of the library is used. Message sizes and what is sent inline are perftest's;\n"
        "the content of every message is looked at. With --events both sides "
        "sleep.\n" ONE_PROCESSOR,
    .options = send_options,
    .initials = send_initials,
    .sweep = &verbs_sweep,
    .session = true,
    .library = verbs_library,
    .columns = verbs_columns,
    .plot = PLOT_DISTRIBUTION,
    .run = send_run,
    .serve = send_serve,
};

static const char *const write_options[] = {"size", "iters", "duration", "inline", NULL};

const struct measurement measurement_write = {
    .name = "write",
    .summary = "Half the round trip of an RDMA WRITE and one that answers it, as ib_write_lat.",
    .text =
        "Nothing of the library is used. Message sizes and what is sent inline are perftest's.\n"
        "A WRITE makes no completion where it arrives: both sides poll their memory, so there\n"
        "is no --events.\n" ONE_PROCESSOR,
    .options = write_options,
    .initials = write_initials,
    .sweep = &verbs_sweep,
    .session = true,
    .library = verbs_library,
    .columns = verbs_columns,
    .plot = PLOT_DISTRIBUTION,
    .run = write_run,
    .serve = write_serve,
};

static const char *const read_options[] = {"size", "iters", "duration", "events", NULL};

const struct measurement measurement_read = {
    .name = "read",
    .summary = "How long an RDMA READ takes until it is completed, as ib_read_lat.",
    .text =
        "Nothing of the library is used; the other side does nothing but have the memory. The\n"
        "content of every message is looked at. With --events this side sleeps.\n" ONE_PROCESSOR,
    .options = read_options,
    .initials = read_initials,
    .sweep = &verbs_sweep,
    .session = true,
    .library = verbs_library,
    .columns = verbs_columns,
    .plot = PLOT_DISTRIBUTION,
    .run = read_run,
    .serve = read_serve,
};

/* ---- register ---- */

static const char *const register_options[] = {
    "memory", "repeat", "threads", "piece", "huge-pages", NULL,
};

static const char *const register_library[] = {"ib-dev", NULL};

static const struct column register_columns[] = {
    {"memory", "options.memory", COLUMN_TEXT},
    {"pages", "page_bytes", COLUMN_SIZE},
    {"piece", "options.piece", COLUMN_TEXT},
    {"threads", "options.threads", COLUMN_TEXT},
    {"register s/GB", "register_s_per_gb.median", COLUMN_SECONDS},
    {"from", "register_s_per_gb.min", COLUMN_SECONDS},
    {"to", "register_s_per_gb.max", COLUMN_SECONDS},
    {"deregister s/GB", "deregister_s_per_gb.median", COLUMN_SECONDS},
    {"fresh: register s/GB", "fresh_register_s_per_gb.median", COLUMN_SECONDS},
    {.heading = NULL},
};

const struct measurement measurement_register = {
    .name = "register",
    .summary = "How long the device takes to register memory and to give it up again.",
    .text =
        "There is one side only, and nothing is sent. \"fresh\" is memory that nobody has touched\n"
        "yet: registering it makes its pages, too. The usual pages are not joined to huge ones\n"
        "meanwhile; --huge-pages takes those that the kernel keeps for it, 2M or 1G on x86.\n",
    .options = register_options,
    .session = true,
    .library = register_library,
    .columns = register_columns,
    .plot = PLOT_NONE,
    .run = registration_run,
};
