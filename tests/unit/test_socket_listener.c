/* SPDX-License-Identifier: MIT */
#include "socket_rig.h"
#include "transport/socket/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define BARE "QEVM"

static struct transport_address address;
static struct socket_listener listener;
static struct transport_settings settings;
static struct multifd_error err;
static uint16_t port;
static unsigned descriptors;

static int listen_at(void **state, struct transport_address at)
{
    mock_socket_setup(state);
    descriptors = rig_open_descriptors();
    address = at;
    settings = (struct transport_settings){.timeout_ms = 5000};
    err = (struct multifd_error)ERROR_UNTOUCHED;
    return socket_listener_init(&listener, &address, NAME, 256, &port, &err);
}

static int make(void **state)
{
    return listen_at(state, rig_address("tcp:127.0.0.1:0"));
}

static int make_unix(void **state)
{
    return listen_at(state, rig_unix_address());
}

static int release(void **state)
{
    socket_listener_fini(&listener, &address);
    assert_int_equal(listener.fd, -1);
    socket_listener_fini(&listener, &address); /* none is there */
    return mock_teardown(state);
}

#define with_listener(function) cmocka_unit_test_setup_teardown(function, make, release)
#define with_unix(function)     cmocka_unit_test_setup_teardown(function, make_unix, release)

static struct transport_request *wait_for(int wake_fd, int timeout_ms)
{
    struct transport_request *request = (void *)&listener; /* something that it is not */

    assert_int_equal(
        socket_listener_wait(&listener, &settings, NAME, wake_fd, timeout_ms, &request, &err), 0);
    assert_untouched(&err);
    return request;
}

/* A connection that says so many bytes of the greeting "1...". */
static int come(char first, size_t length)
{
    uint8_t bytes[SOCKET_GREETING_BYTES] = {(uint8_t)first, '.', '.', '.'};
    int fd = rig_connect_tcp(port);

    if (length != 0) {
        rig_write(fd, bytes, length);
    }
    return fd;
}

static void say_rest(int fd, size_t from)
{
    static const uint8_t bytes[SOCKET_GREETING_BYTES] = "?...";

    rig_write(fd, bytes + from, sizeof(bytes) - from);
}

static void assert_request(struct transport_request *request, char first)
{
    socklen_t length = sizeof(int);
    int tuned = 0;

    assert_non_null(request);
    assert_int_equal(request->greeting.length, TRANSPORT_GREETING_MAX);
    assert_int_equal(request->greeting.bytes[0], first);
    assert_int_equal(strncmp(request->name, "127.0.0.1:", 10), 0);
    assert_int_equal(getsockopt(request->fd, IPPROTO_TCP, TCP_NODELAY, &tuned, &length), 0);
    assert_int_equal(tuned, 1);
    assert_true((fcntl(request->fd, F_GETFL) & O_NONBLOCK) != 0);
    socket_request_close(request);
}

static void assert_closed(int fd)
{
    uint8_t byte;

    assert_true(recv(fd, &byte, 1, 0) <= 0);
    close(fd);
}

static void nobody_comes(void **state)
{
    uint64_t before = clock_now_ns();

    (void)state;
    assert_null(wait_for(-1, 30));
    assert_true(clock_now_ns() - before >= 30 * NS_PER_MS);
    assert_null(wait_for(-1, 0));
    assert_true(mock_socket.polls <= 3);
}

static void a_wake_ends_the_wait(void **state)
{
    int wake_fd = eventfd(1, 0);

    (void)state;
    assert_null(wait_for(wake_fd, -1));
    close(wake_fd);
}

static void *wake_later(void *arg)
{
    usleep(100000);
    assert_int_equal(eventfd_write(*(int *)arg, 1), 0);
    return NULL;
}

static void to_wait_without_limit_is_to_sleep(void **state)
{
    int wake_fd = eventfd(0, 0);
    pthread_t thread;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, wake_later, &wake_fd), 0);
    assert_null(wait_for(wake_fd, -1));
    assert_true(mock_socket.polls <= 2);
    pthread_join(thread, NULL);
    close(wake_fd);
}

static void a_greeting_at_once(void **state)
{
    int fd = come('a', SOCKET_GREETING_BYTES);

    (void)state;
    assert_request(wait_for(-1, -1), 'a');
    assert_int_equal(listener.pending_num, 0);
    assert_closed(fd);
}

static void the_peer_has_no_name_of_its_own(void **state)
{
    static const uint8_t bytes[SOCKET_GREETING_BYTES] = "u...";
    int fd = rig_connect_unix();
    struct transport_request *request;

    (void)state;
    rig_write(fd, bytes, sizeof(bytes));
    request = wait_for(-1, -1);
    assert_non_null(request);
    assert_string_equal(request->name, NAME);
    socket_request_close(request);
    close(fd);
}

