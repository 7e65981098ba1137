/* SPDX-License-Identifier: MIT */
#include "core/qemu/main_channel.h"

#include "core/base/error.h"

#include <stdlib.h>
#include <string.h>

/* Bytes taken in at a time. */
#define READ_BYTES 65536u

struct qemu_main {
    struct session *session;
    struct transport_channel *channel;
    struct qemu_stream *stream;
    struct transport_message message; /* in hand while `left` is not 0 */
    const uint8_t *next;              /* of its bytes */
    size_t left;
    uint64_t bytes; /* that have come */
};

const struct transport_profile *qemu_main_profile(void)
{
    static const struct transport_profile profile = {
        .send_slots = 1,
        .send_size = QEMU_ANSWER_BYTES,
        .receive_slots = 1,
        .receive_size = READ_BYTES,
        .framing = TRANSPORT_BARE,
    };

    return &profile;
}

struct qemu_main *qemu_main_new(struct session *session, struct transport_channel *channel,
                                struct multifd_error *err)
{
    struct qemu_main *main = calloc(1, sizeof(*main));

    if (main == NULL) {
        error_set_nomem(err);
        goto free_channel;
    }
    main->stream = qemu_stream_new(session->options.page_size, err);
    if (main->stream == NULL) {
        goto free_main;
    }
    main->session = session;
    main->channel = channel;
    return main;

free_main:
    free(main);
free_channel:
    channel->ops->free(channel);
    return NULL;
}

/* The answers are so few and short that the kernel always has room for one. */
static void answer(struct qemu_main *main, const uint8_t bytes[QEMU_ANSWER_BYTES])
{
    uint8_t *buffer = main->channel->ops->send_buffer(main->channel, 0);
    struct multifd_error err;

    if (buffer != NULL) {
        memcpy(buffer, bytes, QEMU_ANSWER_BYTES);
        (void)main->channel->ops->send(main->channel, NULL, 0, QEMU_ANSWER_BYTES, false, &err);
    }
}

void qemu_main_delete(struct qemu_main **main)
{
    struct qemu_main *gone = *main;
    uint8_t bytes[QEMU_ANSWER_BYTES];

    if (gone == NULL) {
        return;
    }
    if (qemu_stream_has_return_path(gone->stream)) {
        qemu_shut(session_has_finished(gone->session), bytes);
        answer(gone, bytes);
    }
    gone->channel->ops->free(gone->channel);
    qemu_stream_delete(&gone->stream);
    free(gone);
    *main = NULL;
}

/* Sleeps until something has come or the session's other threads have something to say. */
static void sleep_once(struct qemu_main *main)
{
    struct waker *waker = &main->session->main;
    struct pollfd fds[TRANSPORT_POLLFDS + 1];
    uint32_t num = main->channel->ops->pollfds(main->channel, fds);

    fds[num] = (struct pollfd){.fd = waker->fd, .events = POLLIN};
    if (poll(fds, num + 1, TRANSPORT_SLEEP_MS_MAX) <= 0) {
        fds[num].revents = 0;
    }
    waker_disarm(waker, fds[num].revents != 0);
}

enum waited {
    WAITED_BROKEN, /* or the session has failed: *err is set */
    WAITED_FOR_BYTES,
    WAITED_FOR_END,     /* the source has closed the connection */
    WAITED_FOR_NOTHING, /* for a moment */
};

static enum waited wait_for_bytes(struct qemu_main *main, struct multifd_error *err)
{
    const struct transport_channel_ops *ops = main->channel->ops;

    for (int looks = 0; looks < 2; looks++) {
        waker_arm(&main->session->main);
        if (session_has_failed(main->session)) {
            session_error(main->session, err);
            return WAITED_BROKEN;
        }
        if (ops->progress(main->channel, err) != 0) {
            return err->code == MULTIFD_ERROR_DISCONNECTED ? WAITED_FOR_END : WAITED_BROKEN;
        }
        if (ops->receive(main->channel, &main->message)) {
            main->next = main->message.bytes;
            main->left = main->message.length;
            main->bytes += main->left;
            return WAITED_FOR_BYTES;
        }
        sleep_once(main);
    }
    return WAITED_FOR_NOTHING;
}

/* Gives a message that is used up back; that the connection has ended then shows at the next. */
static void release(struct qemu_main *main)
{
    struct multifd_error err;

    (void)main->channel->ops->release(main->channel, &err);
}

/* Lets the parser look at what is in hand. */
static int parse(struct qemu_main *main, struct qemu_event *event, struct multifd_error *err)
{
    bool in_hand = main->left != 0;
    uint8_t bytes[QEMU_ANSWER_BYTES];

    if (qemu_stream_next(main->stream, &main->next, &main->left, event, err) != 0) {
        return -1;
    }
    if (in_hand && main->left == 0) {
        release(main);
    }
    if (event->type == QEMU_PING) {
        qemu_pong(event->value, bytes);
        answer(main, bytes);
    }
    return 0;
}

int qemu_main_next(struct qemu_main *main, struct qemu_event *event, struct multifd_error *err)
{
    enum waited waited = WAITED_FOR_BYTES;

    while (waited == WAITED_FOR_BYTES) {
        if (parse(main, event, err) != 0) {
            return -1;
        }
        if (event->type != QEMU_NEEDS_MORE && event->type != QEMU_PING) {
            return 0;
        }
        if (main->left == 0) {
            waited = wait_for_bytes(main, err);
        }
    }
    if (waited == WAITED_FOR_NOTHING) {
        event->type = QEMU_NEEDS_MORE;
        return 0;
    }
    event->type = QEMU_DONE;
    return waited == WAITED_BROKEN ? -1 : qemu_stream_end(main->stream, err);
}

uint64_t qemu_main_bytes(const struct qemu_main *main)
{
    return main->bytes;
}

const struct qemu_block *qemu_main_block(const struct qemu_main *main, uint32_t block)
{
    return qemu_stream_block(main->stream, block);
}

uint32_t qemu_main_blocks(const struct qemu_main *main)
{
    return qemu_stream_blocks(main->stream);
}
