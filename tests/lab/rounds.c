/* SPDX-License-Identifier: MIT */
/*
 * rounds - moves a memory round after round, every page anew and over another channel, and looks
 * whether old data ever ends up over new. Prints what it did; exit status 1 when something is
 * wrong.
 */
#include "guest.h"
#include "plan.h"
#include "random.h"
#include "spy.h"
#include "writers.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WRITERS 2u

/* Of all pages in all rounds but the first; in mode strict the batches are dealt in turn. */
#define CHANGES_STRICT_PERCENT 90u
#define CHANGES_PERCENT        40u

struct run {
    struct plan plan;
    struct guest *from; /* NULL on the side that has not got it */
    struct guest *to;
    struct multifd_source *source;
    struct multifd_destination *destination;
    struct multifd_ram_block *block;
    uint32_t *order; /* pages in the order in which they are queued */
    uint64_t random;
    uint64_t changes;
    uint64_t writes;
};

static void check(int status, const char *side, const struct multifd_error *err)
{
    if (status < 0) {
        fprintf(stderr, "rounds: %s: %s\n", side, err->message);
        exit(1);
    }
}

static void check_memory(const struct run *run, const char *when, uint32_t least, uint32_t most)
{
    struct guest_fault fault;

    if (guest_find_fault(run->to, least, most, &fault)) {
        fprintf(stderr,
                "rounds: %s of rounds %u to %u: page %u, word %u is 0x%016llx, of round %u\n", when,
                least, most, fault.page, fault.word, (unsigned long long)fault.value,
                guest_round_of(fault.value));
        exit(1);
    }
}

/* ---- Destination ---- */

static void *receive(void *arg)
{
    struct run *run = arg;
    struct multifd_error err;
    uint32_t round = 0;
    int status;

    while (!multifd_recv_all_channels_created(run->destination)) {
        check(multifd_recv_new_channel(run->destination, &err), "destination", &err);
    }
    while ((status = multifd_recv_sync_main(run->destination, &err)) > 0) {
        spy_round_applied(++round);
        if (run->plan.mode == PLAN_FREE) { /* the next round's pages may be arriving already */
            check_memory(run, "after the destination's sync", round, round + 1);
        }
    }
    check(status, "destination", &err);
    if (run->plan.mode != PLAN_GUEST) {
        check_memory(run, "at the end", run->plan.rounds, run->plan.rounds);
    }
    return NULL;
}

static void open_destination(struct run *run)
{
    struct multifd_error err;

    run->destination = multifd_destination_new(run->plan.address, run->plan.options, &err);
    check(run->destination == NULL ? -1 : 0, "destination", &err);
    check(multifd_destination_add_block(run->destination, "ram", (void *)run->to->words,
                                        guest_length(run->to), &err),
          "destination", &err);
    check(multifd_load_setup(run->destination, &err), "destination", &err);
    printf("listening\n");
    (void)fflush(stdout);
}

/* ---- Source ---- */

static void open_source(struct run *run)
{
    struct multifd_error err;

    run->source = multifd_source_new(run->plan.address, run->plan.options, &err);
    check(run->source == NULL ? -1 : 0, "source", &err);
    run->block = multifd_source_add_block(run->source, "ram", (void *)run->from->words,
                                          guest_length(run->from), &err);
    check(run->block == NULL ? -1 : 0, "source", &err);
    check(multifd_save_setup(run->source, &err), "source", &err);
}

static void shuffle(struct run *run, uint32_t first, uint32_t count)
{
    for (uint32_t i = count; i > 1; i--) {
        uint32_t other = first + random_below(&run->random, i);
        uint32_t page = run->order[first + i - 1];
        run->order[first + i - 1] = run->order[other];
        run->order[other] = page;
    }
}

/*
 * In mode strict a batch keeps its pages, so that each channel gets all those that the one before
 * it had; every other round they are scattered. Otherwise any page may be in any batch.
 */
static void choose_order(struct run *run, uint32_t round)
{
    const struct plan *plan = &run->plan;

    for (uint32_t i = 0; i < plan->pages; i++) {
        run->order[i] = i;
    }
    if (plan->mode != PLAN_STRICT) {
        shuffle(run, 0, plan->pages);
        return;
    }
    for (uint32_t i = 0; round % 2 == 0 && i < plan->pages; i += plan->batch_pages) {
        uint32_t left = plan->pages - i;
        shuffle(run, i, left < plan->batch_pages ? left : plan->batch_pages);
    }
}

