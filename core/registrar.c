/* SPDX-License-Identifier: MIT */
#include "core/registrar.h"

#include "core/base/checked.h"
#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/processors.h"
#include "core/piece_queue.h"
#include "core/registration.h"

#include <stdlib.h>

/* More threads than this have not been seen to help. */
#define THREADS_AUTO_MAX 8

/*
 * Small pieces that are adjacent are asked for and answered together, up to this: together they are
 * registered while a packet or two are sent.
 */
#define RUN_BYTES (UINT64_C(16) << 20)

struct registrar {
    struct session *session;
    struct control *control;
    bool source;
    bool on_demand;
    uint32_t access;           /* as for register_memory */
    atomic_uint missing;       /* source: pieces that are not ready */
    struct piece_queue *queue; /* of those that are wanted; each is once */
    uint32_t threads_num;
    struct worker *threads;

    pthread_mutex_t lock;     /* guards what follows; held for moments only */
    atomic_uint sleepers_num; /* looked at without the lock, too */
    struct waker *sleepers[MULTIFD_CHANNELS_MAX];
    uint32_t registering; /* threads that do so now */
    uint64_t since_ns;    /* since when, or since register_ns was told last */
};

/* ---- What is wanted ---- */

static void want_piece(struct registrar *registrar, struct multifd_ram_block *block, uint32_t piece)
{
    if ((atomic_fetch_or(&block->pieces[piece].state, PIECE_WANTED) & PIECE_WANTED) == 0) {
        piece_queue_push(registrar->queue, block->index, piece);
    }
}

void registrar_want(struct registrar *registrar, struct multifd_ram_block *block,
                    const uint64_t *offsets, uint32_t num)
{
    uint32_t before = UINT32_MAX;

    for (uint32_t i = 0; i < num; i++) {
        uint32_t piece = (uint32_t)(offsets[i] >> block->piece_shift);

        if (piece != before &&
            (atomic_load_explicit(&block->pieces[piece].state, memory_order_relaxed) &
             PIECE_WANTED) == 0) {
            want_piece(registrar, block, piece);
        }
        before = piece;
    }
}

/* Before the threads start. */
static void want_all(struct registrar *registrar)
{
    const struct ram_table *table = &registrar->session->blocks;

    for (uint32_t i = 0; i < table->num; i++) {
        for (uint32_t piece = 0; piece < table->blocks[i]->pieces_num; piece++) {
            atomic_store(&table->blocks[i]->pieces[piece].state, PIECE_WANTED | PIECE_ASKED);
            piece_queue_push(registrar->queue, i, piece);
        }
    }
}

/* ---- What is ready ---- */

static bool all_ready(const struct multifd_ram_block *block, const uint64_t *offsets, uint32_t num)
{
    uint32_t before = UINT32_MAX;

    for (uint32_t i = 0; i < num; i++) {
        uint32_t piece = (uint32_t)(offsets[i] >> block->piece_shift);

        if (piece != before &&
            (atomic_load(&block->pieces[piece].state) & PIECE_READY) != PIECE_READY) {
            return false;
        }
        before = piece;
    }
    return true;
}

static void add_sleeper(struct registrar *registrar, struct waker *waker)
{
    uint32_t i = 0;

    pthread_mutex_lock(&registrar->lock);
    while (i < registrar->sleepers_num && registrar->sleepers[i] != waker) {
        i++;
    }
    if (i == registrar->sleepers_num) {
        registrar->sleepers[registrar->sleepers_num++] = waker;
    }
    pthread_mutex_unlock(&registrar->lock);
}

bool registrar_ready(struct registrar *registrar, const struct multifd_ram_block *block,
                     const uint64_t *offsets, uint32_t num, struct waker *waker)
{
    if (atomic_load(&registrar->missing) == 0 || all_ready(block, offsets, num)) {
        return true;
    }
    add_sleeper(registrar, waker);
    return all_ready(block, offsets, num); /* what became ready before the adding wakes nobody */
}

