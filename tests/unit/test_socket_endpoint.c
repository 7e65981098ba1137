/* SPDX-License-Identifier: MIT */
#include "core/base/bytes.h"
#include "socket_rig.h"
#include "transport/socket/endpoint.h"
#include "transport/socket/greeting.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct transport_profile framed = {.send_size = 64, .receive_size = 64};
static const struct transport_profile fixed = {
    .send_size = 64, .receive_size = 64, .writes = 4, .framing = TRANSPORT_FIXED};
static const struct transport_greeting hello = {.bytes = "hello", .length = 5};
static const struct transport_greeting welcome = {.bytes = "welcome", .length = 7};

static struct transport_endpoint *destination;
static struct transport_endpoint *source;
static struct multifd_error err;
static unsigned descriptors;

static struct transport_endpoint *make_endpoint(const struct transport_address *address,
                                                uint32_t timeout_ms)
{
    const struct transport_settings settings = {.timeout_ms = timeout_ms};
    struct transport_endpoint *endpoint = socket_endpoint_new(address, &settings, &err);

    assert_non_null(endpoint);
    assert_true(endpoint->stream);
    return endpoint;
}

static struct transport_address at_port(uint16_t port)
{
    char text[32];

    snprintf(text, sizeof(text), "tcp:127.0.0.1:%u", port);
    return rig_address(text);
}

static int make(void **state)
{
    struct transport_address address = rig_address("tcp:127.0.0.1:0");

    mock_socket_setup(state);
    descriptors = rig_open_descriptors();
    destination = make_endpoint(&address, 2000);
    assert_int_equal(destination->ops->port(destination), 0);
    if (destination->ops->listen(destination, 8, &err) != 0) {
        return -1;
    }
    address = at_port(destination->ops->port(destination));
    source = make_endpoint(&address, 2000);
    err = (struct multifd_error)ERROR_UNTOUCHED;
    return 0;
}

static int release(void **state)
{
    source->ops->free(source);
    destination->ops->free(destination);
    assert_int_equal(rig_open_descriptors(), descriptors);
    return mock_teardown(state);
}

#define with_endpoints(function) cmocka_unit_test_setup_teardown(function, make, release)

/* The source's side of a connection, on a thread of its own. */
struct joining {
    const struct transport_profile *profile;
    struct transport_channel *channel;
    struct transport_greeting answer;
    struct multifd_error err;
    pthread_t thread;
};

static void *join_main(void *arg)
{
    struct joining *joining = arg;

    joining->channel =
        source->ops->connect(source, joining->profile, &hello, -1, &joining->answer, &joining->err);
    return NULL;
}

static struct transport_request *start_joining(struct joining *joining,
                                               const struct transport_profile *profile)
{
    struct transport_request *request = NULL;
    const struct transport_greeting *greeting;

    *joining = (struct joining){.profile = profile, .err = ERROR_UNTOUCHED};
    assert_int_equal(pthread_create(&joining->thread, NULL, join_main, joining), 0);
    assert_int_equal(destination->ops->wait_request(destination, -1, 5000, &request, &err), 0);
    assert_non_null(request);
    greeting = destination->ops->request_greeting(request);
    assert_int_equal(greeting->length, TRANSPORT_GREETING_MAX);
    assert_memory_equal(greeting->bytes, "hello\0\0\0", 8);
    return request;
}

static void exchange(struct transport_channel *from, struct transport_channel *to)
{
    struct transport_message message = {0};
    uint8_t *buffer = from->ops->send_buffer(from, 0);

    memset(buffer, 'x', 64);
    assert_int_equal(from->ops->send(from, NULL, 0, 64, false, &err), 0);
    for (int i = 0; i < 1000 && !to->ops->receive(to, &message); i++) {
        usleep(100);
        assert_int_equal(to->ops->progress(to, &err), 0);
    }
    assert_int_equal(message.length, 64);
    assert_int_equal(message.bytes[63], 'x');
    assert_int_equal(to->ops->release(to, &err), 0);
}

static void the_greeting_is_answered(void **state)
{
    struct joining joining;
    struct transport_request *request = start_joining(&joining, &framed);
    struct transport_channel *channel =
        destination->ops->accept(destination, request, &framed, &welcome, -1, &err);

    (void)state;
    assert_non_null(channel);
    pthread_join(joining.thread, NULL);
    assert_non_null(joining.channel);
    assert_int_equal(joining.answer.length, TRANSPORT_GREETING_MAX);
    assert_memory_equal(joining.answer.bytes, "welcome\0", 8);
    exchange(joining.channel, channel);
    exchange(channel, joining.channel);
    joining.channel->ops->free(joining.channel);
    channel->ops->free(channel);
}

