/* SPDX-License-Identifier: MIT */
/*
 * Connections that do not belong to the session: another protocol's, another version's, another
 * session's. The destination refuses them and goes on waiting; the source says what it has met.
 */
#include "check.h"
#include "core/control.h"
#include "core/greeting.h"
#include "stranger.h"
#include "transport/verbs/private_data.h"

#include <stdio.h>

static const struct greeting sound = {.kind = GREETING_CONTROL, .uuid = "somebody else's"};

/* Private data with a greeting whose byte at `at` is `value`; 255: as it should be. */
static void make_data(uint8_t data[VERBS_PRIVATE_DATA_BYTES], unsigned at, uint8_t value)
{
    const struct verbs_sender_peer peer = {.receive_slots = 16};
    struct transport_greeting greeting;

    greeting_encode(&sound, &greeting);
    if (at != 255) {
        greeting.bytes[at] = value;
    }
    verbs_private_data_encode(&greeting, &peer, data);
}

/* ---- Strangers come to the destination ---- */

struct visit {
    unsigned at; /* byte of the greeting that is wrong */
    uint8_t value;
    const char *logged;
};

static const struct visit visits[] = {
    {0, 'X', "refused a connection: the peer is not multifd"},
    {5, 2, "refused a connection: the peer speaks version 2 of the session protocol"},
    {4, 1, "refused a connection: the peer speaks version 257"},
    {6, 3, "refused a connection: the peer's greeting is malformed"},
    {24, 5, "refused a connection: the peer's greeting is malformed"},
    {27, 1, "refused a connection: the peer's greeting is malformed"},
    {6, GREETING_CHANNEL, "refused a connection: no channel of this session"},
};

/* Without a second thread: the destination only waits, which the log proves afterwards. */
static void visit_all(struct session_pair *pair)
{
    static const uint8_t noise[56] = {0x5a, 0xff, 1, 2, 3};
    uint8_t data[VERBS_PRIVATE_DATA_BYTES];

    CHECK(pair, stranger_connect(pair->port, NULL, 0) == RDMA_CM_EVENT_REJECTED);
    CHECK(pair, stranger_connect(pair->port, noise, 5) == RDMA_CM_EVENT_REJECTED);
    CHECK(pair, stranger_connect(pair->port, noise, sizeof(noise)) == RDMA_CM_EVENT_REJECTED);
    for (size_t i = 0; i < COUNT_OF(visits); i++) {
        make_data(data, visits[i].at, visits[i].value);
        CHECK(pair, stranger_connect(pair->port, data, sizeof(data)) == RDMA_CM_EVENT_REJECTED);
    }
    /* Sound as a greeting, but with no receive for our messages. */
    make_data(data, 255, 0);
    data[2] = data[3] = 0;
    stranger_connect(pair->port, data, sizeof(data));
}

static void the_destination_goes_on_waiting(void **state)
{
    const struct pair_plan plan = {.name = "strangers come first"};
    struct session_pair *pair = pair_new(&plan);
    char log[PAIR_LOG_BYTES];

    (void)state;
    watchdog_start(20, plan.name);
    pair_start_destination(pair);
    visit_all(pair);
    pair_run_source(pair);
    pair_join_destination(pair);
    watchdog_stop();
    check_finished(pair);
    CHECK(pair, pair_equal(pair));
    pair_log(&pair->destination_side, log);
    for (size_t i = 0; i < COUNT_OF(visits); i++) {
        CHECK(pair, strstr(log, visits[i].logged) != NULL);
    }
    CHECK(pair, strstr(log, "is not multifd") != NULL);
    pair_delete(&pair);
}

/* ---- While channels are due: a source made by hand ---- */

struct handmade {
    struct transport_settings settings;
    struct transport_endpoint *endpoint;
    struct transport_channel *control;
    struct transport_channel *channel;
};

static struct transport_channel *join(struct handmade *source, const struct greeting *greeting,
                                      struct multifd_error *err)
{
    struct transport_greeting offer;
    struct transport_greeting answer;
    struct transport_channel *channel;

    greeting_encode(greeting, &offer);
    channel = source->endpoint->ops->connect(source->endpoint, control_profile(), &offer, -1,
                                             &answer, err);
    if (channel == NULL && answer.length != 0) {
        greeting_explain(&answer, err);
    }
    return channel; /* cppcheck-suppress returnDanglingLifetime; it keeps neither greeting */
}

static void say(struct handmade *source, const struct message *message)
{
    struct transport_channel *control = source->control;
    uint8_t *buffer = control->ops->send_buffer(control, 0);
    struct multifd_error err;

    assert_non_null(buffer);
    assert_int_equal(
        control->ops->send(control, NULL, 0, message_encode(message, buffer), false, &err), 0);
}

