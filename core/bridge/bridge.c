/* SPDX-License-Identifier: MIT */
#include "core/bridge/bridge.h"

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/parallel.h"
#include "core/packet.h"
#include "core/staging.h"

#include <stdlib.h>
#include <string.h>

static int take_addresses(struct multifd_bridge *bridge, const char *qemu,
                          struct multifd_error *err)
{
    const struct multifd_options *options = &bridge->session.options;

    if (transport_address_parse(qemu, &bridge->qemu, err) != 0) {
        return -1;
    }
    if (bridge->qemu.kind != TRANSPORT_UNIX) {
        /* Only there can be seen how much QEMU has read: see round.h. */
        return error_set(err, MULTIFD_ERROR_INVALID, "QEMU is reached at unix:PATH, not at %s",
                         qemu);
    }
    strcpy(bridge->qemu_name, bridge->qemu.path);
    if (options->qemu != 0) {
        return error_set(err, MULTIFD_ERROR_INVALID, "option qemu is not for a bridge");
    }
    bridge->page_size = options->page_size;
    bridge->page_count = packet_page_count(bridge->page_size);
    return 0;
}

static struct multifd_bridge *bridge_new(bool source, const char *address, const char *qemu,
                                         const struct multifd_options *options,
                                         struct multifd_error *err)
{
    struct multifd_bridge *bridge =
        aligned_alloc(alignof(struct multifd_bridge),
                      (sizeof(*bridge) + alignof(struct multifd_bridge) - 1) /
                          alignof(struct multifd_bridge) * alignof(struct multifd_bridge));
    struct multifd_error unused;

    err = err == NULL ? &unused : err;
    if (bridge == NULL) {
        error_set_nomem(err);
        return NULL;
    }
    memset(bridge, 0, sizeof(*bridge));
    bridge->source = source;
    bridge->listener = -1;
    if (session_init(&bridge->session, source ? "destination" : "source", address, options, err) !=
        0) {
        goto free_bridge;
    }
    if (take_addresses(bridge, qemu, err) != 0) {
        goto fini_session;
    }
    pthread_mutex_init(&bridge->decision, NULL);
    return bridge;

fini_session:
    session_fini(&bridge->session);
free_bridge:
    free(bridge);
    return NULL;
}

struct multifd_bridge *multifd_bridge_source_new(const char *qemu, const char *peer,
                                                 const struct multifd_options *options,
                                                 struct multifd_error *err)
{
    return bridge_new(true, peer, qemu, options, err);
}

struct multifd_bridge *multifd_bridge_destination_new(const char *address, const char *qemu,
                                                      const struct multifd_options *options,
                                                      struct multifd_error *err)
{
    return bridge_new(false, address, qemu, options, err);
}

void multifd_bridge_delete(struct multifd_bridge **bridge)
{
    struct multifd_bridge *gone = *bridge;

    if (gone == NULL) {
        return;
    }
    bridge_close_listener(gone);
    free(atomic_load(&gone->main));
    for (uint32_t i = 0; i < MULTIFD_CHANNELS_MAX; i++) {
        free(atomic_load(&gone->channels[i]));
    }
    pthread_mutex_destroy(&gone->decision);
    session_fini(&gone->session);
    free(gone);
    *bridge = NULL;
}

int multifd_bridge_add_block(struct multifd_bridge *bridge, const char *name, void *host,
                             uint64_t length, struct multifd_error *err)
{
    struct multifd_error unused;

    err = err == NULL ? &unused : err;
    if (bridge->listening) {
        return error_set(err, MULTIFD_ERROR_STATE, "RAM blocks are added before listening");
    }
    return ram_table_add(&bridge->session.blocks, name, host, length, bridge->page_size, err) ==
                   NULL
               ? -1
               : 0;
}

int multifd_bridge_expect_channels(struct multifd_bridge *bridge, unsigned channels,
                                   struct multifd_error *err)
{
    struct multifd_error unused;

    err = err == NULL ? &unused : err;
    if (bridge->listening || channels > MULTIFD_CHANNELS_MAX) {
        return error_set(err, bridge->listening ? MULTIFD_ERROR_STATE : MULTIFD_ERROR_INVALID,
                         "the number of channels, up to %u, is told before listening",
                         MULTIFD_CHANNELS_MAX);
    }
    bridge->expected = channels;
    return 0;
}

int multifd_bridge_observe(struct multifd_bridge *bridge,
                           const struct multifd_bridge_observer *observer,
                           struct multifd_error *err)
{
    struct multifd_error unused;

