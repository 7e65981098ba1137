/* SPDX-License-Identifier: MIT */
#include "core/base/bytes.h"
#include "socket_rig.h"
#include "transport/socket/channel.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define MESSAGE 64u

static const struct transport_profile framed = {.send_size = MESSAGE, .receive_size = MESSAGE};
static const struct transport_profile fixed = {
    .send_size = MESSAGE, .receive_size = MESSAGE, .writes = 4, .framing = TRANSPORT_FIXED};

static struct transport_channel *channel;
static const struct transport_channel_ops *ops;
static int own; /* the channel's descriptor */
static int peer;
static uint8_t memory[4][1 << 16];
static struct multifd_error err;
static unsigned descriptors;

static void open_channel(const struct transport_profile *profile, const int fds[2])
{
    own = fds[0];
    peer = fds[1];
    err = (struct multifd_error)ERROR_UNTOUCHED;
    channel = socket_channel_new(own, NAME, profile, &err);
    assert_non_null(channel);
    ops = channel->ops;
}

static int make(void **state, const struct transport_profile *profile)
{
    int fds[2];

    mock_socket_setup(state);
    descriptors = rig_open_descriptors();
    rig_socketpair(fds, 0);
    open_channel(profile, fds);
    return 0;
}

static int make_framed(void **state)
{
    return make(state, &framed);
}

static int make_fixed(void **state)
{
    return make(state, &fixed);
}

/* Two ends of a TCP connection: what the kernel still has can be told there. */
static int make_tcp(void **state)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    int fds[2];

    mock_socket_setup(state);
    descriptors = rig_open_descriptors() - 1;
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);
    fds[1] = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fds[1], (struct sockaddr *)&address, length), 0);
    fds[0] = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    close(listener);
    open_channel(&framed, fds);
    return 0;
}

static int release(void **state)
{
    if (channel != NULL) {
        ops->free(channel);
    }
    close(peer);
    assert_int_equal(rig_open_descriptors(), descriptors);
    return mock_teardown(state);
}

#define with_framed(function) cmocka_unit_test_setup_teardown(function, make_framed, release)
#define with_fixed(function)  cmocka_unit_test_setup_teardown(function, make_fixed, release)
#define with_tcp(function)    cmocka_unit_test_setup_teardown(function, make_tcp, release)

static short events(void)
{
    struct pollfd fds[TRANSPORT_POLLFDS];

    assert_int_equal(ops->arm(channel, true, &err), 0);
    assert_int_equal(ops->pollfds(channel, fds), 1);
    assert_int_equal(ops->wake(channel, fds, &err), 0);
    assert_int_equal(fds[0].fd, fds[0].events == 0 ? -1 : own);
    return fds[0].events;
}

static void send_message(const char *text, uint32_t writes_num)
{
    struct transport_write writes[4];
    uint8_t *buffer = ops->send_buffer(channel, writes_num);

    assert_non_null(buffer);
    memset(buffer, 0, MESSAGE);
    strcpy((char *)buffer, text);
    for (uint32_t i = 0; i < writes_num; i++) {
        writes[i] = (struct transport_write){.local_address = (uintptr_t)memory[i],
                                             .length = sizeof(memory[i])};
    }
    assert_int_equal(ops->send(channel, writes, writes_num, MESSAGE, false, &err), 0);
    assert_untouched(&err);
}

static void say(const char *text)
{
    uint8_t bytes[MESSAGE] = {0};

    strcpy((char *)bytes, text);
    rig_write(peer, bytes, sizeof(bytes));
}

static void hear(const char *text)
{
    struct transport_message message;

    assert_int_equal(ops->progress(channel, &err), 0);
    assert_true(ops->receive(channel, &message));
    assert_int_equal(message.length, MESSAGE);
    assert_string_equal((const char *)message.bytes, text);
}