static void hear(struct handmade *source, enum message_type type)
{
    struct transport_channel *control = source->control;
    struct transport_message raw;
    struct multifd_error err;
    struct message message;

    do {
        while (!control->ops->receive(control, &raw)) {
            assert_int_equal(control->ops->progress(control, &err), 0);
        }
        assert_int_equal(message_decode(raw.bytes, raw.length, &message, &err), 0);
        assert_int_equal(control->ops->release(control, &err), 0);
    } while (message.type == MESSAGE_PING);
    assert_int_equal(message.type, type);
}

static void agree(struct handmade *source, const struct session_pair *pair)
{
    struct message hello = {.type = MESSAGE_HELLO, .hello = {4096, 128, 3, 0, 0, 30, 10000, 0, 0}};
    struct message blocks = {.type = MESSAGE_RAM_BLOCKS, .ram_blocks = {.total = 1, .num = 1}};
    struct multifd_error err;

    source->control = join(source, &sound, &err);
    assert_non_null(source->control);
    blocks.ram_blocks.blocks[0].length = pair->blocks[0].length;
    strcpy(blocks.ram_blocks.blocks[0].name, pair->blocks[0].name);
    say(source, &hello);
    hear(source, MESSAGE_HELLO_OK);
    say(source, &blocks);
    hear(source, MESSAGE_RAM_BLOCKS_OK);
}

static void refused(struct handmade *source, const struct greeting *greeting, const char *words)
{
    struct multifd_error err;

    assert_null(join(source, greeting, &err));
    assert_error(&err, MULTIFD_ERROR_REFUSED, words);
}

static void try_channels(struct handmade *source)
{
    struct greeting greeting = {.kind = GREETING_CHANNEL, .channel = 1};
    struct multifd_error err;

    memcpy(greeting.uuid, sound.uuid, sizeof(greeting.uuid));
    source->channel = join(source, &greeting, &err);
    assert_non_null(source->channel);
    refused(source, &greeting, "it does not expect this connection"); /* taken */
    greeting.channel = 3;
    refused(source, &greeting, "it does not expect this connection"); /* too high */
    greeting.channel = 255;
    refused(source, &greeting, "it does not expect this connection");
    greeting.channel = 0;
    greeting.uuid[15]++;
    refused(source, &greeting, "it does not expect this connection"); /* another session's */
    refused(source, &sound, "it is busy with another session");
}

static void leave(struct handmade *source)
{
    source->channel->ops->free(source->channel);
    source->control->ops->free(source->control);
    source->endpoint->ops->free(source->endpoint);
}

/* The strangers are refused one by one, and the session stands until its own source leaves. */
static void the_session_stands(void **state)
{
    const struct pair_plan plan = {.name = "a source made by hand"};
    struct handmade source = {.settings = {.timeout_ms = 5000,
                                           .gid_index = -1,
                                           .traffic_class = -1,
                                           .service_level = -1,
                                           .qp_timeout = -1,
                                           .retry_count = 7,
                                           .rnr_timer = 12}};
    struct session_pair *pair = pair_new(&plan);
    struct transport_address address;
    struct multifd_error err;
    char text[64];
    char log[PAIR_LOG_BYTES];

    (void)state;
    watchdog_start(20, plan.name);
    pair_start_destination(pair);
    pair_address(pair, text);
    assert_int_equal(transport_address_parse(text, &address, &err), 0);
    source.endpoint = transport_endpoint_new(&address, &source.settings, &err);
    assert_non_null(source.endpoint);
    agree(&source, pair);
    try_channels(&source);
    CHECK(pair,
          pair->destination_side.status == -1 && pair->destination_side.err.code == MULTIFD_OK);
    leave(&source);
    pair_join_destination(pair);
    watchdog_stop();
    assert_error(&pair->destination_side.err, MULTIFD_ERROR_DISCONNECTED, "connection");
    pair_log(&pair->destination_side, log);
    CHECK(pair, strstr(log, "refused a connection: a second session") != NULL);
    CHECK(pair, strstr(log, "refused a connection: no channel of this session") != NULL);
    CHECK(pair, fabric_live_objects() == 0);
    CHECK(pair, pair->blocks[0].to[0] == PAIR_OLD_BYTE && pair_pages_old_or_new(pair));
    pair_delete(&pair);
}

/* ---- The source comes to a stranger ---- */

struct host {
    const char *name;
    enum stranger_answer answer;
    uint8_t data[64];
    uint8_t length;
    unsigned at; /* of the greeting; 0: `data` is used as it is */
    uint8_t value;
    enum multifd_error_code code;
    const char *words;
};

