/* SPDX-License-Identifier: MIT */
/* Connecting and waiting; see test_socket_listening.c for the other side. */
#include "socket_rig.h"
#include "transport/socket/connection.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

static int listen_at(const char *text, uint32_t backlog, uint16_t *port)
{
    const struct transport_address address = rig_address(text);
    struct multifd_error err = ERROR_UNTOUCHED;
    int fd = socket_listen(&address, NAME, backlog, port, &err);

    assert_true(fd >= 0);
    assert_untouched(&err);
    return fd;
}

static struct transport_address at_port(const char *host, uint16_t port)
{
    char text[64];

    snprintf(text, sizeof(text), "tcp:%s:%u", host, port);
    return rig_address(text);
}

static int reach(const struct transport_address *address)
{
    struct multifd_error err = ERROR_UNTOUCHED;
    int fd = socket_connect(address, NAME, rig_soon(5000), -1, &err);

    assert_true(fd >= 0);
    return fd;
}

static void assert_unreachable(const struct transport_address *address, int ms, int wake_fd,
                               enum multifd_error_code code, const char *part)
{
    struct multifd_error err = ERROR_UNTOUCHED;
    unsigned before = rig_open_descriptors();

    assert_int_equal(socket_connect(address, NAME, rig_soon(ms), wake_fd, &err), -1);
    assert_error(&err, code, part);
    assert_int_equal(rig_open_descriptors(), before);
}

static void names(void **state)
{
    static char path[TRANSPORT_PATH_MAX + 6] = "unix:";
    struct transport_address address = rig_address("tcp:somewhere:4444");
    char name[SOCKET_NAME_MAX];

    (void)state;
    socket_name(&address, name);
    assert_string_equal(name, "somewhere:4444");
    address = rig_address("tcp:[fe80::1]:4444");
    socket_name(&address, name);
    assert_string_equal(name, "[fe80::1]:4444");
    memset(path + 5, 'p', TRANSPORT_PATH_MAX);
    address = rig_address(path);
    socket_name(&address, name);
    assert_string_equal(name, path + 5);
    memset(address.host, 'h', TRANSPORT_HOST_MAX);
    address.host[TRANSPORT_HOST_MAX] = '\0';
    address.kind = TRANSPORT_TCP;
    strcpy(address.port, "65535");
    socket_name(&address, name);
    assert_int_equal(strlen(name), 64 + strlen(":65535"));
}

