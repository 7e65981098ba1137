/* SPDX-License-Identifier: MIT */
#include "core/base/bytes.h"
#include "socket_rig.h"
#include "transport/socket/output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define MESSAGE 100u
#define WRITES  (IOV_MAX + 100u)
#define CHUNK   300u

static struct socket_output output;
static int peer;
static uint8_t memory[WRITES * CHUNK];
static uint8_t got[4 + MESSAGE + sizeof(memory)];
static size_t got_num;

static int make(enum transport_framing framing, int buffer)
{
    const struct transport_profile profile = {
        .send_size = MESSAGE, .writes = WRITES, .framing = framing};
    struct multifd_error err;
    int fds[2];

    rig_socketpair(fds, buffer);
    peer = fds[1];
    got_num = 0;
    for (size_t i = 0; i < sizeof(memory); i++) {
        memory[i] = (uint8_t)(i * 7 + i / 256);
    }
    memset(&output, 0, sizeof(output));
    return socket_output_init(&output, fds[0], &profile, &err);
}

static int make_framed(void **state)
{
    mock_socket_setup(state);
    return make(TRANSPORT_FRAMED, 0);
}

static int make_fixed(void **state)
{
    mock_socket_setup(state);
    return make(TRANSPORT_FIXED, 0);
}

static int make_tiny(void **state)
{
    mock_socket_setup(state);
    return make(TRANSPORT_FIXED, 1);
}

static int release(void **state)
{
    close(output.fd);
    close(peer);
    socket_output_fini(&output);
    assert_null(output.buffer);
    assert_null(output.iov);
    return mock_teardown(state);
}

#define with_framed(function) cmocka_unit_test_setup_teardown(function, make_framed, release)
#define with_fixed(function)  cmocka_unit_test_setup_teardown(function, make_fixed, release)
#define with_tiny(function)   cmocka_unit_test_setup_teardown(function, make_tiny, release)

static void compose(void)
{
    uint8_t *buffer = socket_output_buffer(&output);

    assert_non_null(buffer);
    memset(buffer, 'm', MESSAGE);
}

/* Each chunk of memory is a write of its own. */
static void send_chunks(uint32_t writes_num, uint32_t length)
{
    static struct transport_write writes[WRITES];

    for (uint32_t i = 0; i < writes_num; i++) {
        writes[i] = (struct transport_write){
            .local_address = (uintptr_t)(memory + i * (size_t)CHUNK), .length = CHUNK};
    }
    socket_output_send(&output, writes, writes_num, length);
}

static void receive(void)
{
    ssize_t num;

    while ((num = read(peer, got + got_num, sizeof(got) - got_num)) > 0) {
        got_num += (size_t)num;
    }
}

/* Until all of it is there; returns how often there was no room. */
static unsigned receive_all(void)
{
    unsigned waits = 0;

    receive();
    while (!socket_output_is_idle(&output) && waits < 10000) {
        assert_null(socket_output_buffer(&output)); /* nothing else may be composed meanwhile */
        waits++;
        socket_output_flush(&output);
        receive();
    }
    assert_true(socket_output_is_idle(&output));
    return waits;
}

static void assert_received(size_t prefix, uint32_t writes_num)
{
    assert_int_equal(got_num, prefix + MESSAGE + writes_num * (size_t)CHUNK);
    for (size_t i = 0; i < MESSAGE; i++) {
        assert_int_equal(got[prefix + i], 'm');
    }
    assert_memory_equal(got + prefix + MESSAGE, memory, writes_num * (size_t)CHUNK);
}

static void a_framed_message(void **state)
{
    (void)state;
    compose();
    send_chunks(0, MESSAGE);
    assert_true(socket_output_is_idle(&output));
    receive();
    assert_received(4, 0);
    assert_int_equal(get_be32(got), MESSAGE);
    compose();
    send_chunks(0, 12); /* shorter than it may be */
    receive();
    assert_int_equal(got_num, 4 + MESSAGE + 4 + 12);
    assert_int_equal(get_be32(got + 4 + MESSAGE), 12);
}

static void a_fixed_message_and_what_follows(void **state)
{
    (void)state;
    compose();
    send_chunks(3, MESSAGE);
    assert_true(socket_output_is_idle(&output));
    assert_int_equal(mock_socket.sends, 1); /* all in one call */
    receive();
    assert_received(0, 3);
}