static const struct host hosts[] = {
    {"accepts without data", STRANGER_ACCEPTS, .code = MULTIFD_ERROR_CONNECT,
     .words = "is not multifd"},
    {"accepts with noise", STRANGER_ACCEPTS, .data = {77, 1, 2, 3}, .length = 64,
     .code = MULTIFD_ERROR_CONNECT, .words = "is not multifd"},
    {"accepts with short noise", STRANGER_ACCEPTS, .data = {4, 1, 2, 3}, .length = 20,
     .code = MULTIFD_ERROR_CONNECT, .words = "is not multifd"},
    {"accepts, not with our magic", STRANGER_ACCEPTS, .at = 3, .value = 'x',
     .code = MULTIFD_ERROR_CONNECT, .words = "is not multifd"},
    {"accepts, of version 2", STRANGER_ACCEPTS, .at = 5, .value = 2, .code = MULTIFD_ERROR_VERSION,
     .words = "speaks version 2 of the session protocol"},
    {"accepts another session", STRANGER_ACCEPTS, .at = 8, .value = 1,
     .code = MULTIFD_ERROR_PROTOCOL, .words = "the peer's greeting answers another one"},
    {"rejects without data", STRANGER_REJECTS, .code = MULTIFD_ERROR_REFUSED,
     .words = "refused the connection"},
    {"rejects with noise", STRANGER_REJECTS, .data = {3, 9, 9, 9}, .length = 64,
     .code = MULTIFD_ERROR_CONNECT, .words = "is not multifd"},
    {"rejects, of version 3", STRANGER_REJECTS, .at = 5, .value = 3, .code = MULTIFD_ERROR_VERSION,
     .words = "speaks version 3 of the session protocol"},
    {"rejects, busy", STRANGER_REJECTS, .at = 24, .value = GREETING_BUSY,
     .code = MULTIFD_ERROR_REFUSED, .words = "it is busy with another session"},
    {"rejects, other version", STRANGER_REJECTS, .at = 24, .value = GREETING_VERSION_DIFFERS,
     .code = MULTIFD_ERROR_REFUSED, .words = "it speaks another version of the session protocol"},
    {"rejects, failed", STRANGER_REJECTS, .at = 24, .value = GREETING_FAILED,
     .code = MULTIFD_ERROR_REFUSED, .words = "the session has failed there"},
    {"rejects, unknown reason", STRANGER_REJECTS, .at = 24, .value = 9,
     .code = MULTIFD_ERROR_PROTOCOL, .words = "the peer's greeting is malformed"},
    {"is silent", STRANGER_IS_SILENT, .code = MULTIFD_ERROR_TIMEOUT,
     .words = "did not answer in time"},
};

static void check_source(const struct host *host, uint16_t port)
{
    static uint8_t memory[4096];
    struct multifd_options *options = multifd_options_new();
    struct multifd_error again;
    struct multifd_error err;
    struct multifd_source *source;
    char address[64];

    snprintf(address, sizeof(address), "rdma:127.0.0.1:%u", port);
    assert_int_equal(multifd_options_set(options, "timeout", "300ms", &err), 0);
    source = multifd_source_new(address, options, &err);
    assert_non_null(source);
    assert_non_null(multifd_source_add_block(source, "ram", memory, sizeof(memory), &err));
    assert_int_equal(multifd_save_setup(source, &err), -1);
    assert_error(&err, host->code, host->words);
    assert_int_equal(multifd_source_finish(source, &again), -1);
    assert_memory_equal(&again, &err, sizeof(err));
    multifd_source_delete(&source);
    multifd_options_delete(&options);
}

static void the_source_meets_a_stranger(void **state)
{
    for (size_t i = 0; i < COUNT_OF(hosts); i++) {
        const struct host *host = &hosts[i];
        uint8_t data[64];
        uint8_t length = host->length;
        struct stranger *stranger;

        memcpy(data, host->data, sizeof(data));
        if (host->at != 0) {
            make_data(data, host->at, host->value);
            length = VERBS_PRIVATE_DATA_BYTES;
        }
        fresh_fabric(state);
        watchdog_start(20, host->name);
        stranger = stranger_listen(host->answer, data, length);
        print_message("%s\n", host->name);
        check_source(host, stranger_port(stranger));
        stranger_delete(&stranger);
        watchdog_stop();
        assert_int_equal(fabric_live_objects(), 0);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_destination_goes_on_waiting, fresh_fabric),
        cmocka_unit_test_setup(the_session_stands, fresh_fabric),
        cmocka_unit_test(the_source_meets_a_stranger),
    };

    return cmocka_run_group_tests_name("strangers", tests, NULL, NULL);
}