static void queue(struct run *run, uint32_t page)
{
    struct multifd_error err;

    check(multifd_queue_page(run->source, run->block, (uint64_t)page * run->plan.page_size, &err),
          "source", &err);
}

static void send_all(struct run *run, uint32_t round)
{
    struct multifd_error err;

    choose_order(run, round);
    guest_write_all(run->from, round);
    for (uint32_t i = 0; i < run->plan.pages; i++) {
        queue(run, run->order[i]);
    }
    check(multifd_send_sync_main(run->source, &err), "source", &err);
    run->changes += spy_take_changes();
    if (run->plan.mode == PLAN_STRICT) {
        check_memory(run, "after the source's sync", round, round);
    }
}

static void send_dirty(struct run *run, uint32_t round)
{
    struct multifd_error err;

    choose_order(run, round);
    for (uint32_t i = 0; i < run->plan.pages; i++) {
        if (guest_take_dirty(run->from, run->order[i])) {
            queue(run, run->order[i]);
        }
    }
    check(multifd_send_sync_main(run->source, &err), "source", &err);
}

/* As pre-copy does it: all, then what was written meanwhile, at last with the guest stopped. */
static void send_guest(struct run *run)
{
    struct writers *writers = writers_start(run->from, WRITERS, run->plan.seed);

    send_all(run, 1);
    for (uint32_t round = 2; round < run->plan.rounds; round++) {
        send_dirty(run, round);
    }
    run->writes = writers_stop(&writers);
    send_dirty(run, run->plan.rounds);
}

static void send_rounds(struct run *run)
{
    struct multifd_error err;

    if (run->plan.mode == PLAN_GUEST) {
        send_guest(run);
    } else {
        for (uint32_t round = 1; round <= run->plan.rounds; round++) {
            send_all(run, round);
        }
    }
    check(multifd_source_finish(run->source, &err), "source", &err);
}

/* ---- The whole ---- */

static void check_changes(const struct run *run)
{
    uint64_t possible = (uint64_t)run->plan.pages * (run->plan.rounds - 1);
    uint64_t percent = possible == 0 ? 100 : run->changes * 100 / possible;

    if (run->plan.mode == PLAN_GUEST) {
        printf("%u rounds, %u pages, written %llu times meanwhile\n", run->plan.rounds,
               run->plan.pages, (unsigned long long)run->writes);
        return;
    }
    printf("%u rounds, %u pages, %llu %% changed their channel\n", run->plan.rounds,
           run->plan.pages, (unsigned long long)percent);
    if (percent < (run->plan.mode == PLAN_STRICT ? CHANGES_STRICT_PERCENT : CHANGES_PERCENT)) {
        fprintf(stderr, "rounds: too few pages changed their channel\n");
        exit(1);
    }
}

static void compare(const struct run *run)
{
    if (memcmp((void *)run->from->words, (void *)run->to->words, guest_length(run->from)) != 0) {
        fprintf(stderr, "rounds: the memories of source and destination differ at the end\n");
        exit(1);
    }
}

static void open_memory(struct run *run)
{
    run->order = calloc(run->plan.pages, sizeof(*run->order));
    if (run->order == NULL) {
        perror("rounds");
        exit(1);
    }
    run->from = run->plan.source ? guest_new(run->plan.pages, run->plan.page_size) : NULL;
    run->to = run->plan.destination ? guest_new(run->plan.pages, run->plan.page_size) : NULL;
    run->random = run->plan.seed;
    spy_start(run->from, run->to, run->plan.mode != PLAN_GUEST);
}

static void close_all(struct run *run)
{
    multifd_source_delete(&run->source);
    multifd_destination_delete(&run->destination);
    spy_stop();
    guest_delete(&run->from);
    guest_delete(&run->to);
    free(run->order);
    multifd_options_delete(&run->plan.options);
}

int main(int argc, char **argv)
{
    struct run run = {0};
    pthread_t receiver = 0;

    plan_read(&run.plan, argc, argv);
    open_memory(&run);
    if (run.plan.destination) {
        open_destination(&run);
        if (pthread_create(&receiver, NULL, receive, &run) != 0) {
            fprintf(stderr, "rounds: no thread\n");
            return 1;
        }
    }
    if (run.plan.source) {
        open_source(&run);
        send_rounds(&run);
        check_changes(&run);
    }
    if (run.plan.destination) {
        (void)pthread_join(receiver, NULL);
    }
    if (run.plan.source && run.plan.destination) {
        compare(&run);
    }
    close_all(&run);
    return 0;
}
