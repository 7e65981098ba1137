/* SPDX-License-Identifier: MIT */
#include "core/base/bytes.h"
#include "socket_rig.h"
#include "transport/socket/input.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#define LONGEST 40u

static struct socket_input input;
static int peer;

static int make(void **state, enum transport_framing framing)
{
    const struct transport_profile profile = {.receive_size = LONGEST, .framing = framing};
    struct multifd_error err;
    int fds[2];

    mock_socket_setup(state);
    rig_socketpair(fds, 0);
    peer = fds[1];
    memset(&input, 0, sizeof(input));
    return socket_input_init(&input, fds[0], &profile, &err);
}

static int make_framed(void **state)
{
    return make(state, TRANSPORT_FRAMED);
}

static int make_fixed(void **state)
{
    return make(state, TRANSPORT_FIXED);
}

static int make_bare(void **state)
{
    return make(state, TRANSPORT_BARE);
}

static int release(void **state)
{
    close(input.fd);
    close(peer);
    socket_input_fini(&input);
    assert_null(input.buffer);
    return mock_teardown(state);
}

#define with_framed(function) cmocka_unit_test_setup_teardown(function, make_framed, release)
#define with_fixed(function)  cmocka_unit_test_setup_teardown(function, make_fixed, release)
#define with_bare(function)   cmocka_unit_test_setup_teardown(function, make_bare, release)

static void assert_no_message(void)
{
    struct transport_message message = {0};

    assert_int_equal(socket_input_progress(&input), SOCKET_INPUT_FINE);
    assert_false(socket_input_take(&input, &message));
    assert_true(socket_input_is_waiting(&input));
}

static void assert_message(const void *bytes, uint32_t length)
{
    struct transport_message message = {0};

    assert_int_equal(socket_input_progress(&input), SOCKET_INPUT_FINE);
    assert_false(socket_input_is_waiting(&input)); /* one at a time */
    assert_true(socket_input_take(&input, &message));
    assert_int_equal(message.length, length);
    assert_memory_equal(message.bytes, bytes, length);
    assert_false(socket_input_take(&input, &message)); /* once */
    assert_false(socket_input_is_waiting(&input));
}

static void write_framed(const void *bytes, uint32_t length)
{
    uint8_t frame[4 + LONGEST];

    put_be32(frame, length);
    memcpy(frame + 4, bytes, length);
    rig_write(peer, frame, 4 + length);
}

static void messages_in_turn(void **state)
{
    (void)state;
    assert_no_message();
    write_framed("the first", 9);
    write_framed("second", 6);
    assert_message("the first", 9);
    assert_int_equal(socket_input_progress(&input), SOCKET_INPUT_FINE); /* nothing is read */
    socket_input_release(&input);
    assert_true(socket_input_is_waiting(&input));
    assert_message("second", 6);
    socket_input_release(&input);
    assert_no_message();
}

static void byte_by_byte(void **state)
{
    static const char text[] = "one byte, and another one";
    uint8_t frame[4 + sizeof(text)];

    (void)state;
    put_be32(frame, sizeof(text));
    memcpy(frame + 4, text, sizeof(text));
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < sizeof(frame); i++) {
            assert_no_message();
            rig_write(peer, frame + i, 1);
        }
        assert_message(text, sizeof(text));
        socket_input_release(&input);
    }
}

static void calls_that_are_interrupted(void **state)
{
    (void)state;
    write_framed("text", 4);
    mock_socket.most = 3;
    mock_fail_nth("recv", 1, EINTR);
    mock_fail_nth("recv", 2, EAGAIN);
    assert_no_message();
    assert_message("text", 4);
}

static void the_longest_message(void **state)
{
    static const uint8_t longest[LONGEST] = "as long as it may be";

    (void)state;
    write_framed(longest, LONGEST);
    assert_message(longest, LONGEST);
}

