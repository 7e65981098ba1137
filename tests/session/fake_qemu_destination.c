/* SPDX-License-Identifier: MIT */
#include "fake_qemu_destination.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "core/base/bytes.h"
#include "core/qemu/stream.h"

enum { SYNC = 1, COMPRESSION_MASK = 0x3e, DEVICE = 0x40 };

uint64_t fake_digest(uint64_t digest, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        digest = (digest ^ bytes[i]) * 1099511628211u;
    }
    return digest;
}

static bool get(int fd, void *bytes, size_t length)
{
    uint8_t *at = bytes;

    while (length != 0) {
        ssize_t got = recv(fd, at, length, 0);

        if (got <= 0) {
            return false;
        }
        at += got;
        length -= (size_t)got;
    }
    return true;
}

static struct fake_block *find(struct fake_qemu *qemu, const char *name)
{
    for (unsigned i = 0; i < FAKE_BLOCKS; i++) {
        if (strcmp(qemu->blocks[i].name, name) == 0) {
            return &qemu->blocks[i];
        }
    }
    return NULL;
}

/* A kill: every connection of the process ends at once, and no thread waits any more. */
static void die(struct fake_qemu *qemu)
{
    shutdown(qemu->incoming, SHUT_RDWR);
    for (unsigned i = 0; i < qemu->receivers_num; i++) {
        shutdown(qemu->receivers[i].fd, SHUT_RDWR);
    }
    for (unsigned waits = 0; waits < 1000; waits++) {
        sem_post(&qemu->synced);
    }
}

/* ---- A channel's thread ------------------------------------------------------------------ */

static bool take_blob(struct fake_receiver *receiver, uint32_t length)
{
    uint8_t *bytes = malloc(length);
    bool fine = get(receiver->fd, bytes, length);

    receiver->digest = fine ? fake_digest(receiver->digest, bytes, length) : 0;
    free(bytes);
    return fine;
}

static bool take_pages(struct fake_receiver *receiver, const uint8_t *header)
{
    uint32_t normal = get_be32(header + 16);
    uint32_t zeros = get_be32(header + 32);
    struct fake_block *block;

    if (normal + zeros == 0) {
        return true;
    }
    if ((get_be32(header + 8) & COMPRESSION_MASK) != 0) {
        return take_blob(receiver, get_be32(header + 20));
    }
    block = find(receiver->qemu, (const char *)header + 64);
    if (block == NULL) {
        return false;
    }
    atomic_fetch_add(&receiver->qemu->placed_pages, normal);
    for (uint32_t i = 0; i < normal + zeros; i++) {
        uint64_t offset = get_be64(header + 320 + 8 * i);

        if (offset > (block->pages - 1) * FAKE_PAGE) {
            return false;
        }
        if (i >= normal) {
            memset(block->to + offset, 0, FAKE_PAGE);
        } else if (!get(receiver->fd, block->to + offset, FAKE_PAGE)) {
            return false;
        }
    }
    return true;
}

static bool take_packet(struct fake_receiver *receiver)
{
    struct fake_qemu *qemu = receiver->qemu;
    uint8_t header[FAKE_HEADER];
    unsigned taken;

    if (!get(receiver->fd, header, 12) || get_be32(header) != 0x11223344) {
        return false;
    }
    taken = atomic_fetch_add(&qemu->taken, 1) + 1;
    if (qemu->plan.kill_after != 0 && taken == qemu->plan.kill_after) {
        die(qemu);
        return false;
    }
    if ((get_be32(header + 8) & DEVICE) != 0) {
        return get(receiver->fd, header + 12, 276 - 12) &&
               take_blob(receiver, get_be32(header + 272));
    }
    if (!get(receiver->fd, header + 12, sizeof(header) - 12) || !take_pages(receiver, header)) {
        return false;
    }
    if ((get_be32(header + 8) & SYNC) != 0) {
        sem_post(&qemu->synced);
        sem_wait(&receiver->sync);
    }
    return true;
}

static void *receiver_main(void *arg)
{
    struct fake_receiver *receiver = arg;

    while (take_packet(receiver)) {
    }
    return NULL; /* and tells nobody: the main thread may wait for ever */
}

/* ---- The main thread --------------------------------------------------------------------- */

static bool accept_channels(struct fake_qemu *qemu)
{
    for (unsigned i = 0; i < qemu->plan.channels; i++) {
        struct fake_receiver *receiver = &qemu->receivers[i];
        uint8_t init[64];

        receiver->qemu = qemu;
        receiver->fd = accept(qemu->listener, NULL, NULL);
        if (receiver->fd < 0) {
            return false;
        }
        sem_init(&receiver->sync, 0, 0);
        qemu->receivers_num++;
        if (!get(receiver->fd, init, sizeof(init)) || get_be32(init) != 0x11223344 ||
            init[8] != 0xab) {
            return false;
        }
        receiver->id = init[24];
        if (pthread_create(&receiver->thread, NULL, receiver_main, receiver) != 0) {
            abort();
        }
    }
    return true;
}