static void a_greeting_in_parts(void **state)
{
    static const size_t parts[] = {0, 1, 3, 4, 5, 63};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        int fd = come('p', parts[i]);

        assert_null(wait_for(-1, 10));
        assert_null(wait_for(-1, 10));
        assert_int_equal(listener.pending_num, 1);
        say_rest(fd, parts[i]);
        assert_request(wait_for(-1, 5000), parts[i] == 0 ? '?' : 'p');
        close(fd);
    }
}

static void the_silent_keep_nobody_waiting(void **state)
{
    int silent[5];
    int fd;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(silent); i++) {
        silent[i] = come('s', i); /* or almost silent */
        assert_null(wait_for(-1, 5));
    }
    fd = come('a', SOCKET_GREETING_BYTES);
    assert_request(wait_for(-1, -1), 'a');
    assert_int_equal(listener.pending_num, COUNT_OF(silent));
    for (size_t i = 0; i < COUNT_OF(silent); i++) {
        say_rest(silent[i], i);
        assert_request(wait_for(-1, -1), i == 0 ? '?' : 's');
        close(silent[i]);
    }
    close(fd);
}

/* The first bytes stay readable while they are too few: that must not keep a processor busy. */
static void to_wait_for_the_rest_costs_little(void **state)
{
    int one = come('1', 1);
    int two = come('2', 2);
    int three = come('3', 3);

    (void)state;
    assert_null(wait_for(-1, 20));
    mock_socket.polls = 0;
    mock_socket.recvs = 0;
    assert_null(wait_for(-1, 300));
    assert_true(mock_socket.polls >= 5); /* but it does look */
    assert_true(mock_socket.polls <= 20);
    assert_true(mock_socket.recvs <= 60);
    say_rest(two, 2);
    assert_request(wait_for(-1, 1000), '2');
    close(one);
    close(two);
    close(three);
}

static void a_deadline_for_each(void **state)
{
    uint64_t before = clock_now_ns();
    int fds[5];

    (void)state;
    settings.timeout_ms = 60;
    for (size_t i = 0; i < COUNT_OF(fds); i++) {
        fds[i] = come('d', i * 15);
    }
    assert_null(wait_for(-1, 20));
    assert_int_equal(listener.pending_num, COUNT_OF(fds));
    assert_null(wait_for(-1, 150));
    assert_int_equal(listener.pending_num, 0);
    assert_true(clock_now_ns() - before < 5000 * NS_PER_MS);
    for (size_t i = 0; i < COUNT_OF(fds); i++) {
        assert_closed(fds[i]);
    }
}

static void those_that_leave_are_forgotten(void **state)
{
    int stays = come('s', 10);

    (void)state;
    close(come('l', 0));
    close(come('l', 10));
    assert_null(wait_for(-1, 50));
    assert_int_equal(listener.pending_num, 1);
    say_rest(stays, 10);
    assert_request(wait_for(-1, -1), 's');
    close(stays);
}

static void rubbish_is_handed_over_empty(void **state)
{
    uint8_t bytes[SOCKET_GREETING_BYTES + 20];
    int fd = rig_connect_tcp(port);
    struct transport_request *request;

    (void)state;
    memset(bytes, 'r', sizeof(bytes));
    rig_write(fd, bytes, sizeof(bytes));
    request = wait_for(-1, -1);
    assert_non_null(request);
    assert_int_equal(request->greeting.length, 0);
    assert_int_equal(recv(request->fd, bytes, sizeof(bytes), 0), 20); /* not read any further */
    socket_request_close(request);
    close(fd);
}

static void what_is_bare_is_left_unread(void **state)
{
    static const char text[] = BARE " and what follows";
    struct transport_request *request;
    char got[sizeof(text)] = "";
    int fd = rig_connect_tcp(port);
    int other = come('a', SOCKET_GREETING_BYTES);

    (void)state;
    memcpy(settings.bare_start, BARE, 4);
    rig_write(fd, text, 3);
    assert_request(wait_for(-1, 1000), 'a');
    assert_null(wait_for(-1, 10));
    rig_write(fd, text + 3, sizeof(text) - 3);
    request = wait_for(-1, 1000);
    assert_non_null(request);
    assert_int_equal(request->greeting.length, 4);
    assert_memory_equal(request->greeting.bytes, BARE, 4);
    assert_int_equal(recv(request->fd, got, sizeof(got), 0), sizeof(got));
    assert_string_equal(got, text);
    socket_request_close(request);
    close(fd);
    close(other);
}