    err = err == NULL ? &unused : err;
    if (bridge->listening) {
        return error_set(err, MULTIFD_ERROR_STATE, "an observer is told of before listening");
    }
    bridge->observer = *observer;
    return 0;
}

int multifd_bridge_listen(struct multifd_bridge *bridge, struct multifd_error *err)
{
    struct transport_endpoint *endpoint = bridge->session.endpoint;
    struct multifd_error unused;
    int status;

    err = err == NULL ? &unused : err;
    if (bridge->listening) {
        return error_set(err, MULTIFD_ERROR_STATE, "multifd_bridge_listen was called before");
    }
    status = bridge->source ? bridge_listen_for_qemu(bridge, err)
                            : endpoint->ops->listen(endpoint, MULTIFD_CHANNELS_MAX + 2, err);
    bridge->listening = status == 0;
    return status;
}

uint16_t multifd_bridge_port(const struct multifd_bridge *bridge)
{
    return bridge->source ? 0 : bridge->session.endpoint->ops->port(bridge->session.endpoint);
}

/* ---- Links ------------------------------------------------------------------------------- */

void bridge_channel_profile(const struct multifd_bridge *bridge, struct transport_profile *profile)
{
    *profile = (struct transport_profile){
        .send_slots = bridge_staging_slots(bridge),
        .send_size = BRIDGE_FRAME_MAX,
        .receive_slots = bridge_staging_slots(bridge),
        .receive_size = BRIDGE_FRAME_MAX,
        .writes = bridge->source ? bridge->page_count : 0,
    };
}

uint32_t bridge_staging_bytes(const struct multifd_bridge *bridge)
{
    return packet_payload_max(bridge->page_count, bridge->page_size, true);
}

/* A byte stream has one message under way, which the kernel has copied. */
uint32_t bridge_staging_slots(const struct multifd_bridge *bridge)
{
    return bridge->session.endpoint->stream
               ? 1
               : staging_slots(bridge->session.options.window, bridge_staging_bytes(bridge));
}

/* Those that exist, the main connection's last. */
static uint32_t all_links(const struct multifd_bridge *bridge, void **links)
{
    struct bridge_link *main = atomic_load(&bridge->main);
    uint32_t num = 0;

    for (uint32_t i = 0; i < MULTIFD_CHANNELS_MAX; i++) {
        struct bridge_link *link = atomic_load(&bridge->channels[i]);

        if (link != NULL) {
            links[num++] = link;
        }
    }
    if (main != NULL) {
        links[num++] = main;
    }
    return num;
}

void bridge_stop_links(struct multifd_bridge *bridge)
{
    void *links[MULTIFD_CHANNELS_MAX + 1];
    uint32_t num = all_links(bridge, links);

    for (uint32_t i = 0; i < num; i++) {
        bridge_link_stop(links[i]);
    }
}

static void abandon_one(void *link)
{
    const struct bridge_link *at = link;

    if (at->ops->abandon != NULL) {
        at->ops->abandon(link);
    }
}

/* All of them before any is closed: QEMU's main thread may be waiting for every channel. */
void bridge_close_qemu(struct multifd_bridge *bridge, bool abandon)
{
    void *links[MULTIFD_CHANNELS_MAX + 1];
    uint32_t num = all_links(bridge, links);

    if (abandon) {
        parallel_for_each(bridge->session.workers, links, num, abandon_one);
    }
    for (uint32_t i = num; i-- > 0;) {
        bridge_link_close_socket(links[i]);
    }
}

static void disconnect_one(void *link)
{
    bridge_link_disconnect(link);
}

void bridge_disconnect(struct multifd_bridge *bridge)
{
    void *links[MULTIFD_CHANNELS_MAX + 1];
    uint32_t num = all_links(bridge, links);

    /* While the control connection still carries it, a failure is told. */
    control_stop(bridge->control);
    registrar_stop(bridge->registrar);
    control_delete(&bridge->control);
    parallel_for_each(bridge->session.workers, links, num, disconnect_one);
    registrar_delete(&bridge->registrar);
}

void bridge_tell(struct multifd_bridge *bridge)
{
    session_wake(&bridge->session, SESSION_AWAITS_CHANNELS);
}

/* ---- Running ----------------------------------------------------------------------------- */

int multifd_bridge_run(struct multifd_bridge *bridge, struct multifd_error *err)
{
    struct multifd_error unused;
    int status;

    err = err == NULL ? &unused : err;
    if (!bridge->listening || bridge->ran) {
        return error_set(err, MULTIFD_ERROR_STATE, "multifd_bridge_run: once, when it listens");
    }
    bridge->ran = true;
    status = bridge->source ? bridge_run_source(bridge, err) : bridge_run_destination(bridge, err);
    counter_set(&bridge->end_ns, clock_now_ns());
    if (status == 0) {
        atomic_store(&bridge->phase, MULTIFD_BRIDGE_COMPLETED);
    } else if (atomic_load(&bridge->phase) != MULTIFD_BRIDGE_UNDECIDED) {
        atomic_store(&bridge->phase, MULTIFD_BRIDGE_FAILED);
    }
    return status;
}

