/* SPDX-License-Identifier: MIT */
#include "session_pair.h"

#include "pair_memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* The longest takes 8 s (zstd's level 20) on a machine that does nothing else. */
enum { WATCHDOG_SECONDS = 60, DESCRIPTORS_MAX = 1024 };

enum pair_transport pair_transport;
void (*pair_on_send)(fabric_send_hook *hook, void *opaque) = fabric_on_send;

static void log_line(void *opaque, const char *line)
{
    struct pair_side *side = opaque;
    size_t used;

    pthread_mutex_lock(&side->lock);
    used = strlen(side->log);
    snprintf(side->log + used, sizeof(side->log) - used, "%s\n", line);
    pthread_mutex_unlock(&side->lock);
}

void pair_log(struct pair_side *side, char log[PAIR_LOG_BYTES])
{
    pthread_mutex_lock(&side->lock);
    memcpy(log, side->log, PAIR_LOG_BYTES);
    pthread_mutex_unlock(&side->lock);
}

static void side_init(struct pair_side *side)
{
    pthread_mutex_init(&side->lock, NULL);
    side->status = -1;
}

struct session_pair *pair_new(const struct pair_plan *plan)
{
    static atomic_uint pairs;
    struct session_pair *pair = calloc(1, sizeof(*pair));

    if (pair == NULL) {
        abort();
    }
    pair->number = atomic_fetch_add(&pairs, 1);
    pair->plan = *plan;
    if (pair->plan.name == NULL) {
        pair->plan.name = "a session";
    }
    if (pair->plan.page_size == 0) {
        pair->plan.page_size = 4096;
    }
    if (pair->plan.rounds == 0) {
        pair->plan.rounds = 1;
    }
    if (pair->plan.blocks[0].name == NULL) {
        pair->plan.blocks[0] = (struct pair_block_plan){"ram", 1 << 20};
    }
    pair_memory_make(pair);
    side_init(&pair->source_side);
    side_init(&pair->destination_side);
    pthread_mutex_init(&pair->lock, NULL);
    pthread_cond_init(&pair->changed, NULL);
    return pair;
}

void pair_delete(struct session_pair **pair)
{
    struct session_pair *gone = *pair;

    pair_memory_free(gone);
    pthread_mutex_destroy(&gone->source_side.lock);
    pthread_mutex_destroy(&gone->destination_side.lock);
    pthread_cond_destroy(&gone->changed);
    pthread_mutex_destroy(&gone->lock);
    free(gone);
    *pair = NULL;
}

static void apply(struct multifd_options *options, const struct pair_setting *settings)
{
    struct multifd_error err;

    for (; settings != NULL && settings->name != NULL; settings++) {
        if (multifd_options_set(options, settings->name, settings->value, &err) != 0) {
            fprintf(stderr, "%s\n", err.message);
            abort(); /* a mistake in the test */
        }
    }
}

struct multifd_options *pair_options(struct session_pair *pair, bool source)
{
    const struct pair_plan *plan = &pair->plan;
    struct multifd_options *options = multifd_options_new();
    char page_size[16];
    const struct pair_setting own[] = {{"page-size", page_size}, {NULL, NULL}};

    if (options == NULL) {
        abort();
    }
    snprintf(page_size, sizeof(page_size), "%u", plan->page_size);
    apply(options, own);
    apply(options, plan->settings);
    apply(options, source ? plan->source_settings : plan->destination_settings);
    multifd_options_set_log(options, log_line,
                            source ? &pair->source_side : &pair->destination_side);
    if (plan->configure != NULL) {
        plan->configure(pair, options, source);
    }
    return options;
}

static void write_address(const struct session_pair *pair, unsigned port, char address[64])
{
    static const char *const hosts[] = {
        [PAIR_RDMA] = "rdma:127.0.0.1", [PAIR_TCP] = "tcp:127.0.0.1", [PAIR_TCP6] = "tcp:[::1]"};

    if (pair_transport == PAIR_UNIX) {
        snprintf(address, 64, "unix:/tmp/multifd-session-%d-%u", (int)getpid(), pair->number);
    } else {
        snprintf(address, 64, "%s:%u", hosts[pair_transport], port);
    }
}

/* ---- The destination's thread ---- */

static void *give_block(void *opaque, const char *name, uint64_t length, struct multifd_error *err)
{
    struct session_pair *pair = opaque;

    for (uint32_t i = 0; i < pair->blocks_num; i++) {
        if (strcmp(pair->blocks[i].name, name) == 0 && pair->blocks[i].length == length) {
            return pair->blocks[i].to;
        }
    }
    err->code = MULTIFD_ERROR_MISMATCH;
    snprintf(err->message, sizeof(err->message), "the test has no such block");
    return NULL;
}