static size_t empty_the_peer(void)
{
    static uint8_t bytes[1 << 16];
    size_t all = 0;
    ssize_t got;

    while ((got = recv(peer, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0) {
        all += (size_t)got;
    }
    return all;
}

static void what_wakes(void **state)
{
    struct iovec part = {memory[0], 8};
    struct iovec *iov = &part;
    uint32_t num = 1;

    (void)state;
    assert_int_equal(events(), POLLIN);
    say("one");
    assert_int_equal(events(), POLLIN); /* it has not been looked at */
    hear("one");
    assert_int_equal(events(), 0); /* not while a message is in hand */
    assert_int_equal(ops->read(channel, &iov, &num, &err), 0);
    assert_int_equal(events(), POLLIN); /* but for what follows it */
    rig_write(peer, "followed", 8);
    assert_int_equal(ops->read(channel, &iov, &num, &err), 0);
    assert_int_equal(num, 0);
    assert_int_equal(events(), 0);
    assert_int_equal(ops->release(channel, &err), 0);
    assert_int_equal(events(), POLLIN);
    while (ops->drained(channel)) {
        send_message("many bytes", 4);
    }
    assert_int_equal(events(), POLLIN | POLLOUT);
    say("two");
    hear("two");
    assert_int_equal(events(), POLLOUT);
}

/* poll(2) reports a peer's end whatever it is asked for; nothing would take it here. */
static void a_closed_peer_does_not_wake_who_has_a_message_in_hand(void **state)
{
    (void)state;
    say("last");
    close(peer);
    hear("last");
    assert_int_equal(events(), 0);
    assert_int_equal(ops->release(channel, &err), -1);
    assert_error(&err, MULTIFD_ERROR_DISCONNECTED, NAME " closed the connection");
    peer = dup(own);
}

static void one_message_at_a_time(void **state)
{
    size_t all = 0;

    (void)state;
    assert_true(ops->drained(channel));
    while (ops->drained(channel)) {
        send_message("many bytes", 4);
        all += MESSAGE + sizeof(memory);
    }
    assert_null(ops->send_buffer(channel, 0));
    assert_false(ops->lacks_credit(channel));
    assert_false(ops->delivered(channel));
    while (!ops->drained(channel)) {
        all -= empty_the_peer();
        assert_int_equal(ops->progress(channel, &err), 0);
    }
    assert_non_null(ops->send_buffer(channel, 4));
    assert_false(ops->delivered(channel)); /* a unix socket's peer has not read it */
    assert_int_equal(all - empty_the_peer(), 0);
    assert_true(ops->delivered(channel));
}

static void delivered_is_more_than_drained(void **state)
{
    int unread = 4096;

    (void)state;
    assert_true(ops->delivered(channel));
    assert_int_equal(setsockopt(peer, SOL_SOCKET, SO_RCVBUF, &unread, sizeof(unread)), 0);
    do {
        send_message("more than the peer has room for", 0);
        usleep(100);
    } while (ops->delivered(channel));
    assert_true(ops->drained(channel)); /* the kernel has it */
    for (int i = 0; i < 1000 && !ops->delivered(channel); i++) {
        empty_the_peer();
        usleep(1000);
    }
    assert_true(ops->delivered(channel));
    mock_fail_nth("ioctl", 1, EINVAL);
    assert_false(ops->delivered(channel));
}

static void messages_one_after_the_other(void **state)
{
    struct transport_message message;

    (void)state;
    say("one");
    say("two");
    hear("one");
    assert_int_equal(ops->release(channel, &err), 0);
    assert_true(ops->receive(channel, &message)); /* release has looked already */
    assert_string_equal((const char *)message.bytes, "two");
    assert_int_equal(ops->release(channel, &err), 0);
    assert_false(ops->receive(channel, &message));
    assert_int_equal(ops->keepalive(channel, &err), 0);
    assert_untouched(&err);
}

static void an_impossible_length(void **state)
{
    uint8_t frame[4];

    (void)state;
    put_be32(frame, MESSAGE + 1);
    rig_write(peer, frame, 4);
    assert_int_equal(ops->progress(channel, &err), -1);
    assert_error(&err, MULTIFD_ERROR_PROTOCOL, NAME " sent a message of an impossible length");
}

static void the_peer_ends_what_is_read(void **state)
{
    struct iovec part = {memory[0], 8};
    struct iovec *iov = &part;
    uint32_t num = 1;

    (void)state;
    say("one");
    hear("one");
    rig_write(peer, "cut", 3);
    shutdown(peer, SHUT_WR);
    assert_int_equal(ops->read(channel, &iov, &num, &err), -1);
    assert_error(&err, MULTIFD_ERROR_DISCONNECTED, NAME " closed the connection");
}

/* Its last words can still be read, and then comes why sending has failed. */
static void why_sending_failed(void **state)
{
    static const struct {
        int errnum;
        enum multifd_error_code code;
        const char *part;
    } causes[] = {
        {ETIMEDOUT, MULTIFD_ERROR_TIMEOUT, NAME " did not answer in time"},
        {ENOBUFS, MULTIFD_ERROR_DISCONNECTED, "the connection to " NAME " broke: No buffer space"},
        {EPIPE, MULTIFD_ERROR_DISCONNECTED, NAME " closed the connection"},
    };

    for (size_t i = 0; i < COUNT_OF(causes); i++) {
        if (i != 0) {
            assert_int_equal(release(state), 0);
            assert_int_equal(make_fixed(state), 0);
        }
        say("last words");
        mock_fail_nth("sendmsg", 1, causes[i].errnum);
        send_message("unheard", 2);
        send_message("unheard too", 2);
        assert_true(ops->drained(channel));
        hear("last words");
        assert_int_equal(ops->release(channel, &err), -1);
        assert_error(&err, causes[i].code, causes[i].part);
        assert_int_equal(ops->progress(channel, &err), -1);
        assert_error(&err, causes[i].code, causes[i].part);
    }
}

/* To close a connection with unread bytes breaks it, and what was sent is lost with it. */
static void last_words_arrive(void **state)
{
    static const uint8_t unread[100000];
    uint8_t bytes[4 + MESSAGE];

    (void)state;
    rig_write(peer, unread, sizeof(unread));
    send_message("last words", 0);
    ops->free(channel);
    channel = NULL;
    assert_int_equal(recv(peer, bytes, sizeof(bytes), MSG_WAITALL), sizeof(bytes));
    assert_string_equal((const char *)bytes + 4, "last words");
    assert_int_equal(recv(peer, bytes, sizeof(bytes), 0), 0);
}

/* A peer that never stops is not listened to for ever. */
static void what_is_unread_has_a_limit(void **state)
{
    (void)state;
    rig_fill_up(peer);
    mock_socket.recvs = 0;
    mock_socket.most = 16;
    ops->free(channel);
    channel = NULL;
    assert_true(mock_socket.recvs >= 16 && mock_socket.recvs <= 1000);
}

static void no_memory(void **state)
{
    (void)state;
    for (unsigned nth = 1; nth <= 4; nth++) {
        unsigned before = rig_open_descriptors();
        int fds[2];

        rig_socketpair(fds, 0);
        mock_fail_nth("malloc", nth, ENOMEM);
        assert_null(socket_channel_new(fds[0], NAME, &framed, &err));
        mock_succeed("malloc");
        assert_error(&err, MULTIFD_ERROR_SYSTEM, "memory");
        close(fds[1]);
        assert_int_equal(rig_open_descriptors(), before); /* it has closed its own */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_fixed(what_wakes),
        with_fixed(a_closed_peer_does_not_wake_who_has_a_message_in_hand),
        with_fixed(one_message_at_a_time),
        with_tcp(delivered_is_more_than_drained),
        with_fixed(messages_one_after_the_other),
        with_framed(an_impossible_length),
        with_fixed(the_peer_ends_what_is_read),
        with_fixed(why_sending_failed),
        with_framed(last_words_arrive),
        with_tcp(last_words_arrive),
        with_framed(what_is_unread_has_a_limit),
        socket_test(no_memory),
    };

    return cmocka_run_group_tests_name("transport/socket/channel", tests, NULL, NULL);
}
