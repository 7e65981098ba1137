/* SPDX-License-Identifier: MIT */
#include "peer.h"

#include "fail.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Longest line that is taken; a histogram has some thousand bytes. */
#define LINE_MAX_BYTES ((size_t)1 << 20)

struct peer {
    int fd;
    size_t used; /* bytes in `line`, of which a part of the next line may be */
    char line[LINE_MAX_BYTES];
};

struct peer *peer_new(int fd, struct multifd_error *err)
{
    struct peer *peer = malloc(sizeof(*peer));

    if (peer == NULL) {
        (void)tool_fail(err, MULTIFD_ERROR_SYSTEM, "no memory");
        (void)close(fd);
        return NULL;
    }
    peer->fd = fd;
    peer->used = 0;
    return peer;
}

int peer_fd(const struct peer *peer)
{
    return peer->fd;
}

void peer_delete(struct peer **peer)
{
    if (*peer == NULL) {
        return;
    }
    (void)close((*peer)->fd);
    free(*peer);
    *peer = NULL;
}

static int send_all(int fd, const char *bytes, size_t length, struct multifd_error *err)
{
    while (length != 0) {
        ssize_t sent = send(fd, bytes, length, MSG_NOSIGNAL);

        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent < 0) {
            return tool_fail(err, MULTIFD_ERROR_DISCONNECTED, "send to the other side: %s",
                             strerror(errno));
        }
        bytes += sent;
        length -= (size_t)sent;
    }
    return 0;
}

int peer_send(struct peer *peer, json_t *object, struct multifd_error *err)
{
    char *text = json_dumps(object, JSON_COMPACT);
    int status = -1;

    json_decref(object);
    if (text == NULL) {
        return tool_fail(err, MULTIFD_ERROR_SYSTEM, "no memory");
    }
    size_t length = strlen(text);
    text[length] = '\n'; /* in place of the final NUL */
    status = send_all(peer->fd, text, length + 1, err);
    free(text);
    return status;
}

/* The end of the first line in the buffer; reads until there is one. NULL on error. */
static char *read_line(struct peer *peer, struct multifd_error *err)
{
    char *end;

    while ((end = memchr(peer->line, '\n', peer->used)) == NULL) {
        ssize_t got = peer->used < LINE_MAX_BYTES
                          ? recv(peer->fd, peer->line + peer->used, LINE_MAX_BYTES - peer->used, 0)
                          : 0;
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            bool full = peer->used == LINE_MAX_BYTES;
            (void)tool_fail(err, full ? MULTIFD_ERROR_PROTOCOL : MULTIFD_ERROR_DISCONNECTED, "%s",
                            full ? "the other side sent no line" : "the other side has gone");
            return NULL;
        }
        peer->used += (size_t)got;
    }
    return end;
}

json_t *peer_receive(struct peer *peer, struct multifd_error *err)
{
    char *end = read_line(peer, err);

    if (end == NULL) {
        return NULL;
    }
    json_t *object = json_loadb(peer->line, (size_t)(end - peer->line), 0, NULL);
    peer->used -= (size_t)(end + 1 - peer->line);
    memmove(peer->line, end + 1, peer->used);
    const char *error = json_string_value(json_object_get(object, "error"));
    if (!json_is_object(object) || error != NULL) {
        (void)(error != NULL
                   ? tool_fail(err, MULTIFD_ERROR_PEER, "the other side: %.180s", error)
                   : tool_fail(err, MULTIFD_ERROR_PROTOCOL, "the other side sent no JSON object"));
        json_decref(object);
        return NULL;
    }
    return object;
}

bool peer_has_sent(struct peer *peer, int timeout_ms)
{
    struct pollfd poll_fd = {.fd = peer->fd, .events = POLLIN};

    return memchr(peer->line, '\n', peer->used) != NULL || poll(&poll_fd, 1, timeout_ms) > 0;
}

void peer_send_error(struct peer *peer, const struct multifd_error *error)
{
    struct multifd_error unused;

    (void)peer_send(peer, json_pack("{s:s}", "error", error->message), &unused);
}

int peer_send_mark(struct peer *peer, const char *name, struct multifd_error *err)
{
    return peer_send(peer, json_pack("{s:s}", "mark", name), err);
}

int peer_expect_mark(struct peer *peer, const char *name, struct multifd_error *err)
{
    json_t *object = peer_receive(peer, err);

    if (object == NULL) {
        return -1;
    }
    const char *mark = json_string_value(json_object_get(object, "mark"));
    bool same = mark != NULL && strcmp(mark, name) == 0;
    json_decref(object);
    return same ? 0
                : tool_fail(err, MULTIFD_ERROR_PROTOCOL,
                            "the other side is not where \"%s\" is due", name);
}

int peer_number(const json_t *object, const char *name, uint64_t least, uint64_t most,
                uint64_t *number, struct multifd_error *err)
{
    const json_t *member = json_object_get(object, name);
    json_int_t value = json_integer_value(member);

    if (!json_is_integer(member) || value < 0 || (uint64_t)value < least ||
        (uint64_t)value > most) {
        return tool_fail(err, MULTIFD_ERROR_PROTOCOL, "the other side sent no usable %s", name);
    }
    *number = (uint64_t)value;
    return 0;
}