/* Zeros are what "none" is written as. */
static void nothing_is_bare_where_none_is(void **state)
{
    int fd = rig_connect_tcp(port);
    static const uint8_t zeros[SOCKET_GREETING_BYTES] = {0};
    uint8_t byte;
    struct transport_request *request;

    (void)state;
    rig_write(fd, zeros, sizeof(zeros));
    request = wait_for(-1, -1);
    assert_non_null(request);
    assert_int_equal(request->greeting.length, TRANSPORT_GREETING_MAX);
    assert_int_equal(recv(request->fd, &byte, 1, 0), -1);
    socket_request_close(request);
    close(fd);
}

/* Those beyond wait in the kernel, and come in when others have gone. */
static void more_than_may_be_silent_at_once(void **state)
{
    enum { ALL = SOCKET_PENDING_MAX + 6 };
    int fds[ALL];
    unsigned polls;

    (void)state;
    settings.timeout_ms = 60000;
    for (size_t i = 0; i < ALL; i++) {
        fds[i] = come('m', 10);
    }
    assert_null(wait_for(-1, 200));
    assert_int_equal(listener.pending_num, SOCKET_PENDING_MAX);
    polls = mock_socket.polls;
    assert_null(wait_for(-1, 50));
    assert_true(mock_socket.polls - polls <= 3); /* nor does it spin on those that wait */
    for (size_t i = 0; i < ALL; i++) {
        say_rest(fds[i], 10);
    }
    for (size_t i = 0; i < ALL; i++) {
        assert_request(wait_for(-1, 1000), 'm');
    }
    assert_int_equal(listener.pending_num, 0);
    for (size_t i = 0; i < ALL; i++) {
        close(fds[i]);
    }
}

static void what_accepting_may_fail_with(void **state)
{
    static const int passing[] = {EAGAIN,   EINTR,        ECONNABORTED, EPROTO,
                                  ENETDOWN, EHOSTUNREACH, ENETUNREACH};
    struct transport_request *request;
    int fd;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(passing); i++) {
        fd = come('e', SOCKET_GREETING_BYTES);
        mock_fail_nth("accept4", 1, passing[i]);
        assert_request(wait_for(-1, 1000), 'e');
        mock_succeed("accept4");
        close(fd);
    }
    fd = come('e', SOCKET_GREETING_BYTES);
    mock_fail("accept4", EMFILE);
    assert_int_equal(socket_listener_wait(&listener, &settings, NAME, -1, 1000, &request, &err),
                     -1);
    assert_error(&err, MULTIFD_ERROR_SYSTEM, "accept on " NAME ": Too many open files");
    mock_succeed("accept4");
    mock_fail_nth("malloc", 1, ENOMEM);
    assert_int_equal(socket_listener_wait(&listener, &settings, NAME, -1, 1000, &request, &err),
                     -1);
    assert_error(&err, MULTIFD_ERROR_SYSTEM, "memory");
    close(fd);
}

static void calls_that_are_interrupted(void **state)
{
    int fd = come('i', SOCKET_GREETING_BYTES);

    (void)state;
    mock_fail_nth("poll", 1, EINTR);
    mock_fail_nth("recv", 1, EINTR);
    assert_request(wait_for(-1, 5000), 'i');
    close(fd);
}

static void to_stop_closes_all(void **state)
{
    int fds[2] = {rig_connect_unix(), rig_connect_unix()};

    (void)state;
    assert_int_equal(access(address.path, F_OK), 0);
    assert_null(wait_for(-1, 20));
    assert_int_equal(listener.pending_num, 2);
    socket_listener_fini(&listener, &address);
    assert_int_equal(access(address.path, F_OK), -1); /* and the path is free */
    assert_closed(fds[0]);
    assert_closed(fds[1]);
    assert_int_equal(rig_open_descriptors(), descriptors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_listener(nobody_comes),
        with_listener(a_wake_ends_the_wait),
        with_listener(to_wait_without_limit_is_to_sleep),
        with_listener(a_greeting_at_once),
        with_unix(the_peer_has_no_name_of_its_own),
        with_listener(a_greeting_in_parts),
        with_listener(the_silent_keep_nobody_waiting),
        with_listener(to_wait_for_the_rest_costs_little),
        with_listener(a_deadline_for_each),
        with_listener(those_that_leave_are_forgotten),
        with_listener(rubbish_is_handed_over_empty),
        with_listener(what_is_bare_is_left_unread),
        with_listener(nothing_is_bare_where_none_is),
        with_listener(more_than_may_be_silent_at_once),
        with_listener(what_accepting_may_fail_with),
        with_listener(calls_that_are_interrupted),
        with_unix(to_stop_closes_all),
    };

    return cmocka_run_group_tests_name("transport/socket/listener", tests, NULL, NULL);
}
