/* SPDX-License-Identifier: MIT */
/*
 * Connections that do not belong to the session, over sockets: silent ones, rubbish, another
 * version's, another session's channels. They keep nobody waiting, and the session goes on.
 */
#include "check.h"
#include "core/base/bytes.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { GREETING = 64, STRANGERS = 100 };

static int strangers[STRANGERS];
static unsigned strangers_num;

static int reach(const struct session_pair *pair)
{
    struct sockaddr_in in = {
        .sin_family = AF_INET, .sin_port = htons(pair->port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    int family = pair_transport == PAIR_UNIX ? AF_UNIX : AF_INET;
    int fd = socket(family, SOCK_STREAM, 0);
    char address[64];
    int status;

    pair_address(pair, address);
    strcpy(un.sun_path, address + strlen("unix:"));
    status = family == AF_UNIX ? connect(fd, (struct sockaddr *)&un, sizeof(un))
                               : connect(fd, (struct sockaddr *)&in, sizeof(in));
    if (status != 0) {
        abort();
    }
    return fd;
}

/* Says something and stays. */
static void visit(const struct session_pair *pair, const void *bytes, size_t length)
{
    int fd = reach(pair);

    if (strangers_num == STRANGERS ||
        (length != 0 && write(fd, bytes, length) != (ssize_t)length)) {
        abort();
    }
    strangers[strangers_num++] = fd;
}

static void leave(void)
{
    while (strangers_num != 0) {
        close(strangers[--strangers_num]);
    }
}

static void make_init(uint8_t bytes[GREETING], uint32_t version, uint8_t channel)
{
    memset(bytes, 0, GREETING);
    put_be32(bytes, 0x11223344);
    put_be32(bytes + 4, version);
    memset(bytes + 8, 'u', 16);
    bytes[24] = channel;
}

/* The kinds of strangers, one of each; 1 to 3 bytes may yet become anything. */
static void visit_all(const struct session_pair *pair)
{
    static const char http[] =
        "GET / HTTP/1.1\r\nHost: somewhere.example\r\nAccept: */*\r\nA: long one\r\n\r\n";
    uint8_t bytes[2 * GREETING];

    memset(bytes, 'r', sizeof(bytes));
    visit(pair, NULL, 0);
    visit(pair, bytes, 1);
    visit(pair, bytes, 3);
    visit(pair, bytes, 4);
    visit(pair, bytes, GREETING - 1);
    visit(pair, bytes, GREETING);
    visit(pair, bytes, sizeof(bytes));
    visit(pair, http, sizeof(http));
    make_init(bytes, 1, 0);
    visit(pair, bytes, GREETING); /* a channel of no session */
    make_init(bytes, 2, 0);
    visit(pair, bytes, GREETING);
    make_init(bytes, 1, 0);
    bytes[GREETING - 1] = 7;
    visit(pair, bytes, GREETING);
}

static void assert_logged(struct session_pair *pair, const char *words)
{
    char log[PAIR_LOG_BYTES];

    pair_log(&pair->destination_side, log);
    CHECK(pair, strstr(log, words) != NULL);
}

static void they_come_first(void **state)
{
    const struct pair_plan plan = {.name = "strangers come first", .rounds = 2};
    struct session_pair *pair = pair_new(&plan);

    (void)state;
    watchdog_start(20, plan.name);
    pair_start_destination(pair);
    visit_all(pair);
    pair_run_source(pair);
    leave();
    pair_join_destination(pair);
    watchdog_stop();
    check_finished(pair);
    CHECK(pair, pair_equal(pair));
    assert_logged(pair, "refused a connection: the peer is not multifd");
    assert_logged(pair, "refused a connection: the peer speaks version 2 of multifd");
    assert_logged(pair, "refused a connection: no channel of this session");
    pair_delete(&pair);
}

/* As many as leave just the room for the session's own. */
static void many_are_silent(void **state)
{
    static const struct pair_setting settings[] = {{"timeout", "2s"}, {NULL, NULL}};
    const struct pair_plan plan = {
        .name = "many silent strangers", .settings = settings, .rounds = 2};
    struct session_pair *pair = pair_new(&plan);

    (void)state;
    watchdog_start(20, plan.name);
    pair_start_destination(pair);
    for (unsigned i = 0; i < 60; i++) {
        visit(pair, NULL, 0);
    }
    pair_run_source(pair);
    leave();
    pair_join_destination(pair);
    watchdog_stop();
    check_finished(pair);
    CHECK(pair, pair_equal(pair));
    pair_delete(&pair);
}

/* ---- The source comes to a stranger ---- */

struct host {
    int listener;
    const uint8_t *answer;
    size_t length;
    bool stays;
};

static void *answer(void *arg)
{
    const struct host *host = arg;
    uint8_t bytes[GREETING];
    int fd = accept(host->listener, NULL, NULL);

    if (recv(fd, bytes, sizeof(bytes), MSG_WAITALL) != sizeof(bytes) ||
        write(fd, host->answer, host->length) != (ssize_t)host->length) {
        abort();
    }
    if (host->stays) {
        while (recv(fd, bytes, sizeof(bytes), 0) > 0) {
        }
    }
    close(fd);
    return NULL;
}

static void meet(const struct host *like, enum multifd_error_code code, const char *words)
{
    static uint8_t memory[4096];
    struct multifd_options *options = multifd_options_new();
    struct sockaddr_in local = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof(local);
    struct host host = *like;
    struct multifd_source *source;
    struct multifd_error err;
    pthread_t thread;
    char address[64];

    host.listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(host.listener, (struct sockaddr *)&local, sizeof(local)), 0);
    assert_int_equal(listen(host.listener, 1), 0);
    assert_int_equal(getsockname(host.listener, (struct sockaddr *)&local, &length), 0);
    snprintf(address, sizeof(address), "tcp:127.0.0.1:%u", ntohs(local.sin_port));
    assert_int_equal(multifd_options_set(options, "timeout", "300ms", &err), 0);
    assert_int_equal(pthread_create(&thread, NULL, answer, &host), 0);
    source = multifd_source_new(address, options, &err);
    assert_non_null(multifd_source_add_block(source, "ram", memory, sizeof(memory), &err));
    assert_int_equal(multifd_save_setup(source, &err), -1);
    assert_error(&err, code, words);
    multifd_source_delete(&source);
    pthread_join(thread, NULL);
    close(host.listener);
    multifd_options_delete(&options);
    assert_int_equal(pair_sockets(), 0);
}

static void the_source_meets_a_stranger(void **state)
{
    static const uint8_t http[GREETING + 1] =
        "HTTP/1.1 400 Bad Request\r\nServer: somebody\r\nConnection: close\r\n";
    static const uint8_t zeros[GREETING] = {0};
    static const uint8_t refusal[GREETING] = {'M', 'F', 'R', 'D', 0, 1, 1, [24] = 1, [63] = 1};
    static const uint8_t another[GREETING] = {'M', 'F', 'R', 'D', 0, 1, 1, 0, 'u'};
    const struct host closes = {.answer = zeros};
    const struct host silent = {.answer = zeros, .stays = true};
    const struct host half = {.answer = zeros, .length = 30, .stays = true};
    const struct host web = {.answer = http, .length = GREETING};
    const struct host nothing = {.answer = zeros, .length = GREETING};
    const struct host busy = {.answer = refusal, .length = GREETING};
    const struct host other = {.answer = another, .length = GREETING};

    (void)state;
    watchdog_start(20, "the source meets a stranger");
    meet(&closes, MULTIFD_ERROR_DISCONNECTED, "closed the connection");
    meet(&silent, MULTIFD_ERROR_TIMEOUT, "did not answer in time");
    meet(&half, MULTIFD_ERROR_TIMEOUT, "did not answer in time");
    meet(&web, MULTIFD_ERROR_CONNECT, "is not multifd");
    meet(&nothing, MULTIFD_ERROR_CONNECT, "is not multifd");
    meet(&busy, MULTIFD_ERROR_REFUSED, "it is busy with another session");
    meet(&other, MULTIFD_ERROR_PROTOCOL, "answers another one");
    watchdog_stop();
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_come_first),
        cmocka_unit_test(many_are_silent),
        cmocka_unit_test(the_source_meets_a_stranger),
    };
    int failed;

    pair_transport = PAIR_TCP;
    failed = cmocka_run_group_tests_name("strangers, tcp", tests, NULL, NULL);
    pair_transport = PAIR_UNIX;
    return failed + cmocka_run_group_tests_name("strangers, unix", tests, NULL, NULL);
}
