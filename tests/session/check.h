/* SPDX-License-Identifier: MIT */
/* check - cmocka, and assertions on a session that has ended. Main thread only. */
#ifndef CHECK_H
#define CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fabric.h"
#include "session_pair.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Fails with both sides' results unless `condition` holds. */
#define CHECK(pair, condition)                                                                     \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            pair_print(pair);                                                                      \
            fail_msg("%s: %s", (pair)->plan.name, #condition);                                     \
        }                                                                                          \
    } while (0)

/* For cmocka: nothing of an earlier session is left on the fabric, and what is lost is soon
 * noticed. */
static inline int fresh_fabric(void **state)
{
    struct fabric_options options;

    (void)state;
    fabric_options_init(&options);
    options.retry_timeout_ms = 300;
    fabric_reset(&options);
    return 0;
}

/* An error of that code whose text contains `part`. */
static inline void assert_error(const struct multifd_error *err, enum multifd_error_code code,
                                const char *part)
{
    if (err->code != code || strstr(err->message, part) == NULL) {
        fail_msg("expected %s with \"%s\", got %s \"%s\"", multifd_error_name(code), part,
                 multifd_error_name(err->code), err->message);
    }
}

/* What both sides count alike: waiting is the source's alone. */
static inline void check_same_counts(struct session_pair *pair,
                                     const struct multifd_channel_statistics *source,
                                     const struct multifd_channel_statistics *destination)
{
    CHECK(pair, source->guest_bytes == destination->guest_bytes);
    CHECK(pair, source->wire_bytes == destination->wire_bytes);
    CHECK(pair, source->normal_pages == destination->normal_pages);
    CHECK(pair, source->zero_pages == destination->zero_pages);
    CHECK(pair, source->packets == destination->packets);
}

/* A session that has gone well: both ended well, with equal totals, and nothing is left. */
static inline void check_finished(struct session_pair *pair)
{
    const struct multifd_statistics *source = &pair->source_side.statistics;
    const struct multifd_statistics *destination = &pair->destination_side.statistics;

    CHECK(pair, pair->source_side.status == 0 && pair->destination_side.status == 0);
    CHECK(pair, source->packets == destination->packets);
    CHECK(pair, source->normal_pages == destination->normal_pages);
    CHECK(pair, source->zero_pages == destination->zero_pages);
    CHECK(pair, source->guest_bytes == destination->guest_bytes);
    CHECK(pair, source->wire_bytes == destination->wire_bytes);
    CHECK(pair, source->syncs == destination->syncs);
    CHECK(pair, source->channels == destination->channels);
    for (unsigned i = 0; i < PAIR_CHANNELS_MAX; i++) {
        check_same_counts(pair, &pair->source_side.channels[i],
                          &pair->destination_side.channels[i]);
    }
    CHECK(pair, pair->source_side.rounds == pair->destination_side.rounds);
    CHECK(pair, fabric_rnr_naks() == 0);
    CHECK(pair, fabric_live_objects() == 0);
    CHECK(pair, pair_transport == PAIR_RDMA || pair_sockets() == 0);
}

#endif