static void wake_sleepers(struct registrar *registrar)
{
    pthread_mutex_lock(&registrar->lock);
    for (uint32_t i = 0; i < registrar->sleepers_num; i++) {
        waker_wake(registrar->sleepers[i]);
    }
    registrar->sleepers_num = 0;
    pthread_mutex_unlock(&registrar->lock);
}

/*
 * One half of what makes a piece ready; what belongs to it was written before. The thread that adds
 * the second half sees the first, and what a channel reads behind it.
 */
static void add_state(struct registrar *registrar, struct ram_piece *piece, unsigned half)
{
    unsigned state = atomic_fetch_or(&piece->state, half) | half;

    if ((state & PIECE_READY) == PIECE_READY) {
        atomic_fetch_sub(&registrar->missing, 1);
        if (atomic_load(&registrar->sleepers_num) != 0) {
            wake_sleepers(registrar);
        }
    }
}

/* ---- What the other side says ---- */

static struct multifd_ram_block *find_range(const struct registrar *registrar,
                                            const struct message_pieces *range)
{
    const struct ram_table *table = &registrar->session->blocks;

    if (range->block >= table->num ||
        !range_within(range->first, range->num, table->blocks[range->block]->pieces_num)) {
        return NULL;
    }
    return table->blocks[range->block];
}

/* Whether each of those pieces has of these bits just the ones in `is`. */
static bool all_are(const struct multifd_ram_block *block, const struct message_pieces *range,
                    unsigned bits, unsigned is)
{
    for (uint32_t i = 0; i < range->num; i++) {
        if ((atomic_load(&block->pieces[range->first + i].state) & bits) != is) {
            return false;
        }
    }
    return true;
}

static int take_request(struct registrar *registrar, const struct message_pieces *range,
                        struct multifd_error *err)
{
    struct multifd_ram_block *block = find_range(registrar, range);

    if (block == NULL || !registrar->on_demand) {
        return error_set(err, MULTIFD_ERROR_PROTOCOL, "the source asks for pieces that are none");
    }
    if (!all_are(block, range, PIECE_WANTED, 0)) {
        return error_set(err, MULTIFD_ERROR_PROTOCOL, "the source asks for a piece twice");
    }
    for (uint32_t i = 0; i < range->num; i++) {
        want_piece(registrar, block, range->first + i);
    }
    return 0;
}

static int take_answer(struct registrar *registrar, const struct message_pieces *answer,
                       struct multifd_error *err)
{
    struct multifd_ram_block *block = find_range(registrar, answer);

    if (block == NULL || !all_are(block, answer, PIECE_ASKED | PIECE_TOLD, PIECE_ASKED)) {
        return error_set(err, MULTIFD_ERROR_PROTOCOL,
                         "the destination answered for other pieces than were asked for");
    }
    for (uint32_t i = 0; i < answer->num; i++) {
        struct ram_piece *piece = &block->pieces[answer->first + i];

        piece->remote_address = answer->pieces[i].address;
        piece->remote_key = answer->pieces[i].key;
        add_state(registrar, piece, PIECE_TOLD);
    }
    return 0;
}

/* A control_handler. */
static int take_message(void *opaque, const struct message *message, struct multifd_error *err)
{
    struct registrar *registrar = opaque;

    if (message->type != (registrar->source ? MESSAGE_PIECES : MESSAGE_PIECES_REQUEST)) {
        return error_set(err, MULTIFD_ERROR_PROTOCOL, "unexpected %s", message_name(message->type));
    }
    return registrar->source ? take_answer(registrar, &message->pieces, err)
                             : take_request(registrar, &message->pieces, err);
}

static struct ram_piece *piece_of(const struct registrar *registrar, const struct piece_run *run,
                                  uint32_t i)
{
    return &registrar->session->blocks.blocks[run->block]->pieces[run->first + i];
}