static void a_connection_of_each_kind(void **state)
{
    static const char *const hosts[] = {"127.0.0.1", "[::1]"};
    uint16_t port;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(hosts); i++) {
        char text[32];
        struct transport_address address;
        int listener;
        int fd;

        snprintf(text, sizeof(text), "tcp:%s:0", hosts[i]);
        listener = listen_at(text, 1, &port);
        address = at_port(hosts[i], port);
        fd = reach(&address);
        assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
        assert_true((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
        close(fd);
        close(listener);
    }
}

static void nobody_listens(void **state)
{
    uint16_t port;
    int listener = listen_at("tcp:127.0.0.1:0", 1, &port);
    struct transport_address address = at_port("127.0.0.1", port);

    (void)state;
    close(listener);
    assert_unreachable(&address, 5000, -1, MULTIFD_ERROR_CONNECT, "nobody listens at " NAME);
    address = rig_unix_address();
    assert_unreachable(&address, 5000, -1, MULTIFD_ERROR_CONNECT, "cannot reach " NAME ": No such");
}

static void no_such_host(void **state)
{
    const struct transport_address address = rig_address("tcp:nowhere:1");

    (void)state;
    mock_fail("getaddrinfo", EAI_NONAME);
    assert_unreachable(&address, 5000, -1, MULTIFD_ERROR_ADDRESS, gai_strerror(EAI_NONAME));
}

static void no_descriptor(void **state)
{
    const struct transport_address address = rig_address("tcp:127.0.0.1:1");

    (void)state;
    mock_fail("socket", EMFILE);
    assert_unreachable(&address, 5000, -1, MULTIFD_ERROR_SYSTEM, "socket: ");
}

/* The host's first address has no listener; the second one has. */
static void each_address_is_tried(void **state)
{
    uint16_t port;
    int listener = listen_at("tcp:127.0.0.1:0", 1, &port);
    struct sockaddr_in6 other = {
        .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr_in own = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct addrinfo second = {.ai_addr = (struct sockaddr *)&own, .ai_addrlen = sizeof(own)};
    struct addrinfo first = {
        .ai_addr = (struct sockaddr *)&other, .ai_addrlen = sizeof(other), .ai_next = &second};
    const struct transport_address address = at_port("somewhere", port);
    unsigned before = rig_open_descriptors();

    (void)state;
    mock_socket.found = &first;
    close(reach(&address));
    second.ai_next = &first; /* the first that answers, not the last */
    first.ai_next = NULL;
    mock_socket.found = &second;
    close(reach(&address));
    assert_int_equal(rig_open_descriptors(), before);
    close(listener);
    assert_unreachable(&address, 5000, -1, MULTIFD_ERROR_CONNECT, "nobody listens");
    mock_socket.found = NULL;
}

/* A listener whose queue is full does not answer, as a host that is not there. */
static void the_deadline_ends_it(void **state)
{
    uint16_t port;
    int listener = listen_at("tcp:127.0.0.1:0", 0, &port);
    const struct transport_address address = at_port("127.0.0.1", port);
    int first = reach(&address);
    uint64_t before = clock_now_ns();

    (void)state;
    assert_unreachable(&address, 50, -1, MULTIFD_ERROR_TIMEOUT, NAME " did not answer in time");
    assert_true(clock_now_ns() - before >= 50 * NS_PER_MS);
    close(first);
    close(listener);
}

static void a_wake_ends_it(void **state)
{
    uint16_t port;
    int listener = listen_at("tcp:127.0.0.1:0", 0, &port);
    const struct transport_address address = at_port("127.0.0.1", port);
    int first = reach(&address);
    int wake_fd = eventfd(1, 0);
    uint64_t before = clock_now_ns();

    (void)state;
    assert_unreachable(&address, 10000, wake_fd, MULTIFD_ERROR_TIMEOUT, "did not answer");
    assert_true(clock_now_ns() - before < 5000 * NS_PER_MS);
    close(wake_fd);
    close(first);
    close(listener);
}

/* A unix socket's connect fails at once where TCP would keep trying. */
static void a_full_unix_listener_is_tried_again(void **state)
{
    const struct transport_address address = rig_unix_address();
    struct multifd_error err;
    uint16_t port;
    int listener = socket_listen(&address, NAME, 0, &port, &err);
    int wake_fd = eventfd(1, 0);
    int first;

    (void)state;
    assert_true(listener >= 0);
    first = reach(&address);
    assert_unreachable(&address, 50, -1, MULTIFD_ERROR_CONNECT, "cannot reach " NAME);
    assert_unreachable(&address, 10000, wake_fd, MULTIFD_ERROR_CONNECT, "cannot reach " NAME);
    mock_fail_nth("connect", 1, EAGAIN);
    mock_fail_nth("connect", 1, EAGAIN); /* and the next one */
    close(accept(listener, NULL, NULL));
    close(reach(&address));
    close(first);
    close(wake_fd);
    close(listener);
    unlink(address.path);
}

/* ---- Waiting ---- */

static void waiting(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;
    int fds[2];
    int wake_fd = eventfd(0, 0);
    uint64_t before = clock_now_ns();

    (void)state;
    rig_socketpair(fds, 0);
    assert_int_equal(socket_wait(fds[0], POLLOUT, NAME, rig_soon(5000), wake_fd, &err), 0);
    assert_untouched(&err);
    assert_int_equal(socket_wait(fds[0], POLLIN, NAME, rig_soon(30), wake_fd, &err), -1);
    assert_error(&err, MULTIFD_ERROR_TIMEOUT, NAME " did not answer in time");
    assert_true(clock_now_ns() - before >= 30 * NS_PER_MS);
    assert_int_equal(eventfd_write(wake_fd, 1), 0);
    assert_int_equal(socket_wait(fds[0], POLLIN, NAME, rig_soon(60000), wake_fd, &err), -1);
    assert_error(&err, MULTIFD_ERROR_TIMEOUT, NAME);
    rig_write(fds[1], "x", 1);
    mock_fail_nth("poll", 1, EINTR);
    assert_int_equal(socket_wait(fds[0], POLLIN, NAME, rig_soon(60000), -1, &err), 0);
    mock_fail("poll", ENOMEM);
    assert_int_equal(socket_wait(fds[0], POLLIN, NAME, rig_soon(60000), -1, &err), -1);
    assert_error(&err, MULTIFD_ERROR_SYSTEM, "poll: ");
    close(fds[0]);
    close(fds[1]);
    close(wake_fd);
}

static void how_a_connection_ends(void **state)
{
    static const struct {
        int errnum;
        enum multifd_error_code code;
        const char *part;
    } ends[] = {
        {0, MULTIFD_ERROR_DISCONNECTED, NAME " closed the connection"},
        {EPIPE, MULTIFD_ERROR_DISCONNECTED, NAME " closed the connection"},
        {ECONNRESET, MULTIFD_ERROR_DISCONNECTED, NAME " closed the connection"},
        {ETIMEDOUT, MULTIFD_ERROR_TIMEOUT, NAME " did not answer in time"},
        {EHOSTUNREACH, MULTIFD_ERROR_DISCONNECTED, "the connection to " NAME " broke: No route"},
    };
    struct multifd_error err;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        assert_int_equal(socket_ended(ends[i].errnum, NAME, &err), -1);
        assert_error(&err, ends[i].code, ends[i].part);
    }
}

static void all_bytes_are_sent_and_received(void **state)
{
    const char sent[] = "not all at once";
    char got[sizeof(sent)] = "";
    struct multifd_error err = ERROR_UNTOUCHED;
    int fds[2];

    (void)state;
    rig_socketpair(fds, 0);
    mock_socket.most = 5; /* a single byte is left at the end */
    mock_fail_nth("send", 2, EINTR);
    mock_fail_nth("send", 1, EAGAIN);
    mock_fail_nth("recv", 1, EINTR);
    mock_fail_nth("recv", 2, EAGAIN);
    assert_int_equal(socket_send_all(fds[0], sent, sizeof(sent), NAME, rig_soon(5000), -1, &err),
                     0);
    assert_int_equal(socket_receive_all(fds[1], got, sizeof(got), NAME, rig_soon(5000), -1, &err),
                     0);
    assert_string_equal(got, sent);
    assert_untouched(&err);
    close(fds[0]);
    close(fds[1]);
}

static void neither_goes_on_for_ever(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;
    uint8_t bytes[8] = {0};
    int fds[2];

    (void)state;
    rig_socketpair(fds, 4096);
    rig_fill_up(fds[0]);
    assert_int_equal(socket_send_all(fds[0], bytes, 8, NAME, rig_soon(20), -1, &err), -1);
    assert_error(&err, MULTIFD_ERROR_TIMEOUT, NAME);
    rig_write(fds[1], bytes, 7);
    assert_int_equal(socket_receive_all(fds[0], bytes, 8, NAME, rig_soon(20), -1, &err), -1);
    assert_error(&err, MULTIFD_ERROR_TIMEOUT, NAME);
    rig_write(fds[1], bytes, 7);
    shutdown(fds[1], SHUT_WR);
    assert_int_equal(socket_receive_all(fds[0], bytes, 8, NAME, rig_soon(20), -1, &err), -1);
    assert_error(&err, MULTIFD_ERROR_DISCONNECTED, NAME " closed the connection");
    close(fds[1]);
    assert_int_equal(socket_send_all(fds[0], bytes, 8, NAME, rig_soon(20), -1, &err), -1);
    assert_error(&err, MULTIFD_ERROR_DISCONNECTED, NAME " closed the connection");
    mock_fail("recv", EHOSTUNREACH);
    assert_int_equal(socket_receive_all(fds[0], bytes, 8, NAME, rig_soon(20), -1, &err), -1);
    assert_error(&err, MULTIFD_ERROR_DISCONNECTED, "No route");
    close(fds[0]);
}

static int option(int fd, int level, int name)
{
    socklen_t length = sizeof(int);
    int value = -1;

    assert_int_equal(getsockopt(fd, level, name, &value, &length), 0);
    return value;
}

static void what_is_set(void **state)
{
    static const struct {
        uint32_t timeout_ms;
        int every_s;
    } limits[] = {{1000, 1}, {3999, 1}, {4000, 1}, {10000, 2}, {60000, 15}};
    int fds[2];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(limits); i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);

        socket_tune(fd, limits[i].timeout_ms);
        assert_int_equal(option(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
        assert_int_equal(option(fd, IPPROTO_TCP, TCP_NODELAY), 1);
        assert_int_equal(option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), limits[i].timeout_ms);
        assert_int_equal(option(fd, IPPROTO_TCP, TCP_KEEPIDLE), limits[i].every_s);
        assert_int_equal(option(fd, IPPROTO_TCP, TCP_KEEPINTVL), limits[i].every_s);
        assert_int_equal(option(fd, IPPROTO_TCP, TCP_KEEPCNT), 3);
        close(fd);
    }
    rig_socketpair(fds, 0);
    socket_tune(fds[0], 1000); /* no failure of anybody's */
    close(fds[0]);
    close(fds[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        socket_test(names),
        socket_test(a_connection_of_each_kind),
        socket_test(nobody_listens),
        socket_test(no_such_host),
        socket_test(no_descriptor),
        socket_test(each_address_is_tried),
        socket_test(the_deadline_ends_it),
        socket_test(a_wake_ends_it),
        socket_test(a_full_unix_listener_is_tried_again),
        socket_test(waiting),
        socket_test(how_a_connection_ends),
        socket_test(all_bytes_are_sent_and_received),
        socket_test(neither_goes_on_for_ever),
        socket_test(what_is_set),
    };

    return cmocka_run_group_tests_name("transport/socket/connection", tests, NULL, NULL);
}
