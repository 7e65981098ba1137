/* SPDX-License-Identifier: MIT */
#include "fake_bridge.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct multifd_bridge {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    enum multifd_bridge_phase phase;
};

static enum fake_bridge_end next_end;
static struct fake_bridge_told told;
static atomic_bool runs;

void fake_bridge_reset(enum fake_bridge_end end)
{
    next_end = end;
    told = (struct fake_bridge_told){0};
}

const struct fake_bridge_told *fake_bridge_told(void)
{
    return &told;
}

bool fake_bridge_runs(void)
{
    return atomic_load(&runs);
}

static int fail(struct multifd_error *err, enum multifd_error_code code, const char *text)
{
    err->code = code;
    err->channel = MULTIFD_NO_CHANNEL;
    (void)snprintf(err->message, sizeof(err->message), "%s", text);
    return -1;
}

static struct multifd_bridge *new_bridge(const char *rdma, struct multifd_error *err)
{
    struct multifd_bridge *bridge = NULL;

    if (strrchr(rdma, ':') == rdma + 4) { /* rdma:HOST only */
        (void)fail(err, MULTIFD_ERROR_ADDRESS, "no port");
        return NULL;
    }
    bridge = calloc(1, sizeof(*bridge));
    (void)pthread_mutex_init(&bridge->lock, NULL);
    (void)pthread_cond_init(&bridge->wake, NULL);
    return bridge;
}

struct multifd_bridge *multifd_bridge_source_new(const char *qemu, const char *peer,
                                                 const struct multifd_options *options,
                                                 struct multifd_error *err)
{
    (void)qemu;
    (void)options;
    told.source = true;
    return new_bridge(peer, err);
}

struct multifd_bridge *multifd_bridge_destination_new(const char *address, const char *qemu,
                                                      const struct multifd_options *options,
                                                      struct multifd_error *err)
{
    (void)qemu;
    (void)options;
    return new_bridge(address, err);
}

void multifd_bridge_delete(struct multifd_bridge **bridge)
{
    if (*bridge != NULL) {
        (void)pthread_cond_destroy(&(*bridge)->wake);
        (void)pthread_mutex_destroy(&(*bridge)->lock);
        free(*bridge);
        *bridge = NULL;
    }
}

int multifd_bridge_add_block(struct multifd_bridge *bridge, const char *name, void *host,
                             uint64_t length, struct multifd_error *err)
{
    size_t used = strlen(told.blocks);

    (void)bridge;
    (void)err;
    told.first = told.first != NULL ? told.first : host;
    (void)snprintf(told.blocks + used, sizeof(told.blocks) - used, "%s %llu;", name,
                   (unsigned long long)length);
    return 0;
}

int multifd_bridge_expect_channels(struct multifd_bridge *bridge, unsigned channels,
                                   struct multifd_error *err)
{
    (void)bridge;
    (void)err;
    told.channels = channels;
    return 0;
}

int multifd_bridge_observe(struct multifd_bridge *bridge,
                           const struct multifd_bridge_observer *observer,
                           struct multifd_error *err)
{
    (void)bridge;
    (void)err;
    told.observed = observer->connected != NULL && observer->handing_over != NULL &&
                    observer->committing != NULL;
    return 0;
}

int multifd_bridge_listen(struct multifd_bridge *bridge, struct multifd_error *err)
{
    (void)bridge;
    (void)err;
    told.listened = true;
    return 0;
}

uint16_t multifd_bridge_port(const struct multifd_bridge *bridge)
{
    (void)bridge;
    return told.source ? 0 : 4321;
}

int multifd_bridge_run(struct multifd_bridge *bridge, struct multifd_error *err)
{
    if (next_end == FAKE_BRIDGE_FAILS) {
        bridge->phase = MULTIFD_BRIDGE_FAILED;
        return fail(err, MULTIFD_ERROR_TIMEOUT, "the other bridge is silent");
    }
    if (next_end == FAKE_BRIDGE_COMPLETES) {
        bridge->phase = MULTIFD_BRIDGE_COMPLETED;
        return 0;
    }
    pthread_mutex_lock(&bridge->lock);
    atomic_store(&runs, true);
    while (bridge->phase != MULTIFD_BRIDGE_FAILED) {
        (void)pthread_cond_wait(&bridge->wake, &bridge->lock);
    }
    atomic_store(&runs, false);
    int rc = fail(err, MULTIFD_ERROR_CANCELLED, told.reason);
    pthread_mutex_unlock(&bridge->lock);
    return rc;
}

void multifd_bridge_cancel(struct multifd_bridge *bridge, const char *reason)
{
    pthread_mutex_lock(&bridge->lock);
    if (bridge->phase != MULTIFD_BRIDGE_FAILED) {
        (void)snprintf(told.reason, sizeof(told.reason), "%s", reason);
        bridge->phase = MULTIFD_BRIDGE_FAILED;
    }
    (void)pthread_cond_broadcast(&bridge->wake);
    pthread_mutex_unlock(&bridge->lock);
}

void multifd_bridge_statistics(const struct multifd_bridge *bridge,
                               struct multifd_bridge_statistics *out)
{
    (void)bridge;
    *out = (struct multifd_bridge_statistics){
        .phase = MULTIFD_BRIDGE_ACTIVE, .channels = 2, .rounds = 3, .direct_bytes = 4096};
}

int multifd_bridge_channel_statistics(const struct multifd_bridge *bridge, unsigned channel,
                                      struct multifd_bridge_channel_statistics *out)
{
    (void)bridge;
    *out = (struct multifd_bridge_channel_statistics){.packets = channel + 1};
    return 0;
}