/* What QEMU does at the end of a round; it does not notice here that channels have ended. */
static void sync_channels(struct fake_qemu *qemu)
{
    for (unsigned i = 0; i < qemu->plan.channels; i++) {
        sem_wait(&qemu->synced);
    }
    for (unsigned i = 0; i < qemu->plan.channels; i++) {
        sem_post(&qemu->receivers[i].sync);
    }
}

static void take_zero(struct fake_qemu *qemu, struct qemu_stream *stream,
                      const struct qemu_event *event)
{
    static const struct timespec moment = {.tv_nsec = 4000000};
    struct fake_block *block = find(qemu, qemu_stream_block(stream, event->block)->name);

    if (qemu->plan.slow_main && event->offset / FAKE_PAGE % 16 == 0) {
        nanosleep(&moment, NULL);
    }
    if (block != NULL) {
        memset(block->to + event->offset, 0, FAKE_PAGE);
    }
}

static void take_event(struct fake_qemu *qemu, struct qemu_stream *stream,
                       const struct qemu_event *event)
{
    uint8_t answer[QEMU_ANSWER_BYTES];

    if (event->type == QEMU_PING) {
        qemu_pong(event->value, answer);
        (void)!send(qemu->incoming, answer, sizeof(answer), MSG_NOSIGNAL);
    } else if (event->type == QEMU_SYNC) {
        sync_channels(qemu);
    } else if (event->type == QEMU_ZERO_PAGE) {
        take_zero(qemu, stream, event);
    }
}

/* Reads the stream; true as soon as the byte has come with which the guest starts. */
static bool load(struct fake_qemu *qemu, struct qemu_stream *stream)
{
    struct qemu_event event = {.type = QEMU_NEEDS_MORE};
    struct multifd_error err;
    uint8_t bytes[4096];
    size_t devices = 0;

    for (;;) {
        ssize_t got = recv(qemu->incoming, bytes, sizeof(bytes), 0);
        const uint8_t *at = bytes;
        size_t left = got > 0 ? (size_t)got : 0;

        if (got <= 0) {
            return false;
        }
        while (event.type != QEMU_RAM_DONE && (left != 0 || event.type != QEMU_NEEDS_MORE)) {
            if (qemu_stream_next(stream, &at, &left, &event, &err) != 0) {
                return false;
            }
            take_event(qemu, stream, &event);
        }
        devices += left;
        if (devices >= FAKE_DEVICES) {
            return true;
        }
    }
}

/* At the end of a process its connections end. */
static void leave(struct fake_qemu *qemu)
{
    for (unsigned i = 0; i < qemu->receivers_num; i++) {
        shutdown(qemu->receivers[i].fd, SHUT_RDWR);
        for (unsigned unread = 0; unread < 8; unread++) {
            sem_post(&qemu->receivers[i].sync);
        }
        pthread_join(qemu->receivers[i].thread, NULL);
        close(qemu->receivers[i].fd);
        sem_destroy(&qemu->receivers[i].sync);
    }
    close(qemu->incoming);
}

static void *destination_main(void *arg)
{
    struct fake_qemu *qemu = arg;
    struct multifd_error err;
    struct qemu_stream *stream = qemu_stream_new(FAKE_PAGE, &err);
    uint8_t answer[QEMU_ANSWER_BYTES];
    bool fine;

    qemu->incoming = accept(qemu->listener, NULL, NULL);
    if (qemu->incoming < 0) {
        qemu_stream_delete(&stream);
        atomic_store(&qemu->destination_outcome, FAKE_FAILED);
        return NULL;
    }
    fine = accept_channels(qemu) && load(qemu, stream) && !qemu->plan.dies_at_end;
    /* The guest runs from here on, and only then the source is told. */
    atomic_store(&qemu->destination_outcome, fine ? FAKE_SUCCEEDED : FAKE_FAILED);
    if (fine) {
        if (qemu->plan.at_start != NULL) {
            qemu->plan.at_start();
        }
        qemu_shut(true, answer);
        (void)!send(qemu->incoming, answer, sizeof(answer), MSG_NOSIGNAL);
    }
    leave(qemu);
    qemu_stream_delete(&stream);
    return NULL;
}

void fake_destination_listen(struct fake_qemu *qemu)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    strcpy(address.sun_path, qemu->destination_path);
    qemu->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    qemu->incoming = -1;
    sem_init(&qemu->synced, 0, 0);
    if (bind(qemu->listener, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(qemu->listener, 16) != 0) {
        abort();
    }
}

void fake_qemu_start_destination(struct fake_qemu *qemu)
{
    if (pthread_create(&qemu->destination, NULL, destination_main, qemu) != 0) {
        abort();
    }
}

void fake_destination_join(struct fake_qemu *qemu)
{
    shutdown(qemu->listener, SHUT_RDWR); /* of a migration that never came so far */
    pthread_join(qemu->destination, NULL);
    sem_destroy(&qemu->synced);
}
