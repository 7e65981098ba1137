/* SPDX-License-Identifier: MIT */
#include "engine_loop.h"

#include "core/base/clock.h"

#include <multifd.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct engine_loop {
    struct transfer_plan plan;
    struct multifd_source *source;
    struct multifd_destination *destination;
    struct multifd_ram_block *block;
    pthread_t thread;
};

static void check(int status, const struct multifd_error *err)
{
    if (status < 0) {
        fprintf(stderr, "%s\n", err->message);
        exit(1);
    }
}

static void set_text(struct multifd_options *options, const char *name, const char *value)
{
    struct multifd_error err;

    check(multifd_options_set(options, name, value, &err), &err);
}

static void set(struct multifd_options *options, const char *name, uint32_t value)
{
    char text[16];

    snprintf(text, sizeof(text), "%u", value);
    set_text(options, name, text);
}

static void *receive(void *arg)
{
    struct engine_loop *loop = arg;
    struct multifd_error err;
    int status = 0;

    while (!multifd_recv_all_channels_created(loop->destination)) {
        check(multifd_recv_new_channel(loop->destination, &err), &err);
    }
    do {
        status = multifd_recv_sync_main(loop->destination, &err);
        check(status, &err);
    } while (status > 0);
    return NULL;
}

static void start_destination(struct engine_loop *loop, const char *address,
                              const struct multifd_options *options)
{
    struct multifd_error err;

    loop->destination = multifd_destination_new(address, options, &err);
    check(loop->destination == NULL ? -1 : 0, &err);
    check(multifd_destination_add_block(loop->destination, "ram", loop->plan.destination,
                                        loop->plan.length, &err),
          &err);
    check(multifd_load_setup(loop->destination, &err), &err);
    pthread_create(&loop->thread, NULL, receive, loop);
}

static void start_source(struct engine_loop *loop, const char *address,
                         const struct multifd_options *options)
{
    struct multifd_error err;

    loop->source = multifd_source_new(address, options, &err);
    check(loop->source == NULL ? -1 : 0, &err);
    loop->block =
        multifd_source_add_block(loop->source, "ram", loop->plan.source, loop->plan.length, &err);
    check(loop->block == NULL ? -1 : 0, &err);
    check(multifd_save_setup(loop->source, &err), &err);
}

struct engine_loop *engine_loop_new(const struct transfer_plan *plan, const char *address)
{
    struct engine_loop *loop = calloc(1, sizeof(*loop));
    struct multifd_options *options = multifd_options_new();

    if (loop == NULL || options == NULL) {
        abort();
    }
    loop->plan = *plan;
    set(options, "channels", plan->channels);
    set(options, "window", plan->window);
    set(options, "page-size", plan->page_size);
    set_text(options, "zero-page-detection", "none"); /* the raw loop looks at no page either */
    start_destination(loop, address, options);
    start_source(loop, address, options);
    multifd_options_delete(&options);
    return loop;
}

void engine_loop_delete(struct engine_loop *loop)
{
    struct multifd_error err;

    check(multifd_source_finish(loop->source, &err), &err);
    pthread_join(loop->thread, NULL);
    multifd_source_delete(&loop->source);
    multifd_destination_delete(&loop->destination);
    free(loop);
}

uint64_t engine_loop_run(struct engine_loop *loop)
{
    uint64_t start = clock_now_ns();
    struct multifd_error err;

    for (uint32_t i = 0; i < loop->plan.pages; i++) {
        check(multifd_queue_page(loop->source, loop->block, loop->plan.offsets[i], &err), &err);
    }
    check(multifd_send_sync_main(loop->source, &err), &err);
    return clock_now_ns() - start;
}
