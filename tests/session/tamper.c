/* SPDX-License-Identifier: MIT */
#include "tamper.h"

#include "check.h"
#include "core/base/bytes.h"

#include <pthread.h>
#include <stdio.h>

#define PACKET_MAGIC  0x11223344u
#define CONTROL_MAGIC 0x4d464443u
#define CREDIT_MAGIC  0x63726474u

enum { AT_NORMAL = 16, AT_ZERO = 32, CREDIT_BYTES = 8 };

/* What the hook knows; under lock. */
struct tampering {
    pthread_mutex_t lock;
    const struct tamper *tamper;
    uint32_t source_control; /* the source's queue pair of the control connection */
    uint32_t source_channel; /* the source's queue pair that has sent the first packet: credits
                                count on from one message to the next of the same channel */
    unsigned seen;
    bool done;
};

/* Which kind of message it is; 0: none that is known. */
static unsigned kind_of(struct tampering *tampering, const struct fabric_message *message)
{
    uint32_t magic = message->length >= CREDIT_BYTES ? get_be32(message->bytes) : 0;

    if (magic == CONTROL_MAGIC) {
        unsigned type = get_be32(message->bytes + 8);

        if (type == MESSAGE_HELLO) {
            tampering->source_control = message->qp_num;
        }
        return type;
    }
    if (magic == PACKET_MAGIC) {
        if (tampering->source_channel == 0) {
            tampering->source_channel = message->qp_num;
        }
        return get_be32(message->bytes + AT_NORMAL) + get_be32(message->bytes + AT_ZERO) == 0
                   ? TAMPER_SYNC
                   : TAMPER_PAGES;
    }
    if (magic == CREDIT_MAGIC && message->dest_qp_num == tampering->source_channel) {
        return TAMPER_CREDIT;
    }
    if (magic == CREDIT_MAGIC && message->qp_num == tampering->source_control) {
        return TAMPER_CREDIT_OF_SOURCE;
    }
    return 0;
}

static void set_length(struct fabric_message *message, size_t length)
{
    if (length > message->length) {
        memset(message->bytes + message->length, 0, length - message->length);
    }
    message->length = length;
}

static void change(const struct tamper *tamper, struct fabric_message *message)
{
    switch (tamper->way) {
    case TAMPER_FIELD:
        for (uint32_t i = 0; i < tamper->bytes; i++) {
            message->bytes[tamper->at + i] =
                (uint8_t)(tamper->value >> 8 * (tamper->bytes - 1 - i));
        }
        break;
    case TAMPER_FILL:
        memset(message->bytes + tamper->at, (int)tamper->value, tamper->bytes);
        break;
    case TAMPER_ADD:
        put_be32(message->bytes + tamper->at,
                 get_be32(message->bytes + tamper->at) + (uint32_t)tamper->value);
        break;
    case TAMPER_LENGTH:
        set_length(message, tamper->value);
        break;
    case TAMPER_FRAME:
        set_length(message, tamper->value);
        put_be32(message->bytes + 4, (uint32_t)tamper->value);
        break;
    case TAMPER_REPLACE: {
        uint8_t bytes[MESSAGE_MAX];

        message->length = message_encode(tamper->message, bytes);
        memcpy(message->bytes, bytes, message->length);
        break;
    }
    case TAMPER_DROP:
        message->drop = true;
        break;
    }
}

static void tamper_send(void *opaque, struct fabric_message *message)
{
    struct tampering *tampering = opaque;
    const struct tamper *tamper = tampering->tamper;

    pthread_mutex_lock(&tampering->lock);
    if (!tampering->done && kind_of(tampering, message) == tamper->what) {
        tampering->seen++;
        tampering->done = tampering->seen >= tamper->nth;
        if (tampering->done) {
            for (; tamper != NULL; tamper = tamper->also) {
                change(tamper, message);
            }
        }
    }
    pthread_mutex_unlock(&tampering->lock);
}

static bool says(const struct multifd_error *err, enum multifd_error_code code, const char *text)
{
    return err->code == code && strstr(err->message, text) != NULL;
}