/*
 * From COMMIT on it is too late: the guest may have started at the destination. What is decided
 * there ends the run.
 */
void multifd_bridge_cancel(struct multifd_bridge *bridge, const char *reason)
{
    struct multifd_error err;

    error_set(&err, MULTIFD_ERROR_CANCELLED, "%s", reason);
    pthread_mutex_lock(&bridge->decision);
    if (!atomic_load(&bridge->committed)) {
        session_fail(&bridge->session, &err);
    }
    pthread_mutex_unlock(&bridge->decision);
}

/* ---- Statistics -------------------------------------------------------------------------- */

static void add_link(const struct multifd_bridge *bridge, const struct bridge_link *link,
                     struct multifd_bridge_statistics *out)
{
    const struct bridge_counters *counters = &link->counters;

    out->packets += counter_get(&counters->packets);
    out->direct_pages += counter_get(&counters->direct_pages);
    out->dropped_bytes += counter_get(&counters->dropped_bytes);
    out->buffered_pages += counter_get(&counters->buffered_pages);
    out->zero_pages += counter_get(&counters->zero_pages);
    out->carried_bytes += counter_get(&counters->carried_bytes);
    out->held_ns += counter_get(&counters->held_ns);
    out->direct_bytes = out->direct_pages * bridge->page_size;
    out->buffered_bytes = out->buffered_pages * bridge->page_size;
}

/* Rounds that every channel has had, or at the source, that the main stream has ended. */
static uint64_t rounds(const struct multifd_bridge *bridge, const struct bridge_link *main)
{
    uint64_t least = UINT64_MAX;

    if (bridge->source) {
        return main == NULL ? 0 : counter_get(&main->counters.rounds);
    }
    for (uint32_t i = 0; i < MULTIFD_CHANNELS_MAX; i++) {
        const struct bridge_link *link = atomic_load(&bridge->channels[i]);

        if (link != NULL && counter_get(&link->counters.rounds) < least) {
            least = counter_get(&link->counters.rounds);
        }
    }
    return least == UINT64_MAX ? 0 : least;
}

void multifd_bridge_statistics(const struct multifd_bridge *bridge,
                               struct multifd_bridge_statistics *out)
{
    const struct bridge_link *main = atomic_load(&bridge->main);
    const struct session_times *times = &bridge->session.times;
    uint64_t first = counter_get(&bridge->first_ns);
    uint64_t end = counter_get(&bridge->end_ns);

    memset(out, 0, sizeof(*out));
    for (uint32_t i = 0; i < MULTIFD_CHANNELS_MAX; i++) {
        const struct bridge_link *link = atomic_load(&bridge->channels[i]);

        if (link != NULL) {
            add_link(bridge, link, out);
            out->channels++;
        }
    }
    if (main != NULL) {
        out->main_bytes = counter_get(&main->counters.main_bytes);
        out->return_bytes = counter_get(&main->counters.return_bytes);
    }
    out->phase = (enum multifd_bridge_phase)atomic_load(&bridge->phase);
    out->rounds = rounds(bridge, main);
    out->total_ns = first == 0 ? 0 : (end == 0 ? clock_now_ns() : end) - first;
    out->registered_bytes = counter_get(&times->registered_bytes);
    out->register_ns = counter_get(&times->register_ns);
    out->cpu_ns = worker_group_cpu_ns(bridge->session.workers);
}

int multifd_bridge_channel_statistics(const struct multifd_bridge *bridge, unsigned channel,
                                      struct multifd_bridge_channel_statistics *out)
{
    const struct bridge_link *link =
        channel < MULTIFD_CHANNELS_MAX ? atomic_load(&bridge->channels[channel]) : NULL;
    const struct bridge_counters *counters;

    if (link == NULL) {
        return -1;
    }
    counters = &link->counters;
    *out = (struct multifd_bridge_channel_statistics){
        .packets = counter_get(&counters->packets),
        .direct_bytes = counter_get(&counters->direct_pages) * bridge->page_size,
        .buffered_bytes = counter_get(&counters->buffered_pages) * bridge->page_size,
        .carried_bytes = counter_get(&counters->carried_bytes),
        .cpu_ns = worker_cpu_ns(&link->worker),
    };
    return 0;
}
