/* SPDX-License-Identifier: MIT */
/* source_setup - what multifd_save_setup does: connect, agree, register, start the channels. */
#include "core/base/checked.h"
#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/parallel.h"
#include "core/block_list.h"
#include "core/packet.h"
#include "core/registration.h"
#include "core/source.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

/*
 * Batches that the rings of all channels take together. Deep enough that on one processor, where
 * each change of thread costs, the session's thread and a channel do a good stretch of work before
 * the other must run; not so deep that a slow channel collects what an idle one could send.
 */
#define BATCHES_ALL   64u
#define BATCHES_LEAST 8u

static int connect_control(struct multifd_source *source, struct multifd_error *err)
{
    struct session *session = &source->session;
    struct greeting greeting = {.kind = GREETING_CONTROL};
    struct transport_greeting offer;
    struct transport_greeting answer;
    struct transport_channel *channel;

    /* A name, not a secret: never wait for entropy on a host that has just booted. */
    if (getrandom(source->config.uuid, sizeof(source->config.uuid), GRND_INSECURE) !=
        (ssize_t)sizeof(source->config.uuid)) {
        return error_set_errno(err, MULTIFD_ERROR_SYSTEM, errno, "getrandom");
    }
    memcpy(greeting.uuid, source->config.uuid, sizeof(greeting.uuid));
    greeting_encode(&greeting, &offer);
    channel = session->endpoint->ops->connect(session->endpoint, control_profile(), &offer,
                                              session->failed_fd, &answer, err);
    if (channel == NULL) {
        return err->code == MULTIFD_ERROR_REFUSED && answer.length != 0
                   ? greeting_explain(&answer, err)
                   : -1;
    }
    if (greeting_check_answer(&answer, &offer, err) != 0) {
        channel->ops->free(channel);
        return -1;
    }
    source->control = control_new(session, channel, err);
    return source->control == NULL ? -1 : 0;
}

static int say_hello(struct multifd_source *source, uint32_t method, struct multifd_error *err)
{
    const struct multifd_options *options = &source->session.options;
    struct message message = {
        .type = MESSAGE_HELLO,
        .hello = {.page_size = options->page_size,
                  .page_count = source->config.writer.page_count,
                  .channels = options->channels,
                  .method = method,
                  .verify = options->verify,
                  .zero_pages = source->config.writer.detect_zero_pages ? 1 : 0,
                  .piece_shift = log2_of(options->piece_size),
                  .timeout_ms = options->transport.timeout_ms,
                  .registration = options->registration},
    };

    if (control_send(source->control, &message, err) != 0 ||
        control_expect(source->control, MESSAGE_HELLO_OK, &message, err) != 0) {
        return -1;
    }
    if (message.hello_ok.timeout_ms < MESSAGE_LEAST_TIMEOUT ||
        message.hello_ok.timeout_ms > options->transport.timeout_ms) {
        return error_set(err, MULTIFD_ERROR_PROTOCOL,
                         "the destination answered a timeout of %u ms with %u ms",
                         options->transport.timeout_ms, message.hello_ok.timeout_ms);
    }
    control_set_timeout(source->control, message.hello_ok.timeout_ms);
    return 0;
}

static int agree_without_registration(struct multifd_source *source, struct multifd_error *err)
{
    struct message message;

    return registration_skip(&source->session, err) != 0 ||
                   block_list_send(source->control, &source->session.blocks, err) != 0
               ? -1
               : control_expect(source->control, MESSAGE_RAM_BLOCKS_OK, &message, err);
}

/* Both sides register from now on, while the session goes on. */
static int agree_on_blocks(struct multifd_source *source, struct multifd_error *err)
{
    struct session *session = &source->session;
    struct message message;

    if (session->endpoint->stream) {
        return agree_without_registration(source, err);
    }
    if (registration_split(session, err) != 0) {
        return -1;
    }
    source->registrar = registrar_new(session, source->control, true, err);
    if (source->registrar == NULL) {
        return -1;
    }
    source->config.registrar = source->registrar;
    return block_list_send(source->control, &source->session.blocks, err) != 0 ||
                   control_expect(source->control, MESSAGE_RAM_BLOCKS_OK, &message, err) != 0
               ? -1
               : 0;
}

static bool all_channels_up(void *arg)
{
    const struct multifd_source *source = arg;

    for (uint32_t i = 0; i < source->session.options.channels; i++) {
        if (!source_channel_is_up(source->channels[i])) {
            return false;
        }
    }
    return true;
}

/* Where each channel's payloads go: one message for each, in the order in which they connected. */
static int take_stagings(struct multifd_source *source, struct multifd_error *err)
{
    uint32_t channels = source->session.options.channels;
    bool told[MULTIFD_CHANNELS_MAX] = {false};
    struct message message;

    for (uint32_t i = 0; i < channels; i++) {
        struct remote_staging remote;

        if (control_expect(source->control, MESSAGE_STAGING, &message, err) != 0) {
            return -1;
        }
        if (message.staging.channel >= channels) {
            return error_set(err, MULTIFD_ERROR_PROTOCOL,
                             "the destination speaks of channel %u, there are %u",
                             message.staging.channel, channels);
        }
        if (told[message.staging.channel]) { /* and so another channel would go without */
            return error_set(err, MULTIFD_ERROR_PROTOCOL,
                             "the destination speaks of channel %u twice", message.staging.channel);
        }
        told[message.staging.channel] = true;
        remote = (struct remote_staging){.address = message.staging.address,
                                         .key = message.staging.key,
                                         .slots = message.staging.slots};
        source_channel_set_staging(source->channels[message.staging.channel], &remote);
    }
    return 0;
}

