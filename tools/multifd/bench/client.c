/* SPDX-License-Identifier: MIT */
#include "client.h"

#include "console.h"
#include "fail.h"
#include "server.h"

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct client {
    const struct bench_args *args;
    struct bench_address address;
    struct peer *peer; /* NULL when the measurement has one side */
    struct loopback *loopback;
    json_t *system;  /* of the server, once it has answered; NULL when there is none on its own */
    char folder[32]; /* of a loopback's unix socket; empty for none */
};

/* ---- The other side ---- */

static int connect_to(const char *host, uint16_t port, struct multifd_error *err)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    char service[8];
    int fd = -1;

    (void)snprintf(service, sizeof(service), "%u", port);
    if (getaddrinfo(host, service, &hints, &found) != 0) {
        return tool_fail(err, MULTIFD_ERROR_ADDRESS, "%s: no such host", host);
    }
    for (const struct addrinfo *at = found; fd < 0 && at != NULL; at = at->ai_next) {
        fd = socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, at->ai_protocol);
        if (fd >= 0 && connect(fd, at->ai_addr, at->ai_addrlen) != 0) {
            (void)tool_fail(err, MULTIFD_ERROR_CONNECT,
                            "no multifd bench waits at TCP port %u of %s: %s", port, host,
                            strerror(errno));
            (void)close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(found);
    return fd;
}

static int connect_server(struct client *client, struct multifd_error *err)
{
    if (client->address.local) {
        return tool_fail(err, MULTIFD_ERROR_ADDRESS, "unix: is for --loopback");
    }
    int fd = connect_to(client->address.host, client->address.port, err);
    client->peer = fd < 0 ? NULL : peer_new(fd, err);
    return client->peer == NULL ? -1 : 0;
}

/* A session over unix sockets needs a path: one in a folder of its own. */
static int make_path(struct client *client, struct multifd_error *err)
{
    (void)snprintf(client->folder, sizeof(client->folder), "/tmp/multifd-bench-XXXXXX");
    if (mkdtemp(client->folder) == NULL) {
        client->folder[0] = '\0';
        return tool_fail(err, MULTIFD_ERROR_SYSTEM, "mkdtemp: %s", strerror(errno));
    }
    client->address = (struct bench_address){.local = true};
    (void)snprintf(client->address.host, sizeof(client->address.host), "%s/socket", client->folder);
    return 0;
}

static int choose_address(struct client *client, struct multifd_error *err)
{
    const char *text = client->args->address;

    if (text == NULL) {
        return bench_address_of_device(&client->address, err);
    }
    if (strcmp(text, "unix:") == 0 && client->args->loopback) {
        return make_path(client, err);
    }
    return bench_address_parse(&client->address, text, err);
}

/* The port of the address, or of --port, which may not contradict it. */
static int choose_port(struct client *client, struct multifd_error *err)
{
    uint16_t asked = (uint16_t)client->args->port;
    uint16_t *port = &client->address.port;

    if (*port != 0 && asked != 0 && *port != asked) {
        return tool_fail(err, MULTIFD_ERROR_INVALID, "port: %u, but the address says %u", asked,
                         *port);
    }
    if (*port == 0) {
        *port = asked != 0 ? asked : BENCH_PORT;
    }
    return 0;
}

static int join(struct client *client, struct multifd_error *err)
{
    if (choose_address(client, err) != 0) {
        return -1;
    }
    if (!client->args->loopback) {
        return choose_port(client, err) != 0 ? -1 : connect_server(client, err);
    }
    client->loopback = loopback_start(&client->address, &client->peer, err);
    return client->loopback == NULL ? -1 : 0;
}

static void leave(struct client *client)
{
    peer_delete(&client->peer);
    loopback_stop(&client->loopback);
    if (client->folder[0] != '\0') {
        (void)rmdir(client->folder);
    }
}

/* ---- Measuring ---- */

static int finish_row(struct client *client, json_t *row, struct multifd_error *err)
{
    json_t *answer = client->peer != NULL ? peer_receive(client->peer, err) : NULL;

    if (client->peer != NULL && answer == NULL) {
        return -1;
    }
    json_t *result = json_object_get(answer, "result");
    if (json_object_size(result) != 0) {
        (void)json_object_set(row, "destination", result);
    }
    if (client->loopback == NULL) {
        json_decref(client->system);
        client->system = json_incref(json_object_get(answer, "system"));
    }
    json_decref(answer);
    return 0;
}

static int send_order(struct client *client, const json_t *choices, struct multifd_error *err)
{
    if (client->peer == NULL) {
        return 0;
    }
    return peer_send(client->peer,
                     json_pack("{s:s, s:s, s:O}", "measurement", client->args->what->name,
                               "transport", client->address.rdma ? "rdma" : "tcp", "options",
                               choices),
                     err);
}

/* When this side fails because the other did, the other's reason is the better one. */
static void prefer_reason(struct client *client, struct multifd_error *err)
{
    struct multifd_error other;

    while (client->peer != NULL && peer_has_sent(client->peer, 1000)) {
        json_t *object = peer_receive(client->peer, &other);

        json_decref(object);
        if (object == NULL) {
            if (other.code == MULTIFD_ERROR_PEER) {
                *err = other;
            }
            return;
        }
    }
}

static int measure(struct client *client, const struct bench_case *bench, json_t *row,
                   struct multifd_error *err)
{
    if (send_order(client, bench->choices, err) != 0) {
        return -1;
    }
    if (client->args->what->run(bench, client->peer, row, err) != 0) {
        prefer_reason(client, err);
        return -1;
    }
    if (finish_row(client, row, err) != 0) {
        return -1;
    }
    if (client->args->what->finish != NULL) {
        client->args->what->finish(bench, row);
    }
    return 0;
}

static int measure_case(struct client *client, json_t *choices, json_t *rows,
                        struct multifd_error *err)
{
    struct bench_case bench;
    int status = bench_case_init(&bench, choices, err);

    if (status == 0) {
        json_t *row = json_pack("{s:O}", "options", choices);

        bench.address = client->address;
        bench.same_host = client->args->loopback;
        bench.null_device = client->args->what->null_device;
        if (json_object_get(choices, "size") != NULL) {
            (void)json_object_set_new(row, "message_bytes", json_integer((json_int_t)bench.size));
        }
        status = measure(client, &bench, row, err);
        if (status == 0) {
            (void)json_array_append(rows, row);
        }
        json_decref(row);
    }
    bench_case_clear(&bench);
    return status;
}

/* Nothing is measured as long as any case is wrong. */
static int check_cases(const json_t *cases, struct multifd_error *err)
{
    int status = 0;

    for (size_t i = 0; status == 0 && i < json_array_size(cases); i++) {
        struct bench_case bench;

        status = bench_case_init(&bench, json_array_get(cases, i), err);
        bench_case_clear(&bench);
    }
    return status;
}

int client_measure(const struct bench_args *args, const json_t *cases, json_t *results,
                   struct multifd_error *err)
{
    struct client client = {.args = args};
    json_t *rows = json_object_get(results, "rows");
    int status = check_cases(cases, err);

    if (status == 0 && args->what->serve != NULL) {
        status = join(&client, err);
    }
    for (size_t i = 0; status == 0 && i < json_array_size(cases); i++) {
        status = measure_case(&client, json_array_get(cases, i), rows, err);
    }
    leave(&client);
    if (client.system != NULL) {
        (void)json_object_set_new(results, "server", client.system);
    }
    return status;
}