static void more_writes_than_one_call_takes(void **state)
{
    (void)state;
    compose();
    send_chunks(WRITES, MESSAGE);
    receive_all();
    assert_received(0, WRITES);
}

static void little_by_little(void **state)
{
    (void)state;
    compose();
    send_chunks(100, MESSAGE);
    assert_true(receive_all() > 2);
    assert_non_null(socket_output_buffer(&output));
    assert_received(0, 100);
}

static void byte_by_byte(void **state)
{
    (void)state;
    mock_socket.most = 1;
    compose();
    mock_fail_nth("sendmsg", 5, EINTR);
    mock_fail_nth("sendmsg", 8, EAGAIN);
    send_chunks(2, MESSAGE);
    receive_all();
    assert_received(4, 2);
}

/* Whatever one call takes, also when it ends where a buffer does. */
static void each_size_of_a_part(void **state)
{
    (void)state;
    for (size_t most = 2; most < 2 * CHUNK + MESSAGE; most += 7) {
        mock_socket.most = most;
        compose();
        send_chunks(5, MESSAGE);
        got_num = 0;
        receive_all();
        assert_received(0, 5);
    }
}

static void the_memory_may_change_once_it_is_idle(void **state)
{
    uint8_t first = memory[0];

    (void)state;
    compose();
    send_chunks(1, MESSAGE);
    assert_true(socket_output_is_idle(&output));
    memory[0] ^= 0xff;
    receive();
    assert_int_equal(got[MESSAGE], first);
}

/* The receiving half tells; what is sent meanwhile goes nowhere. */
static void a_peer_that_has_gone_is_no_failure_here(void **state)
{
    (void)state;
    close(peer);
    for (int i = 0; i < 3; i++) {
        compose();
        send_chunks(2, MESSAGE);
        assert_true(socket_output_is_idle(&output));
        assert_int_equal(output.errnum, EPIPE);
    }
    peer = dup(output.fd);
}

static void the_first_cause_stays(void **state)
{
    uint8_t byte;

    (void)state;
    mock_fail_nth("sendmsg", 1, ETIMEDOUT);
    rig_write(peer, "last words", 10);
    for (int i = 0; i < 3; i++) {
        compose();
        send_chunks(2, MESSAGE);
        assert_true(socket_output_is_idle(&output));
        assert_int_equal(output.errnum, ETIMEDOUT);
    }
    for (int i = 0; i < 10; i++) { /* what had come can still be read, and then the end */
        assert_int_equal(recv(output.fd, &byte, 1, 0), 1);
    }
    assert_int_equal(recv(output.fd, &byte, 1, 0), 0);
    assert_int_equal(recv(peer, &byte, 1, 0), 0); /* and the peer learns of it */
}

/* The rest of a message must not follow when the kernel has memory again. */
static void a_message_is_not_cut(void **state)
{
    (void)state;
    compose();
    mock_socket.most = 50;
    mock_fail_nth("sendmsg", 2, ENOBUFS);
    send_chunks(0, MESSAGE);
    assert_true(socket_output_is_idle(&output));
    compose();
    send_chunks(0, MESSAGE);
    receive();
    assert_int_equal(got_num, 50);
    assert_int_equal(output.errnum, ENOBUFS);
}

static void no_memory(void **state)
{
    const struct transport_profile profile = {.send_size = MESSAGE, .writes = 1};
    struct socket_output none = {.fd = -1};
    struct multifd_error err;

    (void)state;
    for (unsigned nth = 1; nth <= 2; nth++) {
        mock_fail_nth("malloc", nth, ENOMEM);
        assert_int_equal(socket_output_init(&none, -1, &profile, &err), -1);
        mock_succeed("malloc");
        assert_error(&err, MULTIFD_ERROR_SYSTEM, "memory");
        assert_null(none.buffer);
        assert_null(none.iov);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_framed(a_framed_message),
        with_fixed(a_fixed_message_and_what_follows),
        with_fixed(more_writes_than_one_call_takes),
        with_tiny(little_by_little),
        with_framed(byte_by_byte),
        with_fixed(each_size_of_a_part),
        with_fixed(the_memory_may_change_once_it_is_idle),
        with_fixed(a_peer_that_has_gone_is_no_failure_here),
        with_fixed(the_first_cause_stays),
        with_fixed(a_message_is_not_cut),
        socket_test(no_memory),
    };

    return cmocka_run_group_tests_name("transport/socket/output", tests, NULL, NULL);
}
