/* SPDX-License-Identifier: MIT */
/*
 * tamper - changes one message on its way, as a hostile peer would have sent it, and checks how the
 * session ends.
 */
#ifndef TAMPER_H
#define TAMPER_H

#include "core/message.h"
#include "session_pair.h"

/* What is changed: a message_type, or one of these. */
enum {
    TAMPER_PAGES = 100,      /* a packet with pages */
    TAMPER_SYNC,             /* a SYNC packet without */
    TAMPER_CREDIT,           /* credits that the destination returns on a channel */
    TAMPER_CREDIT_OF_SOURCE, /* credits that the source returns on the control connection */
};

enum tamper_way {
    TAMPER_FIELD,   /* `bytes` bytes at `at` become `value`, big-endian */
    TAMPER_FILL,    /* each of them becomes `value` */
    TAMPER_ADD,     /* 4 bytes at `at` grow by `value` */
    TAMPER_LENGTH,  /* the message gets `value` bytes; new ones are 0 */
    TAMPER_FRAME,   /* likewise, and the frame of a control message says so */
    TAMPER_REPLACE, /* the message becomes `message` */
    TAMPER_DROP,
};

enum tamper_end {
    TAMPER_REFUSED_BY_DESTINATION, /* and the source gets that as its peer's reason */
    TAMPER_REFUSED_BY_SOURCE,      /* and the destination gets that as its peer's reason */
    TAMPER_BREAKS_DESTINATION,     /* likewise, but the source may have a cause of its own */
    TAMPER_BREAKS_SOURCE,
    TAMPER_AFTER_THE_END, /* refused by the source, but the destination was done */
};

struct tamper {
    const char *name;
    unsigned what;
    unsigned nth; /* of those; 0: the first */
    enum tamper_way way;
    uint32_t at;
    uint32_t bytes;
    uint64_t value;
    const struct message *message;
    const struct tamper *also; /* a further change of the same message */
    enum tamper_end end;
    enum multifd_error_code code;
    const char *text;
};

/*
 * Runs a session of two rounds with the message changed, on a new fabric. `more` are settings of
 * the source besides, `queue` as in a pair_plan; NULL for both.
 */
void tamper_run_with(const struct tamper *tamper, const struct pair_setting *more,
                     int (*queue)(struct session_pair *pair, uint32_t round,
                                  struct multifd_error *err));
void tamper_run(const struct tamper *tamper);
void tamper_run_all(const struct tamper *tampers, size_t count);

#endif