static void impossible_lengths(void **state)
{
    static const uint32_t lengths[] = {0, LONGEST + 1, 0x80000000, UINT32_MAX, UINT32_MAX - 3};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        uint8_t frame[4];

        put_be32(frame, lengths[i]);
        rig_write(peer, frame, 4);
        assert_int_equal(socket_input_progress(&input), SOCKET_INPUT_WRONG);
        assert_int_equal(socket_input_progress(&input), SOCKET_INPUT_WRONG);
        socket_input_release(&input);
    }
}

static void fixed_messages_have_one_length(void **state)
{
    static const uint8_t bytes[2 * LONGEST] = "always as long";

    (void)state;
    rig_write(peer, bytes, LONGEST - 1);
    assert_no_message();
    rig_write(peer, bytes + LONGEST - 1, 1);
    rig_write(peer, bytes, 1); /* of the next */
    assert_message(bytes, LONGEST);
    socket_input_release(&input);
    rig_write(peer, bytes + 1, LONGEST - 1);
    assert_message(bytes, LONGEST);
}

static void bare_bytes_come_as_they_are(void **state)
{
    static const uint8_t bytes[LONGEST + 10] = "any bytes";

    (void)state;
    assert_no_message();
    rig_write(peer, bytes, 1);
    assert_message(bytes, 1);
    socket_input_release(&input);
    rig_write(peer, bytes, sizeof(bytes));
    assert_message(bytes, LONGEST);
    socket_input_release(&input);
    assert_message(bytes + LONGEST, 10);
}

/* ---- The end ---- */

static void assert_ends(int errnum)
{
    assert_int_equal(socket_input_progress(&input), SOCKET_INPUT_ENDED);
    assert_int_equal(input.errnum, errnum);
}

static void the_peer_closes_between_messages(void **state)
{
    (void)state;
    write_framed("last", 4);
    shutdown(peer, SHUT_WR);
    assert_message("last", 4); /* what came before the end is still there */
    socket_input_release(&input);
    assert_ends(0);
}

static void the_peer_closes_within_one(void **state)
{
    static const uint8_t frame[] = {0, 0, 0, 4, 'c', 'u', 't', '!'};

    (void)state;
    for (size_t length = 1; length < sizeof(frame); length++) {
        int fds[2];

        rig_socketpair(fds, 0);
        input.fd = dup2(fds[0], input.fd);
        rig_write(fds[1], frame, length);
        close(fds[0]);
        close(fds[1]);
        assert_ends(0);
        socket_input_release(&input);
    }
}

static void the_connection_breaks(void **state)
{
    (void)state;
    mock_fail("recv", ECONNRESET);
    assert_ends(ECONNRESET);
}

/* ---- What follows a message ---- */

static uint8_t memory[64];

static struct iovec parts[3];
static struct iovec *iov;
static uint32_t iovs_num;

static void take_fixed(void)
{
    static const uint8_t bytes[LONGEST] = "a message";

    rig_write(peer, bytes, LONGEST);
    assert_message(bytes, LONGEST);
    memset(memory, '.', sizeof(memory));
    parts[0] = (struct iovec){memory + 20, 5};
    parts[1] = (struct iovec){memory + 10, 3};
    parts[2] = (struct iovec){memory + 40, 4};
    iov = parts;
    iovs_num = COUNT_OF(parts);
}

static void assert_placed(void)
{
    assert_memory_equal(memory, "..........678.......12345...............9abc", 44);
    for (size_t i = 44; i < sizeof(memory); i++) {
        assert_int_equal(memory[i], '.');
    }
}

static void it_is_read_to_its_places(void **state)
{
    (void)state;
    take_fixed();
    rig_write(peer, "123456789abcBEHIND", 18);
    assert_int_equal(socket_input_read(&input, &iov, &iovs_num), SOCKET_INPUT_FINE);
    assert_int_equal(iovs_num, 0);
    assert_placed();
    assert_int_equal(input.state, SOCKET_INPUT_TAKEN);
    socket_input_release(&input);
    assert_no_message(); /* "BEHIND" is the start of the next */
    assert_int_equal(input.have, 6);
}

