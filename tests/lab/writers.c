/* SPDX-License-Identifier: MIT */
#include "writers.h"

#include "random.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Written at once, and the pause after it: the transfer needs the processor too. */
#define BURST    16u
#define PAUSE_NS 500000

struct writer {
    struct writers *writers;
    pthread_t thread;
    uint64_t state;
    uint64_t writes;
};

struct writers {
    struct guest *guest;
    atomic_bool stopping;
    unsigned threads;
    struct writer writer[];
};

/* Each burst counts as a round of its own, whatever rounds the source makes. */
static void burst(struct writer *writer, uint32_t round)
{
    struct guest *guest = writer->writers->guest;
    uint32_t words = guest->page_size / (uint32_t)sizeof(uint64_t);

    for (unsigned i = 0; i < BURST; i++) {
        uint32_t first = random_below(&writer->state, words);
        uint32_t count = 1 + random_below(&writer->state, words - first);

        guest_write(guest, random_below(&writer->state, guest->pages), first, count, round);
        writer->writes++;
    }
}

static void *run(void *arg)
{
    static const struct timespec pause = {.tv_nsec = PAUSE_NS};
    struct writer *writer = arg;

    for (uint32_t round = 2; !atomic_load(&writer->writers->stopping); round++) {
        burst(writer, round % GUEST_ROUNDS_MAX + 1);
        (void)nanosleep(&pause, NULL);
    }
    return NULL;
}

struct writers *writers_start(struct guest *guest, unsigned threads, uint64_t seed)
{
    struct writers *writers = calloc(1, sizeof(*writers) + threads * sizeof(struct writer));

    if (writers == NULL) {
        perror("writers");
        exit(1);
    }
    writers->guest = guest;
    writers->threads = threads;
    for (unsigned i = 0; i < threads; i++) {
        writers->writer[i].writers = writers;
        writers->writer[i].state = seed + i;
        if (pthread_create(&writers->writer[i].thread, NULL, run, &writers->writer[i]) != 0) {
            fprintf(stderr, "writers: no thread\n");
            exit(1);
        }
    }
    return writers;
}

uint64_t writers_stop(struct writers **writers)
{
    uint64_t writes = 0;

    if (*writers == NULL) {
        return 0;
    }
    atomic_store(&(*writers)->stopping, true);
    for (unsigned i = 0; i < (*writers)->threads; i++) {
        (void)pthread_join((*writers)->writer[i].thread, NULL);
        writes += (*writers)->writer[i].writes;
    }
    free(*writers);
    *writers = NULL;
    return writes;
}
