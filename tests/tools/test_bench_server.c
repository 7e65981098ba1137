/* SPDX-License-Identifier: MIT */
/* What a server answers to orders that are no orders. */
#include "cmocka_all.h"

#include "bench/server.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Lets a server read these bytes and then the end; its answer, and its error. */
static int talk(const char *bytes, size_t length, char answer[4096], struct multifd_error *err)
{
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(write(fds[1], bytes, length), length);
    assert_int_equal(shutdown(fds[1], SHUT_WR), 0);
    struct peer *peer = peer_new(fds[0], err);
    assert_non_null(peer);
    int status = server_talk(peer, NULL, err);
    peer_delete(&peer);
    ssize_t got = read(fds[1], answer, 4095);
    assert_true(got >= 0);
    answer[got] = '\0';
    (void)close(fds[1]);
    return status;
}

/* One line, an object with a text "error". */
static void assert_answered(const char *line, const char *answer, const char *reason)
{
    json_t *object = json_loads(answer, 0, NULL);
    const char *error = json_string_value(json_object_get(object, "error"));

    if (error == NULL || strstr(error, reason) == NULL) {
        fail_msg("%s was answered with %s", line, answer);
    }
    assert_ptr_equal(strchr(answer, '\n'), answer + strlen(answer) - 1);
    json_decref(object);
}

static void assert_refused(const char *line, const char *reason)
{
    struct multifd_error err = {0};
    char text[16384];
    char answer[4096];

    (void)snprintf(text, sizeof(text), "%s\n", line);
    assert_int_equal(talk(text, strlen(text), answer, &err), -1);
    assert_answered(line, answer, reason);
}

static void assert_options_refused(const char *options, const char *reason)
{
    char line[512];

    (void)snprintf(line, sizeof(line),
                   "{\"measurement\":\"latency\",\"transport\":\"tcp\",\"options\":%s}", options);
    assert_refused(line, reason);
}

static void what_is_no_object(void **state)
{
    (void)state;
    assert_refused("", "no JSON object");
    assert_refused("x", "no JSON object");
    assert_refused("[]", "no JSON object");
    assert_refused("null", "no JSON object");
    assert_refused("{\"measurement\"", "no JSON object");
    assert_refused("GET / HTTP/1.1\r\n\r\n", "no JSON object");
}

static void nested_too_deeply(void **state)
{
    char line[10001];

    (void)state;
    memset(line, '[', sizeof(line) - 1);
    line[sizeof(line) - 1] = '\0';
    assert_refused(line, "no JSON object");
}

static void what_is_no_order(void **state)
{
    static const char *const lines[] = {
        "{}",
        "{\"measurement\":1,\"transport\":\"tcp\",\"options\":{}}",
        "{\"measurement\":\"\",\"transport\":\"tcp\",\"options\":{}}",
        "{\"measurement\":\"latencies\",\"transport\":\"tcp\",\"options\":{}}",
        "{\"measurement\":\"scan\",\"transport\":\"tcp\",\"options\":{}}", /* has one side */
        "{\"measurement\":\"latency\",\"options\":{}}",
        "{\"measurement\":\"latency\",\"transport\":null,\"options\":{}}",
        "{\"measurement\":\"latency\",\"transport\":\"tcp\"}",
        "{\"measurement\":\"latency\",\"transport\":\"tcp\",\"options\":[]}",
        "{\"measurement\":\"latency\",\"transport\":\"tcp\",\"options\":\"size\"}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        assert_refused(lines[i], "asks for what this version does not measure");
    }
}

static void options_that_are_wrong(void **state)
{
    (void)state;
    assert_options_refused("{\"size\":4096}", "option size: not a text");
    assert_options_refused("{\"size\":{}}", "option size: not a text");
    assert_options_refused("{\"size\":\"\"}", "option size");
    assert_options_refused("{\"size\":\"-1\"}", "option size");
    assert_options_refused("{\"size\":\"99999999999999999999\"}", "option size");
    assert_options_refused("{\"memory\":\"17T\"}", "option memory");
    assert_options_refused("{\"memory\":\"1M\",\"page-size\":\"1G\"}", "option memory");
    assert_options_refused("{\"page-size\":\"0\"}", "page-size");
    assert_options_refused("{\"page-size\":\"3000\"}", "page-size");
    assert_options_refused("{\"channels\":\"256\"}", "channels");
    assert_options_refused("{\"iters\":\"18446744073709551615\"}", "option iters");
    assert_options_refused("{\"%s%n\":\"%s\"}", "unknown option \"%s%n\"");
}

/* A client that goes is no error, and one that fails gets no answer. */
static void clients_that_go(void **state)
{
    static const char error[] = "{\"error\":\"no more\"}\n";
    struct multifd_error err = {0};
    char answer[4096];

    (void)state;
    assert_int_equal(talk("", 0, answer, &err), 0);
    assert_string_equal(answer, "");
    assert_int_equal(talk("{\"half", 6, answer, &err), 0);
    assert_string_equal(answer, "");
    assert_int_equal(talk(error, strlen(error), answer, &err), -1);
    assert_int_equal(err.code, MULTIFD_ERROR_PEER);
    assert_string_equal(answer, "");
}

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* Orders with some bytes changed; two things are wrong with each that no single byte mends. */
static void orders_with_changed_bytes(void **state)
{
    static const char order[] = "{\"measurement\":\"latencies\",\"transport\":\"tcp\",\"options\":"
                                "{\"size\":\"4K\",\"memory\":\"1M\",\"page-size\":\"3333\"}}";
    uint32_t random = 1;

    (void)state;
    for (int i = 0; i < 3000; i++) {
        struct multifd_error err = {0};
        char text[sizeof(order)];
        char answer[4096];

        memcpy(text, order, sizeof(order) - 1);
        text[sizeof(order) - 1] = '\n';
        for (uint32_t changes = next_random(&random) % 4 + 1; changes != 0; changes--) {
            uint32_t at = next_random(&random) % (uint32_t)(sizeof(order) - 1);
            uint32_t byte = next_random(&random) % 256;

            ((uint8_t *)text)[at] = (uint8_t)(byte == '\n' ? ' ' : byte);
        }
        assert_int_equal(talk(text, sizeof(text), answer, &err), -1);
        assert_answered(order, answer, "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_object), cmocka_unit_test(nested_too_deeply),
        cmocka_unit_test(what_is_no_order),  cmocka_unit_test(options_that_are_wrong),
        cmocka_unit_test(clients_that_go),   cmocka_unit_test(orders_with_changed_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