static void it_comes_byte_by_byte(void **state)
{
    (void)state;
    take_fixed();
    for (int i = 0; i < 12; i++) {
        assert_int_equal(socket_input_read(&input, &iov, &iovs_num), SOCKET_INPUT_FINE);
        assert_true(iovs_num != 0);
        assert_true(socket_input_is_waiting(&input));
        assert_int_equal(socket_input_progress(&input), SOCKET_INPUT_FINE); /* reads nothing */
        rig_write(peer, &"123456789abc"[i], 1);
    }
    assert_int_equal(socket_input_read(&input, &iov, &iovs_num), SOCKET_INPUT_FINE);
    assert_int_equal(iovs_num, 0);
    assert_false(socket_input_is_waiting(&input));
    assert_placed();
}

static void reads_that_are_interrupted(void **state)
{
    (void)state;
    take_fixed();
    rig_write(peer, "123456789abc", 12);
    mock_socket.most = 4;
    mock_fail_nth("readv", 2, EINTR);
    mock_fail_nth("readv", 2, EAGAIN);
    assert_int_equal(socket_input_read(&input, &iov, &iovs_num), SOCKET_INPUT_FINE);
    assert_int_equal(iovs_num, 3);
    assert_true(socket_input_is_waiting(&input));
    assert_int_equal(socket_input_read(&input, &iov, &iovs_num), SOCKET_INPUT_FINE);
    assert_int_equal(iovs_num, 0);
    assert_placed();
}

static void more_places_than_one_call_takes(void **state)
{
    enum { MANY = 2000 };
    static struct iovec many[MANY];
    static uint8_t bytes[MANY], to[MANY];
    struct iovec *at = many;
    uint32_t num = MANY;

    (void)state;
    take_fixed();
    for (uint32_t i = 0; i < MANY; i++) {
        bytes[i] = (uint8_t)(i * 11);
        many[i] = (struct iovec){to + i, 1};
    }
    rig_write(peer, bytes, MANY);
    assert_int_equal(socket_input_read(&input, &at, &num), SOCKET_INPUT_FINE);
    assert_int_equal(num, 0);
    assert_memory_equal(to, bytes, MANY);
}

static void the_end_comes_within_it(void **state)
{
    (void)state;
    take_fixed();
    rig_write(peer, "123456789ab", 11);
    shutdown(peer, SHUT_WR);
    assert_int_equal(socket_input_read(&input, &iov, &iovs_num), SOCKET_INPUT_ENDED);
    assert_int_equal(input.errnum, 0);
    mock_fail("readv", ETIMEDOUT);
    assert_int_equal(socket_input_read(&input, &iov, &iovs_num), SOCKET_INPUT_ENDED);
    assert_int_equal(input.errnum, ETIMEDOUT);
}

static void no_memory(void **state)
{
    const struct transport_profile profile = {.receive_size = LONGEST};
    struct socket_input none = {.fd = -1};
    struct multifd_error err;

    (void)state;
    mock_fail("malloc", ENOMEM);
    assert_int_equal(socket_input_init(&none, -1, &profile, &err), -1);
    assert_error(&err, MULTIFD_ERROR_SYSTEM, "memory");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_framed(messages_in_turn),           with_framed(byte_by_byte),
        with_framed(calls_that_are_interrupted), with_framed(the_longest_message),
        with_framed(impossible_lengths),         with_fixed(fixed_messages_have_one_length),
        with_bare(bare_bytes_come_as_they_are),  with_framed(the_peer_closes_between_messages),
        with_framed(the_peer_closes_within_one), with_framed(the_connection_breaks),
        with_fixed(it_is_read_to_its_places),    with_fixed(it_comes_byte_by_byte),
        with_fixed(reads_that_are_interrupted),  with_fixed(more_places_than_one_call_takes),
        with_fixed(the_end_comes_within_it),     socket_test(no_memory),
    };

    return cmocka_run_group_tests_name("transport/socket/input", tests, NULL, NULL);
}