static int start_channels(struct multifd_source *source, struct multifd_error *err)
{
    for (uint32_t i = 0; i < source->session.options.channels; i++) {
        source->channels[i] = source_channel_new(&source->config, (uint8_t)i, err);
        if (source->channels[i] == NULL) {
            return -1;
        }
        atomic_store(&source->channels_num, i + 1);
    }
    if (session_wait(&source->session, SESSION_AWAITS_CHANNELS, all_channels_up, source, err) !=
        0) {
        return -1;
    }
    return source->config.writer.slots == 0 || source->config.writer.stream
               ? 0
               : take_stagings(source, err);
}

/* A byte stream and a method that compresses read every page anyway: then the look costs little. */
static bool samples_zero_pages(const struct multifd_source *source, uint32_t method)
{
    return source->session.options.zero_page_detection == ZERO_PAGE_DETECTION_SAMPLED &&
           !source->session.endpoint->stream &&
           session_staging_slots(&source->session, method) == 0;
}

static void configure(struct multifd_source *source, uint32_t method)
{
    const struct multifd_options *options = &source->session.options;
    struct source_channel_config *config = &source->config;

    config->session = &source->session;
    config->writer = (struct packet_writer_config){
        .method = method_table_get(&options->methods, method),
        .endpoint = source->session.endpoint,
        .page_size = options->page_size,
        .page_count = packet_page_count(options->page_size),
        .slots = session_staging_slots(&source->session, method),
        .level = options_level(options, method),
        .detect_zero_pages = options->zero_page_detection != ZERO_PAGE_DETECTION_NONE,
        .sample_zero_pages = samples_zero_pages(source, method),
        .stream = source->session.endpoint->stream,
    };
    config->on_demand =
        options->registration == REGISTRATION_ON_DEMAND && !source->session.endpoint->stream;
    limiter_init(&config->limiter, options->max_bandwidth);
    config->batches = BATCHES_ALL;
    while (config->batches > BATCHES_LEAST && config->batches * options->channels > BATCHES_ALL) {
        config->batches /= 2;
    }
}

/* Whole pages only, so that a packet never needs more writes than it has pages. */
static void configure_device(struct multifd_source *source)
{
    const struct multifd_options *options = &source->session.options;
    struct transport_limits limits;

    source->session.endpoint->ops->limits(source->session.endpoint, &limits);
    source->config.writer.max_message =
        limits.max_message / options->page_size * options->page_size;
}

static int set_up(struct multifd_source *source, struct multifd_error *err)
{
    struct multifd_options *options = &source->session.options;
    uint32_t method;

    if (method_table_find(&options->methods, options->method, &method, err) != 0 ||
        session_check_method(&source->session, method, err) != 0) {
        return -1;
    }
    configure(source, method);
    options->piece_size = registration_piece_size(&source->session);
    if (registration_check_memory(&source->session, err) != 0 ||
        connect_control(source, err) != 0 ||
        registration_check_device(&source->session, err) != 0) {
        return -1;
    }
    configure_device(source);
    if (say_hello(source, method, err) != 0 || agree_on_blocks(source, err) != 0) {
        return -1;
    }
    return start_channels(source, err);
}

int multifd_save_setup(struct multifd_source *source, struct multifd_error *err)
{
    struct session_times *times = &source->session.times;
    struct multifd_error failure;

    err = err == NULL ? &failure : err;
    if (session_has_failed(&source->session)) {
        return session_error(&source->session, err);
    }
    if (source->phase != SOURCE_NEW) {
        return error_set(err, MULTIFD_ERROR_STATE, "multifd_save_setup was called before");
    }
    if (source->session.blocks.num == 0) {
        return error_set(err, MULTIFD_ERROR_STATE, "multifd_save_setup without a RAM block");
    }
    counter_set(&times->setup_start, clock_now_ns());
    if (set_up(source, &failure) != 0) {
        return session_abort(&source->session, &failure, err);
    }
    counter_set(&times->setup_end, clock_now_ns());
    source->phase = SOURCE_READY;
    return 0;
}

static void disconnect(void *channel)
{
    source_channel_disconnect(channel);
}

void source_release(struct multifd_source *source)
{
    uint32_t num = atomic_load(&source->channels_num);
    void *channels[MULTIFD_CHANNELS_MAX];

    for (uint32_t i = 0; i < num; i++) {
        source_channel_stop(source->channels[i]);
        channels[i] = source->channels[i];
    }
    /* Before the channels are gone: a failure is told while the connection still carries it. */
    control_stop(source->control);
    registrar_stop(source->registrar);
    control_delete(&source->control);
    /* At once: a queue pair whose peer is out of reach takes its time to go (rxe: most of a
     * second). */
    parallel_for_each(source->session.workers, channels, num, disconnect);
    registrar_delete(&source->registrar);
}