static bool ask_for(struct registrar *registrar, const struct piece_run *run)
{
    const struct message message = {
        .type = MESSAGE_PIECES_REQUEST,
        .pieces = {.block = run->block, .first = run->first, .num = run->num}};
    struct multifd_error ended;

    for (uint32_t i = 0; i < run->num; i++) {
        atomic_fetch_or(&piece_of(registrar, run, i)->state, PIECE_ASKED);
    }
    return control_send(registrar->control, &message, &ended) == 0;
}

static bool answer(struct registrar *registrar, const struct piece_run *run)
{
    const struct multifd_ram_block *block = registrar->session->blocks.blocks[run->block];
    struct message message = {
        .type = MESSAGE_PIECES,
        .pieces = {.block = run->block, .first = run->first, .num = run->num}};
    struct multifd_error ended;

    for (uint32_t i = 0; i < run->num; i++) {
        uint64_t offset = (uint64_t)(run->first + i) << block->piece_shift;

        message.pieces.pieces[i].address = (uintptr_t)block->host + offset;
        message.pieces.pieces[i].key = piece_of(registrar, run, i)->memory.remote_key;
    }
    return control_send(registrar->control, &message, &ended) == 0;
}

/* ---- The threads ---- */

static void begin_registering(struct registrar *registrar)
{
    pthread_mutex_lock(&registrar->lock);
    if (registrar->registering++ == 0) {
        registrar->since_ns = clock_now_ns();
    }
    pthread_mutex_unlock(&registrar->lock);
}

static void end_registering(struct registrar *registrar, uint64_t pinned)
{
    struct session_times *times = &registrar->session->times;
    uint64_t now;

    pthread_mutex_lock(&registrar->lock);
    now = clock_now_ns();
    counter_add(&times->register_ns, now - registrar->since_ns);
    counter_add(&times->registered_bytes, pinned);
    registrar->since_ns = now;
    registrar->registering--;
    pthread_mutex_unlock(&registrar->lock);
}

static bool register_piece(struct registrar *registrar, struct multifd_ram_block *block,
                           uint32_t number)
{
    struct transport_endpoint *endpoint = registrar->session->endpoint;
    struct ram_piece *piece = &block->pieces[number];
    uint8_t *address = block->host + ((uint64_t)number << block->piece_shift);
    uint64_t length = ram_block_piece_length(block, number);
    bool pins = (registrar->access & TRANSPORT_ON_DEMAND) == 0;
    struct multifd_error err;
    int status;

    begin_registering(registrar);
    status = endpoint->ops->register_memory(endpoint, address, length, registrar->access,
                                            &piece->memory, &err);
    end_registering(registrar, status == 0 && pins ? length : 0);
    if (status != 0) {
        session_fail(registrar->session, &err);
        return false;
    }
    add_state(registrar, piece, PIECE_REGISTERED);
    return true;
}

/* False when there is nothing more to do: the session has failed, or nobody wants to hear more. */
static bool register_run(struct registrar *registrar, const struct piece_run *run)
{
    struct multifd_ram_block *block = registrar->session->blocks.blocks[run->block];

    if (registrar->source && registrar->on_demand && !ask_for(registrar, run)) {
        return false;
    }
    for (uint32_t i = 0; i < run->num; i++) {
        if (block->elsewhere) { /* what is written to it does not lie in it */
            add_state(registrar, piece_of(registrar, run, i), PIECE_REGISTERED);
        } else if (!register_piece(registrar, block, run->first + i)) {
            return false;
        }
    }
    return registrar->source || answer(registrar, run);
}

static void registrar_main(void *arg)
{
    struct registrar *registrar = arg;
    struct piece_run run;

    while (piece_queue_take(registrar->queue, &run) && !session_has_failed(registrar->session) &&
           register_run(registrar, &run)) {
    }
}

/* ---- From beginning to end ---- */