/* Such a channel may be QEMU's: it says nothing in answer. */
static void a_channel_of_fixed_messages_is_not_answered(void **state)
{
    struct joining joining;
    struct transport_request *request = start_joining(&joining, &fixed);
    struct transport_channel *channel;

    (void)state;
    pthread_join(joining.thread, NULL); /* before it is accepted */
    assert_non_null(joining.channel);
    assert_int_equal(joining.answer.length, hello.length);
    assert_memory_equal(joining.answer.bytes, hello.bytes, hello.length);
    channel = destination->ops->accept(destination, request, &fixed, &welcome, -1, &err);
    assert_non_null(channel);
    exchange(joining.channel, channel);
    exchange(channel, joining.channel); /* no answer lies before it */
    joining.channel->ops->free(joining.channel);
    channel->ops->free(channel);
}

static void a_refusal_has_a_reason(void **state)
{
    struct joining joining;
    struct transport_request *request = start_joining(&joining, &framed);

    (void)state;
    destination->ops->reject(destination, request, &welcome);
    pthread_join(joining.thread, NULL);
    assert_null(joining.channel);
    assert_error(&joining.err, MULTIFD_ERROR_REFUSED, "refused the connection");
    assert_memory_equal(joining.answer.bytes, "welcome\0", 8);
}

static void a_refused_channel_of_fixed_messages_ends(void **state)
{
    struct joining joining;
    struct transport_request *request = start_joining(&joining, &fixed);
    struct transport_channel *channel;
    int status = 0;

    (void)state;
    pthread_join(joining.thread, NULL);
    destination->ops->reject(destination, request, &welcome);
    channel = joining.channel;
    for (int i = 0; i < 1000 && status == 0; i++) {
        struct transport_message message;

        usleep(100);
        status = channel->ops->progress(channel, &err);
        if (status == 0 && channel->ops->receive(channel, &message)) {
            status = channel->ops->release(channel, &err);
        }
    }
    assert_int_equal(status, -1);
    assert_error(&err, MULTIFD_ERROR_DISCONNECTED, "127.0.0.1:");
    channel->ops->free(channel);
}

/* ---- Somebody else at the other end ---- */

static int listen_by_hand(struct transport_endpoint **to, uint32_t timeout_ms)
{
    struct sockaddr_in local = {.sin_family = AF_INET};
    socklen_t length = sizeof(local);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct transport_address address;

    assert_int_equal(listen(fd, 4), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&local, &length), 0);
    address = at_port(ntohs(local.sin_port));
    *to = make_endpoint(&address, timeout_ms);
    return fd;
}

struct by_hand {
    int listener;
    const uint8_t *answer;
    size_t length;
};

static void *answer_by_hand(void *arg)
{
    const struct by_hand *by_hand = arg;
    uint8_t bytes[SOCKET_GREETING_BYTES];
    int fd = accept(by_hand->listener, NULL, NULL);

    if (recv(fd, bytes, sizeof(bytes), MSG_WAITALL) == sizeof(bytes) &&
        bytes[SOCKET_GREETING_BYTES - 1] == 0) {
        (void)!write(fd, by_hand->answer, by_hand->length);
    }
    close(fd);
    return NULL;
}

