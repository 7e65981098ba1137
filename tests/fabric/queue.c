/*
 * SPDX-License-Identifier: MIT
 *
 * Events behind a file descriptor: what an rdma event channel and a completion channel have in
 * common.
 */
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fabric_internal.h"

int fabric_queue_init(struct fabric_queue *queue)
{
    queue->fd = eventfd(0, EFD_CLOEXEC);
    if (queue->fd < 0) {
        return -1;
    }
    queue->head = NULL;
    pthread_mutex_init(&queue->lock, NULL);
    return 0;
}

void fabric_queue_fini(struct fabric_queue *queue)
{
    pthread_mutex_destroy(&queue->lock);
    close(queue->fd);
}

/* Keeps the descriptor readable exactly while the list is not empty; with the lock held, so neither
 * call blocks. */
static void mirror(struct fabric_queue *queue, bool was_empty)
{
    uint64_t one = 1;
    bool empty = queue->head == NULL;
    ssize_t done = sizeof(one);

    if (was_empty && !empty) {
        done = write(queue->fd, &one, sizeof(one));
    } else if (!was_empty && empty) {
        done = read(queue->fd, &one, sizeof(one));
    }
    if (done != sizeof(one)) {
        fabric_misuse("the descriptor of a channel was read, written or closed by somebody else");
    }
}

void fabric_queue_push(struct fabric_queue *queue, struct fabric_event *event)
{
    struct fabric_event **tail;
    bool was_empty;

    pthread_mutex_lock(&queue->lock);
    was_empty = queue->head == NULL;
    for (tail = &queue->head; *tail; tail = &(*tail)->next) {
    }
    event->next = NULL;
    *tail = event;
    mirror(queue, was_empty);
    pthread_mutex_unlock(&queue->lock);
}

int fabric_queue_wait(struct fabric_queue *queue)
{
    for (;;) {
        struct pollfd descriptor = {.fd = queue->fd, .events = POLLIN};
        bool empty;

        pthread_mutex_lock(&queue->lock);
        empty = queue->head == NULL;
        pthread_mutex_unlock(&queue->lock);
        if (!empty) {
            return 0;
        }
        if (fcntl(queue->fd, F_GETFL) & O_NONBLOCK) {
            errno = EAGAIN;
            return -1;
        }
        if (poll(&descriptor, 1, -1) < 0) {
            return -1;
        }
    }
}

struct fabric_event *fabric_queue_pop(struct fabric_queue *queue)
{
    struct fabric_event *event;

    pthread_mutex_lock(&queue->lock);
    event = queue->head;
    if (event) {
        queue->head = event->next;
        mirror(queue, false);
    }
    pthread_mutex_unlock(&queue->lock);
    return event;
}

struct fabric_event *fabric_queue_take(struct fabric_queue *queue, const void *owner)
{
    struct fabric_event *taken = NULL, **end = &taken;
    bool was_empty;

    pthread_mutex_lock(&queue->lock);
    was_empty = queue->head == NULL;
    for (struct fabric_event **link = &queue->head; *link;) {
        struct fabric_event *event = *link;
        if (event->owner == owner) {
            *link = event->next;
            event->next = NULL;
            *end = event;
            end = &event->next;
        } else {
            link = &event->next;
        }
    }
    mirror(queue, was_empty);
    pthread_mutex_unlock(&queue->lock);
    return taken;
}
