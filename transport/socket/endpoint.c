/* SPDX-License-Identifier: MIT */
#include "transport/socket/endpoint.h"

#include "core/base/clock.h"
#include "core/base/error.h"
#include "transport/socket/channel.h"
#include "transport/socket/connection.h"
#include "transport/socket/listener.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct socket_endpoint {
    struct transport_endpoint base;
    struct transport_address address;
    struct transport_settings settings;
    char name[SOCKET_NAME_MAX]; /* of the address, for errors */
    struct socket_listener listener;
    uint16_t port; /* destination: listened on */
};

static struct socket_endpoint *of(struct transport_endpoint *base)
{
    return (struct socket_endpoint *)base;
}

static const struct socket_endpoint *of_const(const struct transport_endpoint *base)
{
    return (const struct socket_endpoint *)base;
}

static uint64_t deadline_of(const struct socket_endpoint *endpoint)
{
    return clock_now_ns() + endpoint->settings.timeout_ms * NS_PER_MS;
}

/* ---- Destination ---- */

static int endpoint_listen(struct transport_endpoint *base, uint32_t backlog,
                           struct multifd_error *err)
{
    struct socket_endpoint *endpoint = of(base);

    return socket_listener_init(&endpoint->listener, &endpoint->address, endpoint->name, backlog,
                                &endpoint->port, err);
}

static void endpoint_stop_listening(struct transport_endpoint *base)
{
    struct socket_endpoint *endpoint = of(base);

    socket_listener_fini(&endpoint->listener, &endpoint->address);
}

static uint16_t endpoint_port(const struct transport_endpoint *base)
{
    return of_const(base)->port;
}

static int endpoint_wait_request(struct transport_endpoint *base, int wake_fd, int timeout_ms,
                                 struct transport_request **request, struct multifd_error *err)
{
    struct socket_endpoint *endpoint = of(base);

    return socket_listener_wait(&endpoint->listener, &endpoint->settings, endpoint->name, wake_fd,
                                timeout_ms, request, err);
}

static const struct transport_greeting *
endpoint_request_greeting(const struct transport_request *request)
{
    return &request->greeting;
}

static int send_answer(const struct socket_endpoint *endpoint,
                       const struct transport_request *request,
                       const struct transport_greeting *answer, bool refused, int wake_fd,
                       struct multifd_error *err)
{
    uint8_t bytes[SOCKET_GREETING_BYTES];

    socket_greeting_encode(answer, refused, bytes);
    return socket_send_all(request->fd, bytes, sizeof(bytes), request->name, deadline_of(endpoint),
                           wake_fd, err);
}

static struct transport_channel *endpoint_accept(struct transport_endpoint *base,
                                                 struct transport_request *request,
                                                 const struct transport_profile *profile,
                                                 const struct transport_greeting *answer,
                                                 int wake_fd, struct multifd_error *err)
{
    struct transport_channel *channel = NULL;

    if (profile->framing == TRANSPORT_FRAMED &&
        send_answer(of(base), request, answer, false, wake_fd, err) != 0) {
        close(request->fd);
    } else {
        channel = socket_channel_new(request->fd, request->name, profile, err);
    }
    free(request);
    return channel;
}

/* A channel of fixed messages gets the answer too: its peer reads nothing, and sees the end. */
static void endpoint_reject(struct transport_endpoint *base, struct transport_request *request,
                            const struct transport_greeting *answer)
{
    struct multifd_error err;

    (void)send_answer(of(base), request, answer, true, -1, &err);
    socket_request_close(request);
}

/* ---- Source ---- */

static int take_answer(const struct socket_endpoint *endpoint, int fd, uint64_t deadline,
                       int wake_fd, struct transport_greeting *answer, struct multifd_error *err)
{
    uint8_t bytes[SOCKET_GREETING_BYTES];
    bool refused = false;

    if (socket_receive_all(fd, bytes, sizeof(bytes), endpoint->name, deadline, wake_fd, err) != 0) {
        return -1;
    }
    if (!socket_greeting_decode(bytes, answer, &refused)) {
        return error_set(err, MULTIFD_ERROR_CONNECT, "%s is not multifd", endpoint->name);
    }
    return refused
               ? error_set(err, MULTIFD_ERROR_REFUSED, "%s refused the connection", endpoint->name)
               : 0;
}