static int add_destination_blocks(struct session_pair *pair,
                                  struct multifd_destination *destination,
                                  struct multifd_error *err)
{
    if (pair->plan.ask_for_blocks) {
        multifd_destination_on_block(destination, give_block, pair);
        return 0;
    }
    for (uint32_t i = 0; i < pair->blocks_num; i++) {
        uint32_t at = pair->plan.blocks_backwards ? pair->blocks_num - 1 - i : i;
        struct pair_block *block = &pair->blocks[at];

        if (multifd_destination_add_block(destination, block->name, block->to, block->length,
                                          err) != 0) {
            return -1;
        }
    }
    return 0;
}

static void say_ready(struct session_pair *pair, uint16_t port,
                      struct multifd_destination *destination)
{
    pthread_mutex_lock(&pair->lock);
    pair->port = port;
    pair->ready = true;
    pair->destination = destination;
    pthread_cond_broadcast(&pair->changed);
    pthread_mutex_unlock(&pair->lock);
}

static int receive(struct session_pair *pair, struct multifd_destination *destination)
{
    struct pair_side *side = &pair->destination_side;
    int status;

    while (!multifd_recv_all_channels_created(destination)) {
        if (multifd_recv_new_channel(destination, &side->err) != 0) {
            multifd_recv_new_channel(destination, &side->repeated);
            return -1;
        }
    }
    while ((status = multifd_recv_sync_main(destination, &side->err)) == 1) {
        side->rounds++;
    }
    if (status != 0) {
        multifd_recv_sync_main(destination, &side->repeated);
    }
    return status;
}

static void read_destination(struct pair_side *side, const struct multifd_destination *destination)
{
    multifd_destination_statistics(destination, &side->statistics);
    for (unsigned i = 0; i < PAIR_CHANNELS_MAX; i++) {
        multifd_destination_channel_statistics(destination, i, &side->channels[i]);
    }
}

static void end_destination(struct session_pair *pair, struct multifd_destination **destination)
{
    pthread_mutex_lock(&pair->lock);
    pair->destination = NULL;
    pair->destination_ended = true;
    pthread_cond_broadcast(&pair->changed);
    pthread_mutex_unlock(&pair->lock);
    if (*destination != NULL) {
        multifd_load_cleanup(*destination);
        read_destination(&pair->destination_side, *destination);
    }
    multifd_destination_delete(destination);
}

static void *destination_main(void *arg)
{
    struct session_pair *pair = arg;
    struct pair_side *side = &pair->destination_side;
    struct multifd_options *options = pair_options(pair, false);
    struct multifd_destination *destination;
    char address[64];

    write_address(pair, pair->plan.port, address);
    destination = multifd_destination_new(address, options, &side->err);
    multifd_options_delete(&options);
    if (destination != NULL && add_destination_blocks(pair, destination, &side->err) == 0 &&
        multifd_load_setup(destination, &side->err) == 0) {
        say_ready(pair, pair_transport == PAIR_UNIX ? 1 : multifd_destination_port(destination),
                  destination);
        side->status = receive(pair, destination);
    } else {
        say_ready(pair, 0, NULL);
    }
    end_destination(pair, &destination);
    return NULL;
}

/* ---- The source's side ---- */

void pair_start_destination(struct session_pair *pair)
{
    if (pthread_create(&pair->thread, NULL, destination_main, pair) != 0) {
        abort();
    }
    pthread_mutex_lock(&pair->lock);
    while (!pair->ready) {
        pthread_cond_wait(&pair->changed, &pair->lock);
    }
    pthread_mutex_unlock(&pair->lock);
}

void pair_address(const struct session_pair *pair, char address[64])
{
    write_address(pair, pair->port, address);
}

void pair_add_source_blocks(struct session_pair *pair, struct multifd_source *source)
{
    struct multifd_error err;

    for (uint32_t i = 0; i < pair->blocks_num; i++) {
        struct pair_block *block = &pair->blocks[i];

        block->block =
            multifd_source_add_block(source, block->name, block->from, block->length, &err);
        if (block->block == NULL) {
            fprintf(stderr, "%s\n", err.message);
            abort();
        }
    }
}

int pair_queue_block(struct session_pair *pair, uint32_t block, struct multifd_error *err)
{
    const struct pair_block *queued = &pair->blocks[block];

    for (uint64_t offset = 0; offset < queued->length; offset += pair->plan.page_size) {
        if (multifd_queue_page(pair->source, queued->block, offset, err) != 0) {
            return -1;
        }
    }
    return 0;
}

