/* SPDX-License-Identifier: MIT */
/* The main connection at the destination: the stream to QEMU, and QEMU's answers back. */
#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/bridge/main_link.h"

#include <sys/socket.h>

/* So much may wait for QEMU to read it; what is kept back is not counted. */
#define WAITING_MAX (256u << 10)

/* A stream without a description has ended when so long nothing has come behind its footer. */
#define QUIET_NS (UINT64_C(100) * NS_PER_MS)

static struct bridge_main *of(void *link)
{
    return link;
}

/* Looks for where the RAM is over: *length is what of the bytes belongs to it. */
static int look(struct bridge_main *main, const uint8_t *bytes, size_t *length,
                struct multifd_error *err)
{
    size_t left = *length;
    struct qemu_event event;

    do {
        if (qemu_stream_next(main->stream, &bytes, &left, &event, err) != 0) {
            return -1;
        }
        main->ram_done = event.type == QEMU_RAM_DONE;
    } while (!main->ram_done && (left != 0 || event.type != QEMU_NEEDS_MORE));
    *length -= left;
    return 0;
}

/* Adds bytes to the tail, which watches from where the RAM is over. */
static int take_bytes(struct bridge_main *main, const uint8_t *bytes, size_t length,
                      struct multifd_error *err)
{
    size_t of_ram = length;

    if (main->ram_done) {
        return bridge_tail_add(&main->tail, bytes, length, err);
    }
    if (look(main, bytes, &of_ram, err) != 0 ||
        bridge_tail_add(&main->tail, bytes, of_ram, err) != 0) {
        return -1;
    }
    if (!main->ram_done) {
        return 0;
    }
    bridge_tail_watch(&main->tail);
    return bridge_tail_add(&main->tail, bytes + of_ram, length - of_ram, err);
}

static int receive(struct bridge_main *main, bool *busy, struct multifd_error *err)
{
    struct transport_channel *channel = main->link.channel;
    struct transport_message message;
    struct bridge_frame frame;
    const uint8_t *unused;

    while (bridge_tail_ready(&main->tail, &unused) < WAITING_MAX &&
           channel->ops->receive(channel, &message)) {
        if (bridge_frame_decode(message.bytes, message.length, &frame, err) != 0) {
            return -1;
        }
        if (frame.kind != BRIDGE_FRAME_BYTES) {
            return error_set(err, MULTIFD_ERROR_PROTOCOL, "a packet on the main connection");
        }
        if (take_bytes(main, frame.bytes, frame.length, err) != 0 ||
            channel->ops->release(channel, err) != 0) {
            return -1;
        }
        counter_add(&main->link.counters.main_bytes, frame.length);
        main->quiet_since_ns = clock_now_ns();
        *busy = true;
    }
    return 0;
}

static int hand_over(struct bridge_main *main, bool *busy, struct multifd_error *err)
{
    const uint8_t *bytes;
    size_t ready = bridge_tail_ready(&main->tail, &bytes);
    uint32_t left = ready > WAITING_MAX ? WAITING_MAX : (uint32_t)ready;
    uint32_t before = left;
    int status = bridge_link_write(&main->link, &bytes, &left, busy, err);

    if (status != 0 && atomic_load(&main->link.bridge->committed)) {
        left = 0; /* QEMU reads no more of the end than it needs: only its answer counts now */
        status = 0;
    }
    bridge_tail_take(&main->tail, before - left);
    return status;
}

static bool is_complete(const struct bridge_main *main)
{
    return bridge_tail_is_complete(&main->tail) ||
           (bridge_tail_may_be_complete(&main->tail) &&
            clock_now_ns() >= main->quiet_since_ns + QUIET_NS);
}

/* Whether QEMU has read all that it was given: then only what is kept back is left to be done. */
static bool qemu_has_read(const struct bridge_main *main)
{
    struct multifd_error unused;

    return bridge_link_unread(&main->link, &unused) == 0;
}

/* The main thread asks the source's bridge, and opens the end; see bridge.h. */
static void look_for_end(struct bridge_main *main, bool *busy)
{
    struct multifd_bridge *bridge = main->link.bridge;
    const uint8_t *unused;

    if (!main->told && is_complete(main) && bridge_tail_ready(&main->tail, &unused) == 0 &&
        qemu_has_read(main)) {
        main->told = true;
        atomic_store(&bridge->stream_done, true);
        bridge_tell(bridge);
    }
    if (atomic_load(&bridge->committed) && !main->tail.open) {
        bridge_tail_open(&main->tail);
        *busy = true;
    }
}

/*
 * QEMU has closed the connection, as it does behind its last answer; without one it has failed or
 * was killed.
 */
