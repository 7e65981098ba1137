/* SPDX-License-Identifier: MIT */
#include "plan.h"

#include "guest.h"
#include "spy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] = "usage: rounds [NAME=VALUE]...\n"
                            "  address=rdma:HOST:PORT  where the destination listens\n"
                            "  role=both|source|destination\n"
                            "  mode=strict|free|guest\n"
                            "  rounds=N batches=N seed=N\n"
                            "  OPTION=VALUE            any of the library, such as channels=4\n";

static void fail(const char *text)
{
    fprintf(stderr, "rounds: %s\n%s", text, usage);
    exit(2);
}

static uint32_t number(const char *text, uint32_t most)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);

    if (*text == '\0' || *end != '\0' || value == 0 || value > most) {
        fail(text);
    }
    return (uint32_t)value;
}

static unsigned choice(const char *text, const char *const *names)
{
    unsigned i = 0;

    while (names[i] != NULL && strcmp(names[i], text) != 0) {
        i++;
    }
    if (names[i] == NULL) {
        fail(text);
    }
    return i;
}

static void set_option(struct plan *plan, const char *name, const char *value)
{
    struct multifd_error err;

    if (multifd_options_set(plan->options, name, value, &err) != 0) {
        fail(err.message);
    }
}

static void take(struct plan *plan, const char *name, const char *value)
{
    static const char *const modes[] = {"strict", "free", "guest", NULL};
    static const char *const roles[] = {"both", "source", "destination", NULL};

    if (strcmp(name, "address") == 0) {
        plan->address = value;
    } else if (strcmp(name, "mode") == 0) {
        plan->mode = (enum plan_mode)choice(value, modes);
    } else if (strcmp(name, "role") == 0) {
        unsigned role = choice(value, roles);
        plan->source = role != 2;
        plan->destination = role != 1;
    } else if (strcmp(name, "rounds") == 0) {
        plan->rounds = number(value, GUEST_ROUNDS_MAX);
    } else if (strcmp(name, "batches") == 0) {
        plan->batches = number(value, 1u << 16);
    } else if (strcmp(name, "seed") == 0) {
        plan->seed = strtoull(value, NULL, 10);
    } else {
        if (strcmp(name, "channels") == 0) {
            plan->channels = number(value, MULTIFD_CHANNELS_MAX);
        } else if (strcmp(name, "page-size") == 0) {
            plan->page_size = number(value, GUEST_PAGE_SIZE_MAX);
        }
        set_option(plan, name, value);
    }
}

/* The last batch of a round is half full, which is the case that a sync must hand over. */
static void finish(struct plan *plan)
{
    plan->batch_pages = MULTIFD_PACKET_SIZE / plan->page_size;
    plan->pages = plan->batches * plan->batch_pages - plan->batch_pages / 2;
    if (plan->mode == PLAN_STRICT && !(plan->source && plan->destination)) {
        fail("mode=strict needs role=both");
    }
    if (plan->pages == 0 || plan->pages > GUEST_PAGES_MAX) {
        fail("so many pages do not fit");
    }
}

void plan_read(struct plan *plan, int argc, char **argv)
{
    struct multifd_error err;

    *plan = (struct plan){.address = "rdma:10.0.0.1:4999",
                          .source = true,
                          .destination = true,
                          .rounds = 20,
                          .batches = 5,
                          .channels = 4,
                          .page_size = 4096,
                          .options = multifd_options_new()};
    if (plan->options == NULL || spy_register(plan->options, &err) != 0) {
        fail("no options");
    }
    set_option(plan, "channels", "4");
    set_option(plan, "method", "spy");
    for (int i = 1; i < argc; i++) {
        char *equals = strchr(argv[i], '=');
        if (equals == NULL) {
            fail(argv[i]);
        }
        *equals = '\0';
        take(plan, argv[i], equals + 1);
    }
    finish(plan);
}
