/* SPDX-License-Identifier: MIT */
#include "server.h"

#include "bench_system.h"
#include "fail.h"
#include "measurement.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- Talking ---- */

/* What it ran on goes with the result, which tells nothing that was not known in a loopback. */
static int serve_case(struct peer *peer, const struct measurement *what, struct bench_case *bench,
                      struct multifd_error *err)
{
    json_t *result = json_object();

    if (what->serve(bench, peer, result, err) != 0) {
        json_decref(result);
        return -1;
    }
    return peer_send(peer, json_pack("{s:o, s:o}", "result", result, "system", bench_system_json()),
                     err);
}

static int serve_order(struct peer *peer, const json_t *order, const struct bench_address *loopback,
                       struct multifd_error *err)
{
    const char *name = json_string_value(json_object_get(order, "measurement"));
    const char *transport = json_string_value(json_object_get(order, "transport"));
    json_t *options = json_object_get(order, "options");
    const struct measurement *what = name != NULL ? measurement_find(name) : NULL;
    struct bench_case bench;
    int status;

    if (what == NULL || what->serve == NULL || transport == NULL || !json_is_object(options)) {
        return tool_fail(err, MULTIFD_ERROR_PROTOCOL,
                         "the client asks for what this version does not measure");
    }
    status = bench_case_init(&bench, options, err);
    if (status == 0) {
        bench.same_host = loopback != NULL;
        bench.null_device = what->null_device;
        bench.address.rdma = strcmp(transport, "rdma") == 0;
        if (loopback != NULL) {
            bench.address = *loopback;
        }
        status = serve_case(peer, what, &bench, err);
    }
    bench_case_clear(&bench);
    return status;
}

int server_talk(struct peer *peer, const struct bench_address *loopback, struct multifd_error *err)
{
    json_t *order;

    while ((order = peer_receive(peer, err)) != NULL) {
        int status = serve_order(peer, order, loopback, err);

        json_decref(order);
        if (status != 0) {
            peer_send_error(peer, err);
            return -1;
        }
    }
    if (err->code == MULTIFD_ERROR_PROTOCOL) {
        peer_send_error(peer, err);
    }
    return err->code == MULTIFD_ERROR_DISCONNECTED ? 0 : -1;
}

/* ---- Waiting ---- */

static int listen_at(uint16_t port, struct multifd_error *err)
{
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        bind(fd, (struct sockaddr *)&any, sizeof(any)) != 0 || listen(fd, 1) != 0) {
        (void)tool_fail(err, MULTIFD_ERROR_ADDRESS, "port %u: %s", port, strerror(errno));
        if (fd >= 0) {
            (void)close(fd);
        }
        return -1;
    }
    return fd;
}

struct peer *server_wait(uint16_t port, struct multifd_error *err)
{
    int listener = listen_at(port, err);
    int fd;

    if (listener < 0) {
        return NULL;
    }
    do {
        fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    } while (fd < 0 && errno == EINTR);
    (void)close(listener);
    if (fd < 0) {
        (void)tool_fail(err, MULTIFD_ERROR_SYSTEM, "accept: %s", strerror(errno));
        return NULL;
    }
    return peer_new(fd, err);
}

/* ---- A loopback ---- */

struct loopback {
    struct bench_address address;
    struct peer *peer;
    pthread_t thread;
};

/* An error reaches the client through the peer. */
static void *serve_loopback(void *arg)
{
    struct loopback *loopback = arg;
    struct multifd_error unused;

    (void)server_talk(loopback->peer, &loopback->address, &unused);
    peer_delete(&loopback->peer);
    return NULL;
}

struct loopback *loopback_start(const struct bench_address *address, struct peer **peer,
                                struct multifd_error *err)
{
    struct loopback *loopback = calloc(1, sizeof(*loopback));
    int fds[2];

    if (loopback == NULL || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) {
        (void)tool_fail(err, MULTIFD_ERROR_SYSTEM, "socketpair: %s", strerror(errno));
        free(loopback);
        return NULL;
    }
    loopback->address = *address;
    *peer = peer_new(fds[0], err);
    loopback->peer = peer_new(fds[1], err);
    if (*peer == NULL || loopback->peer == NULL) {
        peer_delete(peer);
        peer_delete(&loopback->peer);
        free(loopback);
        return NULL;
    }
    if (pthread_create(&loopback->thread, NULL, serve_loopback, loopback) != 0) {
        (void)tool_fail(err, MULTIFD_ERROR_SYSTEM, "no thread");
        peer_delete(peer);
        peer_delete(&loopback->peer);
        free(loopback);
        return NULL;
    }
    return loopback;
}

void loopback_stop(struct loopback **loopback)
{
    if (*loopback == NULL) {
        return;
    }
    (void)pthread_join((*loopback)->thread, NULL);
    free(*loopback);
    *loopback = NULL;
}