static int take_end(struct bridge_main *main, struct multifd_error *err)
{
    struct multifd_bridge *bridge = main->link.bridge;

    main->ended = true;
    if (atomic_load(&bridge->verdict) != BRIDGE_OPEN) {
        return 0;
    }
    if (atomic_load(&bridge->committed)) {
        atomic_store(&bridge->verdict, BRIDGE_REFUSED);
        bridge_tell(bridge);
        return 0;
    }
    return error_set(err, MULTIFD_ERROR_SYSTEM,
                     "QEMU's destination ended: it closed its main connection");
}

static void take_answer(struct bridge_main *main)
{
    struct multifd_bridge *bridge = main->link.bridge;

    if (main->answers.shut && atomic_load(&bridge->verdict) == BRIDGE_OPEN) {
        atomic_store(&bridge->verdict,
                     main->answers.value == 0 ? BRIDGE_SUCCEEDED : BRIDGE_REFUSED);
        bridge_tell(bridge);
    }
}

static int read_answers(struct bridge_main *main, bool *busy, struct multifd_error *err)
{
    struct transport_channel *channel = main->link.channel;
    uint8_t *buffer = main->ended ? NULL : channel->ops->send_buffer(channel, 0);
    int got;

    if (buffer == NULL) {
        return 0;
    }
    got = bridge_link_read(&main->link, buffer + BRIDGE_FRAME_START, BRIDGE_BYTES_MAX, err);
    if (got == 0) {
        return 0;
    }
    if (got < 0) {
        return err->code == MULTIFD_ERROR_DISCONNECTED ? take_end(main, err) : -1;
    }
    *busy = true;
    if (bridge_answers_look(&main->answers, buffer + BRIDGE_FRAME_START, (uint32_t)got, err) != 0) {
        return -1;
    }
    take_answer(main); /* before it is sent: FINISH_OK may come at once */
    counter_add(&main->link.counters.return_bytes, (uint64_t)got);
    bridge_frame_begin(BRIDGE_FRAME_BYTES, BRIDGE_FRAME_START + (uint32_t)got, buffer);
    if (channel->ops->send(channel, NULL, 0, BRIDGE_FRAME_START + (uint32_t)got, false, err) != 0) {
        return -1;
    }
    return 0;
}

/* Answers first: a QEMU that has failed says so before it closes what is still written to. */
static int step(void *link, bool *busy, struct multifd_error *err)
{
    struct bridge_main *main = of(link);

    *busy = false;
    if (receive(main, busy, err) != 0 || read_answers(main, busy, err) != 0 ||
        (!main->ended && hand_over(main, busy, err) != 0)) {
        return -1;
    }
    look_for_end(main, busy);
    return 0;
}

/* The kernel tells nobody that a unix socket's peer has read: only looking does. */
static uint64_t not_before(void *link)
{
    struct bridge_main *main = of(link);

    if (main->told || !main->tail.watched) {
        return 0;
    }
    return clock_now_ns() + NS_PER_MS;
}

static void also_poll(void *link, struct pollfd *fd)
{
    struct bridge_main *main = of(link);
    const uint8_t *unused;
    int events = POLLIN | (bridge_tail_ready(&main->tail, &unused) != 0 ? POLLOUT : 0);

    *fd = (struct pollfd){.fd = main->ended ? -1 : main->link.fd, .events = (short)events};
}

const struct bridge_link_ops bridge_main_destination_ops = {
    .step = step,
    .not_before = not_before,
    .also_poll = also_poll,
    .release = bridge_main_release,
};

/* ---- Without the thread ------------------------------------------------------------------ */

static bool wait_for(int fd, short events, uint64_t deadline_ns)
{
    struct pollfd poll_fd = {.fd = fd, .events = events};

    return poll(&poll_fd, 1, clock_ms_until(deadline_ns)) > 0 || clock_now_ns() < deadline_ns;
}

enum bridge_verdict bridge_main_wait_answer(struct bridge_link *link, uint64_t deadline_ns)
{
    struct bridge_main *main = of(link);
    struct multifd_bridge *bridge = link->bridge;
    struct multifd_error err;
    uint8_t bytes[64];
    bool busy;
    int got = 0;

    bridge_tail_open(&main->tail);
    while (atomic_load(&bridge->verdict) == BRIDGE_OPEN && got >= 0) {
        const uint8_t *unused;
        short events = POLLIN;

        if (hand_over(main, &busy, &err) == 0 && bridge_tail_ready(&main->tail, &unused) != 0) {
            events |= POLLOUT;
        }
        got = bridge_link_read(link, bytes, sizeof(bytes), &err);
        if (got > 0 && bridge_answers_look(&main->answers, bytes, (uint32_t)got, &err) == 0) {
            take_answer(main);
        } else if (got == 0 && !wait_for(link->fd, events, deadline_ns)) {
            break;
        }
    }
    return (enum bridge_verdict)atomic_load(&bridge->verdict);
}
