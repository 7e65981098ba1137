/* SPDX-License-Identifier: MIT */
/* The other half of connection: listening and accepting. */
#include "socket_rig.h"
#include "transport/socket/connection.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static struct multifd_error err;

static int try_listen(const struct transport_address *address, uint16_t *port)
{
    err = (struct multifd_error)ERROR_UNTOUCHED;
    return socket_listen(address, NAME, 7, port, &err);
}

static int listen_at(const char *text, uint16_t *port)
{
    const struct transport_address address = rig_address(text);
    int fd = try_listen(&address, port);

    assert_true(fd >= 0);
    assert_untouched(&err);
    assert_int_equal(mock_socket.backlog, 7);
    return fd;
}

static void assert_refused(const struct transport_address *address, int errnum)
{
    unsigned before = rig_open_descriptors();
    uint16_t port = 77;

    assert_int_equal(try_listen(address, &port), -1);
    assert_error(&err, MULTIFD_ERROR_ADDRESS, "cannot listen on " NAME ": ");
    assert_error(&err, MULTIFD_ERROR_ADDRESS, strerror(errnum));
    assert_int_equal(port, 0);
    assert_int_equal(rig_open_descriptors(), before);
}

/* A peer comes in from a host, and its name says so. */
static void assert_comes_in(int listener, const char *host, uint16_t port, const char *named)
{
    char text[64];
    char name[SOCKET_NAME_MAX] = "";
    struct transport_address address;
    int peer;
    int fd;

    snprintf(text, sizeof(text), "tcp:%s:%u", host, port);
    address = rig_address(text);
    peer = socket_connect(&address, NAME, rig_soon(5000), -1, &err);
    assert_true(peer >= 0);
    fd = socket_accept(listener, name);
    assert_true(fd >= 0);
    assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    assert_true((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    assert_int_equal(strncmp(name, named, strlen(named)), 0);
    close(fd);
    close(peer);
}

static void ipv4(void **state)
{
    uint16_t port;
    int fd = listen_at("tcp:127.0.0.1:0", &port);
    char name[SOCKET_NAME_MAX] = "as it was";

    (void)state;
    assert_true(port != 0);
    assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    assert_int_equal(socket_accept(fd, name), -1);
    assert_int_equal(errno, EAGAIN);
    assert_string_equal(name, "as it was");
    assert_comes_in(fd, "127.0.0.1", port, "127.0.0.1:");
    close(fd);
}

static void ipv6(void **state)
{
    uint16_t port;
    int fd = listen_at("tcp:[::1]:0", &port);

    (void)state;
    assert_comes_in(fd, "[::1]", port, "[::1]:");
    close(fd);
}

static void any_address(void **state)
{
    uint16_t port;
    int fd = listen_at("tcp::0", &port);

    (void)state;
    assert_comes_in(fd, "127.0.0.1", port, "[::ffff:127.0.0.1]:");
    assert_comes_in(fd, "[::1]", port, "[::1]:");
    close(fd);
}

static void any_address_where_there_is_no_ipv6(void **state)
{
    uint16_t port;
    int fd;

    (void)state;
    mock_fail_nth("socket", 1, EAFNOSUPPORT);
    fd = listen_at("tcp::0", &port);
    assert_comes_in(fd, "127.0.0.1", port, "127.0.0.1:");
    close(fd);
}

/* But the connections of the one before may linger. */
static void a_port_has_one_listener(void **state)
{
    uint16_t port;
    int fd = listen_at("tcp:127.0.0.1:0", &port);
    char text[32];
    struct transport_address address;
    int peer = rig_connect_tcp(port);
    int accepted = accept(fd, NULL, NULL);

    (void)state;
    snprintf(text, sizeof(text), "tcp:127.0.0.1:%u", port);
    address = rig_address(text);
    assert_refused(&address, EADDRINUSE);
    close(accepted); /* first: this side's end of it stays in TIME_WAIT */
    close(fd);
    close(peer);
    close(listen_at(text, &port));
}

static void what_may_fail(void **state)
{
    const struct transport_address tcp = rig_address("tcp:127.0.0.1:0");
    const struct transport_address foreign = rig_address("tcp:192.0.2.1:0");
    const struct transport_address unknown = rig_address("tcp:nowhere:0");
    uint16_t port = 77;

    (void)state;
    assert_refused(&foreign, EADDRNOTAVAIL);
    mock_fail("socket", EMFILE);
    assert_refused(&tcp, EMFILE);
    mock_succeed("socket");
    mock_fail("listen", EOPNOTSUPP);
    assert_refused(&tcp, EOPNOTSUPP);
    mock_fail("getaddrinfo", EAI_NONAME);
    assert_int_equal(try_listen(&unknown, &port), -1);
    assert_error(&err, MULTIFD_ERROR_ADDRESS, NAME ": Name or service not known");
}

static void a_unix_socket(void **state)
{
    const struct transport_address address = rig_unix_address();
    char name[SOCKET_NAME_MAX] = "as it was";
    uint16_t port = 77;
    int listener = try_listen(&address, &port);
    int peer = rig_connect_unix();
    int fd = socket_accept(listener, name);

    (void)state;
    assert_true(fd >= 0);
    assert_string_equal(name, "as it was"); /* it has none of its own */
    assert_int_equal(port, 0);
    close(fd);
    close(peer);
    close(listener);
    unlink(address.path);
}

static void a_socket_left_over_is_taken_over(void **state)
{
    const struct transport_address address = rig_unix_address();
    uint16_t port;
    unsigned before = rig_open_descriptors();

    (void)state;
    close(try_listen(&address, &port)); /* its file stays */
    assert_int_equal(access(address.path, F_OK), 0);
    for (int i = 0; i < 2; i++) {
        int listener = try_listen(&address, &port);

        assert_true(listener >= 0);
        close(rig_connect_unix());
        close(listener);
    }
    assert_int_equal(rig_open_descriptors(), before);
    unlink(address.path);
}

static void a_socket_in_use_is_not(void **state)
{
    const struct transport_address address = rig_unix_address();
    uint16_t port;
    int listener = try_listen(&address, &port);

    (void)state;
    assert_refused(&address, EADDRINUSE);
    close(rig_connect_unix());           /* still there */
    mock_fail_nth("connect", 1, EAGAIN); /* nor while its queue is full */
    assert_refused(&address, EADDRINUSE);
    mock_fail_nth("socket", 2, EMFILE); /* it cannot be told, so it is left alone */
    assert_refused(&address, EADDRINUSE);
    close(rig_connect_unix());
    close(listener);
    unlink(address.path);
}

/* Not ours to remove. */
static void a_file_is_left_alone(void **state)
{
    const struct transport_address address = rig_unix_address();
    int file = open(address.path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    struct stat status;

    (void)state;
    rig_write(file, "mine", 4);
    close(file);
    assert_refused(&address, EADDRINUSE);
    assert_int_equal(stat(address.path, &status), 0);
    assert_int_equal(status.st_size, 4);
    unlink(address.path);
    assert_int_equal(mkdir(address.path, 0700), 0);
    assert_refused(&address, EADDRINUSE);
    assert_int_equal(rmdir(address.path), 0);
}

static void a_folder_that_is_missing(void **state)
{
    const struct transport_address address = rig_address("unix:/tmp/no such folder/socket");

    (void)state;
    assert_refused(&address, ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        socket_test(ipv4),
        socket_test(ipv6),
        socket_test(any_address),
        socket_test(any_address_where_there_is_no_ipv6),
        socket_test(a_port_has_one_listener),
        socket_test(what_may_fail),
        socket_test(a_unix_socket),
        socket_test(a_socket_left_over_is_taken_over),
        socket_test(a_socket_in_use_is_not),
        socket_test(a_file_is_left_alone),
        socket_test(a_folder_that_is_missing),
    };

    return cmocka_run_group_tests_name("transport/socket/connection", tests, NULL, NULL);
}
