/* SPDX-License-Identifier: MIT */
#include "fake_qmp.h"

#include <assert.h>
#include <jansson.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWERS_MOST 64

struct fake_qmp {
    int listener;
    int client;
    int stop;
    const char *greeting;
    const struct fake_answer *answers;
    bool used[ANSWERS_MOST];
    pthread_mutex_t lock;
    char heard[65536]; /* all requests, under lock */
    pthread_t thread;
};

static void send_text(const struct fake_qmp *qmp, const char *text)
{
    (void)send(qmp->client, text, strlen(text), MSG_NOSIGNAL);
}

/* The first entry of the command that was not used yet, or its last. */
static const char *find_answer(struct fake_qmp *qmp, const char *command)
{
    const char *answer = "{}";

    for (size_t i = 0; qmp->answers != NULL && qmp->answers[i].command != NULL; i++) {
        assert(i < ANSWERS_MOST);
        if (strcmp(qmp->answers[i].command, command) == 0) {
            answer = qmp->answers[i].answer;
            if (!qmp->used[i]) {
                qmp->used[i] = true;
                break;
            }
        }
    }
    return answer;
}

static bool give_answer(const struct fake_qmp *qmp, const char *answer, json_int_t id)
{
    char text[8192];

    if (answer[0] == '^') {
        size_t length = strcspn(answer, "\n") + 1;
        (void)send(qmp->client, answer + 1, length - 1, MSG_NOSIGNAL);
        answer += length;
    }
    if (strcmp(answer, FAKE_QMP_CLOSE) == 0) {
        return false;
    }
    if (answer[0] == '!') {
        (void)snprintf(text, sizeof(text),
                       "{\"id\": %lld, \"error\": {\"class\": \"GenericError\", \"desc\": "
                       "\"%s\"}}\r\n",
                       (long long)id, answer + 1);
    } else {
        (void)snprintf(text, sizeof(text), "{\"return\": %s, \"id\": %lld}\r\n", answer,
                       (long long)id);
    }
    if (answer[0] != '\0') {
        send_text(qmp, text);
    }
    return true;
}

static bool serve_line(struct fake_qmp *qmp, const char *line)
{
    json_t *request = json_loads(line, 0, NULL);
    const char *command = json_string_value(json_object_get(request, "execute"));
    json_int_t id = json_integer_value(json_object_get(request, "id"));

    assert(command != NULL);
    pthread_mutex_lock(&qmp->lock);
    size_t used = strlen(qmp->heard);
    (void)snprintf(qmp->heard + used, sizeof(qmp->heard) - used, "%s\n", line);
    pthread_mutex_unlock(&qmp->lock);
    bool open = give_answer(qmp, find_answer(qmp, command), id);
    json_decref(request);
    return open;
}

/* Whether there is something to read before it shall stop. */
static bool wait_for(const struct fake_qmp *qmp, int fd)
{
    struct pollfd wanted[] = {{.fd = fd, .events = POLLIN}, {.fd = qmp->stop, .events = POLLIN}};

    return poll(wanted, 2, -1) > 0 && wanted[1].revents == 0;
}

static void serve_client(struct fake_qmp *qmp)
{
    char line[8192];
    size_t used = 0;

    send_text(qmp, qmp->greeting);
    while (wait_for(qmp, qmp->client)) {
        if (used == sizeof(line) - 1 || read(qmp->client, line + used, 1) != 1) {
            break;
        }
        if (line[used] == '\n') {
            line[used] = '\0';
            used = 0;
            if (!serve_line(qmp, line)) {
                break;
            }
        } else {
            used++;
        }
    }
}

static void *run(void *opaque)
{
    struct fake_qmp *qmp = opaque;

    while (wait_for(qmp, qmp->listener)) {
        qmp->client = accept4(qmp->listener, NULL, NULL, SOCK_CLOEXEC);
        serve_client(qmp);
        (void)close(qmp->client);
    }
    return NULL;
}

struct fake_qmp *fake_qmp_start(const char *path, const char *greeting,
                                const struct fake_answer *answers)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct fake_qmp *qmp = calloc(1, sizeof(*qmp));

    assert(qmp != NULL);
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    qmp->greeting = greeting;
    qmp->answers = answers;
    qmp->stop = eventfd(0, EFD_CLOEXEC);
    qmp->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int rc = bind(qmp->listener, (const struct sockaddr *)&address, sizeof(address));
    rc |= listen(qmp->listener, 1);
    rc |= pthread_mutex_init(&qmp->lock, NULL);
    rc |= pthread_create(&qmp->thread, NULL, run, qmp);
    assert(rc == 0);
    (void)rc;
    return qmp;
}

unsigned fake_qmp_count(struct fake_qmp *qmp, const char *text)
{
    unsigned count = 0;

    pthread_mutex_lock(&qmp->lock);
    for (const char *at = strstr(qmp->heard, text); at != NULL; at = strstr(at + 1, text)) {
        count++;
    }
    pthread_mutex_unlock(&qmp->lock);
    return count;
}

bool fake_qmp_heard(struct fake_qmp *qmp, const char *text)
{
    return fake_qmp_count(qmp, text) != 0;
}

void fake_qmp_stop(struct fake_qmp **qmp)
{
    (void)eventfd_write((*qmp)->stop, 1);
    (void)pthread_join((*qmp)->thread, NULL);
    (void)close((*qmp)->listener);
    (void)close((*qmp)->stop);
    (void)pthread_mutex_destroy(&(*qmp)->lock);
    free(*qmp);
    *qmp = NULL;
}
