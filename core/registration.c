/* SPDX-License-Identifier: MIT */
#include "core/registration.h"

#include "core/base/checked.h"
#include "core/base/clock.h"
#include "core/base/error.h"

#include <stdlib.h>
#include <unistd.h>

/* More threads than this have not been seen to help. */
#define THREADS_AUTO_MAX 8

/* A piece of 2^63 bytes holds any block. */
#define WHOLE_BLOCK_SHIFT 63u

/* Work on pieces that several threads share. */
struct registration {
    struct session *session;
    bool writable;
    uint64_t start_ns;
    uint32_t threads_num;
    pthread_t *threads;
    atomic_uint next_piece; /* over all blocks */
    atomic_bool failed;
    pthread_mutex_t lock;
    struct multifd_error error; /* under lock; the first */
};

static int check_page_size(struct session *session, const struct transport_limits *limits,
                           struct multifd_error *err)
{
    if (session->options.page_size > limits->max_message) {
        return error_set(err, MULTIFD_ERROR_LIMIT,
                         "page-size %u is above the device's limit: max_msg_sz %llu",
                         session->options.page_size, (unsigned long long)limits->max_message);
    }
    return 0;
}

/* Splits the blocks into pieces that the device takes. */
static int split_blocks(struct session *session, const struct transport_limits *limits,
                        struct multifd_error *err)
{
    uint32_t shift = log2_of(session->options.piece_size);

    for (uint32_t i = 0; i < session->blocks.num; i++) {
        struct multifd_ram_block *block = session->blocks.blocks[i];

        if (ram_block_split(block, shift, err) != 0) {
            return -1;
        }
        if (ram_block_piece_length(block, 0) > limits->max_memory) {
            return error_set(err, MULTIFD_ERROR_LIMIT,
                             "piece-size %llu is above the device's limit: max_mr_size %llu",
                             (unsigned long long)session->options.piece_size,
                             (unsigned long long)limits->max_memory);
        }
    }
    return 0;
}

static int prepare(struct session *session, struct multifd_error *err)
{
    struct transport_endpoint *endpoint = session->endpoint;
    struct transport_limits limits;

    endpoint->ops->limits(endpoint, &limits);
    if (check_page_size(session, &limits, err) != 0 || split_blocks(session, &limits, err) != 0) {
        return -1;
    }
    return endpoint->ops->check_memory(endpoint, ram_table_bytes(&session->blocks), err);
}

/* The piece of that number over all blocks; false behind the last. */
static bool find_piece(const struct ram_table *table, uint32_t number,
                       struct multifd_ram_block **block, uint32_t *piece)
{
    for (uint32_t i = 0; i < table->num; i++) {
        if (number < table->blocks[i]->pieces_num) {
            *block = table->blocks[i];
            *piece = number;
            return true;
        }
        number -= table->blocks[i]->pieces_num;
    }
    return false;
}

static int register_piece(const struct registration *registration, struct multifd_ram_block *block,
                          uint32_t piece, struct multifd_error *err)
{
    struct transport_endpoint *endpoint = registration->session->endpoint;
    uint64_t offset = (uint64_t)piece << block->piece_shift;

    return endpoint->ops->register_memory(
        endpoint, block->host + offset, ram_block_piece_length(block, piece),
        registration->writable, &block->pieces[piece].memory, err);
}

static void keep_error(struct registration *registration, const struct multifd_error *err)
{
    pthread_mutex_lock(&registration->lock);
    if (!atomic_exchange(&registration->failed, true)) {
        registration->error = *err;
    }
    pthread_mutex_unlock(&registration->lock);
}

static void *register_pieces(void *arg)
{
    struct registration *registration = arg;
    struct multifd_ram_block *block;
    struct multifd_error err;
    uint32_t piece;

    while (!atomic_load(&registration->failed) &&
           find_piece(&registration->session->blocks,
                      atomic_fetch_add(&registration->next_piece, 1), &block, &piece)) {
        if (register_piece(registration, block, piece, &err) != 0) {
            keep_error(registration, &err);
        }
    }
    return NULL;
}

static uint32_t wanted_threads(const struct session *session)
{
    uint32_t threads = session->options.registration_threads;
    uint32_t pieces = 0;
    long processors = sysconf(_SC_NPROCESSORS_ONLN);

    for (uint32_t i = 0; i < session->blocks.num; i++) {
        pieces += session->blocks.blocks[i]->pieces_num;
    }
    if (threads == 0) {
        threads = processors < 1 ? 1 : (uint32_t)processors;
        threads = threads > THREADS_AUTO_MAX ? THREADS_AUTO_MAX : threads;
    }
    threads = threads < pieces ? threads : pieces;
    return threads == 0 ? 1 : threads;
}

static int start_threads(struct registration *registration, struct multifd_error *err)
{
    uint32_t wanted = wanted_threads(registration->session);

    registration->threads = calloc(wanted, sizeof(*registration->threads));
    if (registration->threads == NULL) {
        return error_set_nomem(err);
    }
    while (registration->threads_num < wanted) {
        int errnum = pthread_create(&registration->threads[registration->threads_num], NULL,
                                    register_pieces, registration);

        if (errnum != 0) {
            return error_set_errno(err, MULTIFD_ERROR_SYSTEM, errnum, "pthread_create");
        }
        registration->threads_num++;
    }
    return 0;
}

struct registration *registration_start(struct session *session, bool writable,
                                        struct multifd_error *err)
{
    struct registration *registration;

    if (prepare(session, err) != 0) {
        return NULL;
    }
    registration = calloc(1, sizeof(*registration));
    if (registration == NULL) {
        error_set_nomem(err);
        return NULL;
    }
    registration->session = session;
    registration->writable = writable;
    registration->start_ns = clock_now_ns();
    pthread_mutex_init(&registration->lock, NULL);
    if (start_threads(registration, err) != 0) {
        keep_error(registration, err); /* makes those that started end */
        registration_finish(&registration, err);
        return NULL;
    }
    return registration;
}

int registration_finish(struct registration **registration, struct multifd_error *err)
{
    struct registration *done = *registration;
    struct session_times *times = &done->session->times;
    int status = 0;

    for (uint32_t i = 0; i < done->threads_num; i++) {
        pthread_join(done->threads[i], NULL);
    }
    if (atomic_load(&done->failed)) {
        *err = done->error;
        status = -1;
    } else {
        counter_set(&times->registered_bytes, ram_table_bytes(&done->session->blocks));
        counter_set(&times->register_ns, clock_now_ns() - done->start_ns);
    }
    pthread_mutex_destroy(&done->lock);
    free(done->threads);
    free(done);
    *registration = NULL;
    return status;
}

int registration_skip(struct session *session, struct multifd_error *err)
{
    for (uint32_t i = 0; i < session->blocks.num; i++) {
        if (ram_block_split(session->blocks.blocks[i], WHOLE_BLOCK_SHIFT, err) != 0) {
            return -1;
        }
    }
    return 0;
}

void registration_release(struct session *session)
{
    struct multifd_ram_block *block;
    struct multifd_error err;
    uint32_t piece;

    for (uint32_t i = 0; find_piece(&session->blocks, i, &block, &piece); i++) {
        struct transport_memory *memory = &block->pieces[piece].memory;

        if (memory->handle != NULL &&
            session->endpoint->ops->deregister_memory(memory, &err) != 0) {
            log_line(&session->options.log, "%s", err.message);
        }
    }
}