static void answers_that_are_none(void **state)
{
    static const uint8_t zeros[SOCKET_GREETING_BYTES] = {0};
    static const uint8_t noise[SOCKET_GREETING_BYTES] = {[40] = 1};
    static const struct {
        const uint8_t *answer;
        size_t length;
        enum multifd_error_code code;
        const char *part;
    } answers[] = {
        {noise, sizeof(noise), MULTIFD_ERROR_CONNECT, "is not multifd"},
        {zeros, 0, MULTIFD_ERROR_DISCONNECTED, "closed the connection"},
        {zeros, 63, MULTIFD_ERROR_DISCONNECTED, "closed the connection"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(answers); i++) {
        struct transport_endpoint *to;
        struct by_hand by_hand = {listen_by_hand(&to, 2000), answers[i].answer, answers[i].length};
        struct transport_greeting answer;
        pthread_t thread;

        assert_int_equal(pthread_create(&thread, NULL, answer_by_hand, &by_hand), 0);
        assert_null(to->ops->connect(to, &framed, &hello, -1, &answer, &err));
        assert_error(&err, answers[i].code, answers[i].part);
        assert_int_equal(answer.length, 0);
        pthread_join(thread, NULL);
        close(by_hand.listener);
        to->ops->free(to);
    }
}

static void no_answer_at_all(void **state)
{
    struct transport_endpoint *to;
    int listener = listen_by_hand(&to, 60);
    int wake_fd = eventfd(1, 0);
    struct transport_greeting answer;
    uint64_t before = clock_now_ns();

    (void)state;
    assert_null(to->ops->connect(to, &framed, &hello, -1, &answer, &err));
    assert_error(&err, MULTIFD_ERROR_TIMEOUT, "did not answer in time");
    assert_true(clock_now_ns() - before >= 60 * NS_PER_MS);
    to->ops->set_timeout(to, 60000);
    assert_null(to->ops->connect(to, &framed, &hello, wake_fd, &answer, &err));
    assert_error(&err, MULTIFD_ERROR_TIMEOUT, "did not answer in time");
    assert_true(clock_now_ns() - before < 30000 * NS_PER_MS);
    close(wake_fd);
    close(listener);
    to->ops->free(to);
}

static void a_listener_that_breaks(void **state)
{
    struct transport_greeting answer;

    (void)state;
    mock_fail("send", ECONNRESET);
    assert_null(source->ops->connect(source, &fixed, &hello, -1, &answer, &err));
    assert_error(&err, MULTIFD_ERROR_DISCONNECTED, "127.0.0.1:");
    assert_int_equal(answer.length, 0);
}

/* It has gone when its turn comes. */
static void a_peer_that_leaves_before_it_is_answered(void **state)
{
    static const uint8_t bytes[SOCKET_GREETING_BYTES] = "hello";
    struct transport_request *request = NULL;

    (void)state;
    for (int i = 0; i < 2; i++) {
        int fd = rig_connect_tcp(destination->ops->port(destination));

        rig_write(fd, bytes, sizeof(bytes));
        assert_int_equal(destination->ops->wait_request(destination, -1, 5000, &request, &err), 0);
        assert_non_null(request);
        close(fd);
        mock_fail_nth("send", 1, EPIPE);
        if (i == 0) {
            assert_null(
                destination->ops->accept(destination, request, &framed, &welcome, -1, &err));
            assert_error(&err, MULTIFD_ERROR_DISCONNECTED, "127.0.0.1:");
        } else {
            destination->ops->reject(destination, request, &welcome);
        }
    }
}

/* ---- The rest ---- */

static void stopping_twice(void **state)
{
    uint16_t port = destination->ops->port(destination);
    const struct transport_address address = at_port(port);
    struct transport_endpoint *late = make_endpoint(&address, 2000);
    struct transport_greeting answer;

    (void)state;
    destination->ops->stop_listening(destination);
    destination->ops->stop_listening(destination);
    assert_int_equal(destination->ops->port(destination), port);
    assert_null(late->ops->connect(late, &framed, &hello, -1, &answer, &err));
    assert_error(&err, MULTIFD_ERROR_CONNECT, "nobody listens at 127.0.0.1:");
    late->ops->free(late);
}

static void memory_needs_nothing(void **state)
{
    static uint8_t bytes[16];
    struct transport_memory memory = {&memory, 7, 8};
    struct transport_limits limits;

    (void)state;
    assert_int_equal(source->ops->check_memory(source, UINT64_MAX, &err), 0);
    assert_int_equal(source->ops->register_memory(source, bytes, 16, true, &memory, &err), 0);
    assert_null(memory.handle);
    assert_int_equal(source->ops->deregister_memory(&memory, &err), 0);
    source->ops->limits(source, &limits);
    assert_int_equal(limits.max_message, UINT32_MAX);
    assert_true(limits.max_memory == UINT64_MAX);
    assert_untouched(&err);
}

static void no_memory(void **state)
{
    const struct transport_address address = rig_address("tcp:127.0.0.1:0");
    const struct transport_settings settings = {.timeout_ms = 1};

    (void)state;
    mock_fail("malloc", ENOMEM);
    assert_null(socket_endpoint_new(&address, &settings, &err));
    assert_error(&err, MULTIFD_ERROR_SYSTEM, "memory");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_endpoints(the_greeting_is_answered),
        with_endpoints(a_channel_of_fixed_messages_is_not_answered),
        with_endpoints(a_refusal_has_a_reason),
        with_endpoints(a_refused_channel_of_fixed_messages_ends),
        socket_test(answers_that_are_none),
        socket_test(no_answer_at_all),
        with_endpoints(a_listener_that_breaks),
        with_endpoints(a_peer_that_leaves_before_it_is_answered),
        with_endpoints(stopping_twice),
        with_endpoints(memory_needs_nothing),
        socket_test(no_memory),
    };

    return cmocka_run_group_tests_name("transport/socket/endpoint", tests, NULL, NULL);
}