/* The side that refuses, and the other. */
static void check_failed(struct session_pair *pair, const struct tamper *tamper,
                         const struct pair_side *refuses, const struct pair_side *other)
{
    CHECK(pair, refuses->status != 0 && other->status != 0);
    if (tamper->code == MULTIFD_ERROR_COMPLETION && refuses->err.code == MULTIFD_ERROR_PEER) {
        CHECK(pair, other->err.code == tamper->code); /* its queue pair broke first */
    } else {
        CHECK(pair, says(&refuses->err, tamper->code, tamper->text));
    }
    if (tamper->end == TAMPER_REFUSED_BY_SOURCE || tamper->end == TAMPER_REFUSED_BY_DESTINATION) {
        CHECK(pair, says(&other->err, MULTIFD_ERROR_PEER, tamper->text));
    }
    CHECK(pair, other->repeated.code == other->err.code);
    CHECK(pair, strcmp(refuses->repeated.message, refuses->err.message) == 0);
}

static void check_end(struct session_pair *pair, const struct tamper *tamper)
{
    struct pair_side *source = &pair->source_side;
    struct pair_side *destination = &pair->destination_side;

    CHECK(pair, fabric_live_objects() == 0);
    CHECK(pair, pair_transport == PAIR_RDMA || pair_sockets() == 0);
    if (pair->plan.queue == NULL) { /* which changes the source, and may compress what it sends */
        CHECK(pair, pair_source_untouched(pair));
        /* A destination that lies about where its memory is gets it written to. */
        CHECK(pair, pair_transport != PAIR_RDMA || tamper->what == MESSAGE_PIECES ||
                        pair_pages_old_or_new(pair));
    }
    switch (tamper->end) {
    case TAMPER_REFUSED_BY_SOURCE:
    case TAMPER_BREAKS_SOURCE:
        check_failed(pair, tamper, source, destination);
        break;
    case TAMPER_REFUSED_BY_DESTINATION:
    case TAMPER_BREAKS_DESTINATION:
        check_failed(pair, tamper, destination, source);
        break;
    case TAMPER_AFTER_THE_END:
        CHECK(pair, says(&source->err, tamper->code, tamper->text));
        CHECK(pair, source->status != 0);
        break;
    }
}

void tamper_run_with(const struct tamper *tamper, const struct pair_setting *more,
                     int (*queue)(struct session_pair *pair, uint32_t round,
                                  struct multifd_error *err))
{
    /* One thread registers in order, so that the n-th message about pieces is always the same. */
    static const struct pair_setting settings[] = {{"window", "2"},
                                                   {"timeout", "5s"},
                                                   {"verify", "on"},
                                                   {"registration-threads", "1"},
                                                   {NULL, NULL}};
    static char names[10][16];
    struct tampering tampering = {.tamper = tamper, .lock = PTHREAD_MUTEX_INITIALIZER};
    struct pair_plan plan = {.name = tamper->name,
                             .settings = settings,
                             .source_settings = more,
                             .rounds = 2,
                             .queue = queue};
    struct session_pair *pair;

    for (uint32_t i = 0; i < COUNT_OF(names); i++) { /* enough messages for credits to return */
        snprintf(names[i], sizeof(names[i]), "block%u", i);
        plan.blocks[i] = (struct pair_block_plan){names[i], 8 * 4096};
    }
    fabric_reset(NULL);
    pair_on_send(tamper_send, &tampering);
    pair = pair_new(&plan);
    pair_run(pair);
    pair_on_send(NULL, NULL);
    CHECK(pair, tampering.done);
    check_end(pair, tamper);
    pair_delete(&pair);
}

void tamper_run(const struct tamper *tamper)
{
    tamper_run_with(tamper, NULL, NULL);
}

/* Memory that is not registered has no pieces to ask for, and needs nothing of a device. */
static bool is_sent(const struct tamper *tamper)
{
    return pair_transport == PAIR_RDMA ||
           (strcmp(tamper->name, "odp") != 0 && tamper->what != MESSAGE_PIECES_REQUEST &&
            tamper->what != MESSAGE_PIECES);
}

void tamper_run_all(const struct tamper *tampers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (is_sent(&tampers[i])) {
            tamper_run(&tampers[i]);
        }
    }
}