static uint32_t wanted_threads(const struct session *session)
{
    uint32_t threads = session->options.registration_threads;
    uint64_t pieces = registration_pieces(session);
    long processors = processors_usable();

    if (threads == 0) {
        threads = processors < 1 ? 1 : (uint32_t)processors;
        threads = threads > THREADS_AUTO_MAX ? THREADS_AUTO_MAX : threads;
    }
    return threads < pieces ? threads : (uint32_t)pieces;
}

static int start_threads(struct registrar *registrar, struct multifd_error *err)
{
    uint32_t wanted = wanted_threads(registrar->session);

    while (registrar->threads_num < wanted) {
        if (worker_start(&registrar->threads[registrar->threads_num], registrar->session->workers,
                         registrar_main, registrar, err) != 0) {
            return -1;
        }
        registrar->threads_num++;
    }
    return 0;
}

static uint32_t run_max(const struct session *session)
{
    uint64_t run = RUN_BYTES / session->options.piece_size;

    return run == 0 ? 1 : run < MESSAGE_MAX_PIECES ? (uint32_t)run : MESSAGE_MAX_PIECES;
}

static int allocate(struct registrar *registrar, struct multifd_error *err)
{
    const struct session *session = registrar->session;

    registrar->queue = piece_queue_new(registration_pieces(session), run_max(session), err);
    if (registrar->queue == NULL) {
        return -1;
    }
    registrar->threads = calloc(wanted_threads(session), sizeof(*registrar->threads));
    return registrar->threads == NULL ? error_set_nomem(err) : 0;
}

static void configure(struct registrar *registrar, struct session *session, bool source)
{
    registrar->session = session;
    registrar->source = source;
    registrar->on_demand = session->options.registration == REGISTRATION_ON_DEMAND;
    registrar->access = source ? 0 : TRANSPORT_REMOTE_WRITE;
    if (session->options.registration == REGISTRATION_ODP) {
        registrar->access |= TRANSPORT_ON_DEMAND;
    }
    atomic_init(&registrar->missing, (unsigned)registration_pieces(session));
}

struct registrar *registrar_new(struct session *session, struct control *control, bool source,
                                struct multifd_error *err)
{
    struct registrar *registrar = calloc(1, sizeof(*registrar));

    if (registrar == NULL) {
        error_set_nomem(err);
        return NULL;
    }
    configure(registrar, session, source);
    registrar->control = control;
    pthread_mutex_init(&registrar->lock, NULL);
    if (allocate(registrar, err) != 0) {
        goto delete_registrar;
    }
    if (!registrar->on_demand) {
        want_all(registrar);
    }
    control_set_handler(control, take_message, registrar);
    if (start_threads(registrar, err) != 0) {
        goto stop;
    }
    return registrar;

stop:
    control_set_handler(control, NULL, NULL);
    registrar_stop(registrar);
delete_registrar:
    registrar_delete(&registrar);
    return NULL;
}

void registrar_stop(struct registrar *registrar)
{
    if (registrar == NULL) {
        return;
    }
    piece_queue_stop(registrar->queue);
    for (uint32_t i = 0; i < registrar->threads_num; i++) {
        worker_join(&registrar->threads[i]);
    }
    registrar->threads_num = 0;
}

static void deregister_block(const struct session *session, struct multifd_ram_block *block)
{
    struct multifd_error err;

    for (uint32_t i = 0; i < block->pieces_num; i++) {
        struct transport_memory *memory = &block->pieces[i].memory;

        if (memory->handle != NULL &&
            session->endpoint->ops->deregister_memory(memory, &err) != 0) {
            log_line(&session->options.log, "%s", err.message);
        }
    }
}

void registrar_delete(struct registrar **registrar)
{
    struct registrar *gone = *registrar;

    if (gone == NULL) {
        return;
    }
    for (uint32_t i = 0; i < gone->session->blocks.num; i++) {
        deregister_block(gone->session, gone->session->blocks.blocks[i]);
    }
    pthread_mutex_destroy(&gone->lock);
    piece_queue_delete(&gone->queue);
    free(gone->threads);
    free(gone);
    *registrar = NULL;
}