/* Whoever listens to fixed messages does not answer: the channel stands once it has connected. */
static int greet(const struct socket_endpoint *endpoint, int fd,
                 const struct transport_profile *profile, const struct transport_greeting *greeting,
                 uint64_t deadline, int wake_fd, struct transport_greeting *answer,
                 struct multifd_error *err)
{
    uint8_t bytes[SOCKET_GREETING_BYTES];

    socket_greeting_encode(greeting, false, bytes);
    if (socket_send_all(fd, bytes, sizeof(bytes), endpoint->name, deadline, wake_fd, err) != 0) {
        return -1;
    }
    if (profile->framing == TRANSPORT_FRAMED) {
        return take_answer(endpoint, fd, deadline, wake_fd, answer, err);
    }
    *answer = *greeting;
    return 0;
}

static struct transport_channel *endpoint_connect(struct transport_endpoint *base,
                                                  const struct transport_profile *profile,
                                                  const struct transport_greeting *greeting,
                                                  int wake_fd, struct transport_greeting *answer,
                                                  struct multifd_error *err)
{
    const struct socket_endpoint *endpoint = of(base);
    uint64_t deadline = deadline_of(endpoint);
    int fd;

    answer->length = 0;
    fd = socket_connect(&endpoint->address, endpoint->name, deadline, wake_fd, err);
    if (fd < 0) {
        return NULL;
    }
    socket_tune(fd, endpoint->settings.timeout_ms);
    if (greet(endpoint, fd, profile, greeting, deadline, wake_fd, answer, err) != 0) {
        close(fd);
        return NULL;
    }
    return socket_channel_new(fd, endpoint->name, profile, err);
}

/* ---- Both ---- */

static void endpoint_set_timeout(struct transport_endpoint *base, uint32_t timeout_ms)
{
    of(base)->settings.timeout_ms = timeout_ms;
}

static void endpoint_limits(const struct transport_endpoint *base, struct transport_limits *limits)
{
    (void)base;
    limits->max_message = UINT32_MAX; /* what a transport_write holds */
    limits->max_memory = UINT64_MAX;
    limits->max_regions = UINT64_MAX;
    limits->on_demand = false;
}

static int endpoint_check_memory(const struct transport_endpoint *base, uint64_t bytes,
                                 struct multifd_error *err)
{
    (void)base; /* nothing is locked */
    (void)bytes;
    (void)err;
    return 0;
}

static int endpoint_register_memory(struct transport_endpoint *base, void *address, uint64_t length,
                                    uint32_t access, struct transport_memory *memory,
                                    struct multifd_error *err)
{
    (void)base;
    (void)address;
    (void)length;
    (void)access;
    (void)err;
    memset(memory, 0, sizeof(*memory));
    return 0;
}

static int endpoint_deregister_memory(struct transport_memory *memory, struct multifd_error *err)
{
    (void)memory;
    (void)err;
    return 0;
}

static void endpoint_free(struct transport_endpoint *base)
{
    endpoint_stop_listening(base);
    free(base);
}

static const struct transport_endpoint_ops endpoint_ops = {
    .listen = endpoint_listen,
    .stop_listening = endpoint_stop_listening,
    .port = endpoint_port,
    .wait_request = endpoint_wait_request,
    .request_greeting = endpoint_request_greeting,
    .accept = endpoint_accept,
    .reject = endpoint_reject,
    .connect = endpoint_connect,
    .set_timeout = endpoint_set_timeout,
    .limits = endpoint_limits,
    .check_memory = endpoint_check_memory,
    .register_memory = endpoint_register_memory,
    .deregister_memory = endpoint_deregister_memory,
    .free = endpoint_free,
};

struct transport_endpoint *socket_endpoint_new(const struct transport_address *address,
                                               const struct transport_settings *settings,
                                               struct multifd_error *err)
{
    struct socket_endpoint *endpoint = calloc(1, sizeof(*endpoint));

    if (endpoint == NULL) {
        error_set_nomem(err);
        return NULL;
    }
    endpoint->base.ops = &endpoint_ops;
    endpoint->base.stream = true;
    endpoint->address = *address;
    endpoint->settings = *settings;
    endpoint->listener.fd = -1;
    socket_name(address, endpoint->name);
    return &endpoint->base;
}
