/* SPDX-License-Identifier: MIT */
#include "cmocka_all.h"

#include "bench/peer.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A peer, and the bare socket at its other end. */
struct ends {
    struct peer *peer;
    int fd;
};

static struct ends ends;

static int connect_ends(void **state)
{
    struct multifd_error err;
    int fds[2];

    (void)state;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) {
        return -1;
    }
    ends.fd = fds[1];
    ends.peer = peer_new(fds[0], &err);
    return ends.peer == NULL ? -1 : 0;
}

static int delete_ends(void **state)
{
    (void)state;
    peer_delete(&ends.peer);
    peer_delete(&ends.peer);
    if (ends.fd >= 0) {
        (void)close(ends.fd);
    }
    return 0;
}

static void write_text(const char *text)
{
    assert_int_equal(write(ends.fd, text, strlen(text)), strlen(text));
}

static void go_away(void)
{
    (void)close(ends.fd);
    ends.fd = -1;
}

static void assert_received(const char *expected)
{
    struct multifd_error err = {0};
    json_t *object = peer_receive(ends.peer, &err);

    if (object == NULL) {
        fail_msg("%s", err.message);
    }
    char *text = json_dumps(object, JSON_COMPACT);
    assert_string_equal(text, expected);
    free(text);
    json_decref(object);
}

static void assert_not_received(enum multifd_error_code code, const char *message)
{
    struct multifd_error err = {0};

    assert_null(peer_receive(ends.peer, &err));
    assert_int_equal(err.code, code);
    assert_string_equal(err.message, message);
}

static void lines_together_and_apart(void **state)
{
    (void)state;
    write_text("{\"a\":1}\n{\"b\":2}\n{\"c\"");
    assert_true(peer_has_sent(ends.peer, 0));
    assert_received("{\"a\":1}");
    assert_true(peer_has_sent(ends.peer, 0)); /* in the buffer, not in the socket */
    assert_received("{\"b\":2}");
    assert_false(peer_has_sent(ends.peer, 0));
    write_text(":3}\n");
    assert_received("{\"c\":3}");
}

static void *write_slowly(void *arg)
{
    const char *text = arg;

    for (; *text != '\0'; text++) {
        if (write(ends.fd, text, 1) != 1) {
            break;
        }
        (void)usleep(100);
    }
    return NULL;
}

static void a_line_in_single_bytes(void **state)
{
    static char text[] = "{\"slow\":[1,2,3]}\n";
    pthread_t thread;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, write_slowly, text), 0);
    assert_received("{\"slow\":[1,2,3]}");
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void *write_without_end(void *arg)
{
    static const char blanks[65536] = {' '};

    (void)arg;
    while (send(ends.fd, blanks, sizeof(blanks), MSG_NOSIGNAL) > 0) {
    }
    return NULL;
}

static void a_line_that_is_too_long(void **state)
{
    pthread_t thread;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, write_without_end, NULL), 0);
    assert_not_received(MULTIFD_ERROR_PROTOCOL, "the other side sent no line");
    peer_delete(&ends.peer);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void errors_of_the_other_side(void **state)
{
    (void)state;
    write_text("{\"error\":\"it burns\"}\n{\"a\":1}\n");
    assert_not_received(MULTIFD_ERROR_PEER, "the other side: it burns");
    assert_received("{\"a\":1}");
}

static void a_long_error_is_cut(void **state)
{
    struct multifd_error err = {0};
    char text[1024] = "{\"error\":\"";

    (void)state;
    memset(text + strlen(text), 'e', 900);
    (void)strcat(text, "\"}\n");
    write_text(text);
    assert_null(peer_receive(ends.peer, &err));
    assert_int_equal(err.code, MULTIFD_ERROR_PEER);
    assert_in_range(strlen(err.message), 100, sizeof(err.message) - 1);
}

static void what_is_no_object(void **state)
{
    static const char *const lines[] = {
        "\n",           "x\n",     "[]\n",           "1\n",     "null\n", "{\n",
        "{\"a\":1}}\n", "{} {}\n", "{\"a\":\xff}\n", "\"{}\"\n"};

    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        write_text(lines[i]);
        assert_not_received(MULTIFD_ERROR_PROTOCOL, "the other side sent no JSON object");
    }
    write_text("{}\n");
    assert_received("{}");
}

static void a_peer_that_has_gone(void **state)
{
    struct multifd_error err = {0};

    (void)state;
    write_text("{\"a\":1}\n{\"half");
    go_away();
    assert_received("{\"a\":1}");
    assert_true(peer_has_sent(ends.peer, 0)); /* its end */
    assert_not_received(MULTIFD_ERROR_DISCONNECTED, "the other side has gone");
    assert_int_equal(peer_send(ends.peer, json_object(), &err), -1);
    assert_int_equal(err.code, MULTIFD_ERROR_DISCONNECTED);
    peer_send_error(ends.peer, &err); /* as far as it can */
}

static void marks(void **state)
{
    struct multifd_error err = {0};
    char text[64] = "";

    (void)state;
    assert_int_equal(peer_send_mark(ends.peer, "here", &err), 0);
    assert_int_equal(read(ends.fd, text, sizeof(text) - 1), 16);
    assert_string_equal(text, "{\"mark\":\"here\"}\n");
    write_text(text);
    assert_int_equal(peer_expect_mark(ends.peer, "here", &err), 0);
    write_text("{\"mark\":\"there\"}\n{\"mark\":1}\n{}\n");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(peer_expect_mark(ends.peer, "here", &err), -1);
        assert_int_equal(err.code, MULTIFD_ERROR_PROTOCOL);
        assert_string_equal(err.message, "the other side is not where \"here\" is due");
    }
}

static void what_cannot_be_made_is_not_sent(void **state)
{
    struct multifd_error err = {0};

    (void)state;
    assert_int_equal(peer_send(ends.peer, NULL, &err), -1);
    assert_int_equal(err.code, MULTIFD_ERROR_SYSTEM);
}

static void assert_number(const char *text, bool fine)
{
    struct multifd_error err = {0};
    json_t *object = json_loads(text, 0, NULL);
    uint64_t number = 77;

    assert_int_equal(peer_number(object, "n", 5, 10, &number, &err), fine ? 0 : -1);
    if (!fine) {
        assert_int_equal(number, 77);
        assert_int_equal(err.code, MULTIFD_ERROR_PROTOCOL);
        assert_string_equal(err.message, "the other side sent no usable n");
    }
    json_decref(object);
}

static void numbers(void **state)
{
    (void)state;
    assert_number("{\"n\":5}", true);
    assert_number("{\"n\":10}", true);
    assert_number("{\"n\":4}", false);
    assert_number("{\"n\":11}", false);
    assert_number("{\"n\":-5}", false);
    assert_number("{\"n\":9223372036854775807}", false);
    assert_number("{\"n\":7.0}", false);
    assert_number("{\"n\":\"7\"}", false);
    assert_number("{}", false);
}

#define with_ends(test) cmocka_unit_test_setup_teardown(test, connect_ends, delete_ends)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_ends(lines_together_and_apart),
        with_ends(a_line_in_single_bytes),
        with_ends(a_line_that_is_too_long),
        with_ends(errors_of_the_other_side),
        with_ends(a_long_error_is_cut),
        with_ends(what_is_no_object),
        with_ends(a_peer_that_has_gone),
        with_ends(marks),
        with_ends(what_cannot_be_made_is_not_sent),
        cmocka_unit_test(numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