int pair_queue_all(struct session_pair *pair, struct multifd_error *err)
{
    for (uint32_t i = 0; i < pair->blocks_num; i++) {
        if (pair_queue_block(pair, i, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int queue_round(struct session_pair *pair, uint32_t round, struct multifd_error *err)
{
    return pair->plan.queue != NULL ? pair->plan.queue(pair, round, err)
                                    : pair_queue_all(pair, err);
}

static int send_all(struct session_pair *pair)
{
    struct pair_side *side = &pair->source_side;

    if (multifd_save_setup(pair->source, &side->err) != 0) {
        return -1;
    }
    for (uint32_t round = 0; round < pair->plan.rounds; round++) {
        if (queue_round(pair, round, &side->err) != 0 ||
            multifd_send_sync_main(pair->source, &side->err) != 0) {
            return -1;
        }
        side->rounds++;
        if (pair->plan.synced != NULL) {
            pair->plan.synced(pair, round);
        }
    }
    return multifd_source_finish(pair->source, &side->err);
}

static void read_source(struct pair_side *side, const struct multifd_source *source)
{
    multifd_source_statistics(source, &side->statistics);
    for (unsigned i = 0; i < PAIR_CHANNELS_MAX; i++) {
        multifd_source_channel_statistics(source, i, &side->channels[i]);
    }
}

void pair_run_source(struct session_pair *pair)
{
    struct pair_side *side = &pair->source_side;
    struct multifd_options *options = pair_options(pair, true);
    char address[64];

    pair_address(pair, address);
    pair->source = multifd_source_new(address, options, &side->err);
    multifd_options_delete(&options);
    if (pair->source == NULL) {
        return;
    }
    pair_add_source_blocks(pair, pair->source);
    side->status = send_all(pair);
    if (side->status != 0) {
        multifd_send_sync_main(pair->source, &side->repeated);
    }
    multifd_save_cleanup(pair->source);
    read_source(side, pair->source);
    multifd_source_delete(&pair->source);
}

unsigned pair_sockets(void)
{
    struct stat status;
    unsigned num = 0;

    for (int fd = 0; fd < DESCRIPTORS_MAX; fd++) {
        num += fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode);
    }
    return num;
}

/* Whether no connection is left. */
static bool is_alone(void)
{
    struct sockaddr_storage peer;

    if (pair_transport == PAIR_RDMA) {
        return fabric_live(FABRIC_QP) == 0;
    }
    for (int fd = 0; fd < DESCRIPTORS_MAX; fd++) {
        socklen_t length = sizeof(peer);

        if (getpeername(fd, (struct sockaddr *)&peer, &length) == 0) {
            return false;
        }
    }
    return true;
}

/*
 * Waits for the destination's thread. The source is gone: a destination without any connection does
 * not know of a session and waits for one without limit, so it is told to stop.
 */
void pair_join_destination(struct session_pair *pair)
{
    unsigned alone = 0;

    pthread_mutex_lock(&pair->lock);
    while (!pair->destination_ended) {
        struct timespec until;

        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += 20 * 1000000;
        if (until.tv_nsec >= 1000000000) {
            until.tv_sec++;
            until.tv_nsec -= 1000000000;
        }
        pthread_cond_timedwait(&pair->changed, &pair->lock, &until);
        alone = is_alone() ? alone + 1 : 0;
        if (alone >= 3 && pair->destination != NULL) {
            pair->asked_for_nobody = true;
            multifd_destination_cancel(pair->destination, "the test has no other source");
        }
    }
    pthread_mutex_unlock(&pair->lock);
    pthread_join(pair->thread, NULL);
}

void pair_run(struct session_pair *pair)
{
    watchdog_start(WATCHDOG_SECONDS, pair->plan.name);
    pair_start_destination(pair);
    if (pair->port != 0) {
        pair_run_source(pair);
    }
    pair_join_destination(pair);
    watchdog_stop();
}

static void print_side(const char *name, struct pair_side *side)
{
    char log[PAIR_LOG_BYTES];

    pair_log(side, log);
    fprintf(stderr, "  %s: status %d, rounds %u, %s (channel %d): %s\n  log:\n%s", name,
            side->status, side->rounds, multifd_error_name(side->err.code), side->err.channel,
            side->err.message, log);
}

void pair_print(struct session_pair *pair)
{
    fprintf(stderr, "%s:\n", pair->plan.name);
    print_side("source", &pair->source_side);
    print_side("destination", &pair->destination_side);
    fabric_print_live_objects();
}
