/* SPDX-License-Identifier: MIT */
/*
 * Input: a byte for the framing and how the connection ends, one for the longest message, two for
 * the pieces in which the bytes come, and the peer's bytes. They are given whole, one by one, and
 * in pieces, with calls between that are interrupted or find nothing: messages must be the same,
 * and no call may ask for a byte beyond a message, or beyond the buffer.
 */
#include "fuzz.h"

#include "core/base/bytes.h"
#include "transport/socket/input.h"

#include <errno.h>
#include <stdbool.h>

#define HEAD 4u /* of the input: what is not the peer's */

/* How the bytes come. */
enum pace {
    WHOLE,
    ONE_BY_ONE,
    PIECES,
};

/* One connection; the system's calls below take from it. */
struct feeder {
    const uint8_t *bytes;
    size_t size;
    size_t at; /* so many have been given */
    enum pace pace;
    uint32_t random;
    bool nothing; /* was there for the last call */
    int errnum;   /* with which it ends, 0: closed */
    struct socket_input input;
    uint32_t longest;
};

/* What has come out. */
struct outcome {
    uint64_t messages;
    uint64_t length; /* of all, and of what followed them */
    size_t end;      /* how many bytes had been given */
    enum socket_input_result result;
    uint32_t have;
};

static struct feeder feeder;

static uint32_t next_random(void)
{
    feeder.random ^= feeder.random << 13;
    feeder.random ^= feeder.random >> 17;
    feeder.random ^= feeder.random << 5;
    return feeder.random;
}

/* How many bytes a call that asks for `room` gets; 0 for the end, or -1 with errno. */
static ssize_t take_turn(size_t room)
{
    size_t most = feeder.pace == WHOLE        ? room
                  : feeder.pace == ONE_BY_ONE ? 1
                                              : 1 + next_random() % 16;
    size_t left = feeder.size - feeder.at;

    FUZZ_CHECK(room != 0);
    feeder.nothing = feeder.pace != WHOLE && !feeder.nothing;
    if (feeder.nothing) {
        errno = feeder.pace == PIECES && next_random() % 4 == 0 ? EINTR : EAGAIN;
        return -1;
    }
    if (left == 0 && feeder.errnum != 0) {
        errno = feeder.errnum;
        return -1;
    }
    most = most < room ? most : room;
    return (ssize_t)(most < left ? most : left);
}

static void give(void *to, size_t length)
{
    memcpy(to, feeder.bytes + feeder.at, length);
    feeder.at += length;
}

ssize_t __wrap_recv(int fd, void *to, size_t length, int flags);
ssize_t __wrap_readv(int fd, const struct iovec *iov, int num);

ssize_t __wrap_recv(int fd, void *to, size_t length, int flags)
{
    const struct socket_input *input = &feeder.input;
    size_t room = feeder.longest + (input->framing == TRANSPORT_FRAMED ? 4 : 0);
    ssize_t got;

    FUZZ_CHECK(fd == input->fd && flags == 0);
    FUZZ_CHECK(input->state == SOCKET_INPUT_WANTS);
    FUZZ_CHECK((uint8_t *)to == input->buffer + input->have);
    FUZZ_CHECK(input->have <= room && length <= room - input->have);
    got = take_turn(length);
    if (got > 0) {
        give(to, (size_t)got);
    }
    return got;
}

ssize_t __wrap_readv(int fd, const struct iovec *iov, int num)
{
    size_t room = 0;
    ssize_t got;
    size_t left;

    FUZZ_CHECK(fd == feeder.input.fd && num > 0);
    for (int i = 0; i < num; i++) {
        room += iov[i].iov_len;
    }
    got = take_turn(room);
    left = got > 0 ? (size_t)got : 0;
    for (int i = 0; left != 0; i++) {
        size_t part = left < iov[i].iov_len ? left : iov[i].iov_len;

        give(iov[i].iov_base, part);
        left -= part;
    }
    return got;
}

/* ---- What follows a message ---- */

enum { PLACES = 3, LONGEST_PLACE = 16, GAP = 4, MARK = 0xa5 };

struct payload {
    uint8_t memory[(PLACES + 1) * (LONGEST_PLACE + GAP)];
    struct iovec places[PLACES];
    uint32_t num;
};

/* The message itself says how much, as a packet's header does. Places lie in the opposite order. */
static void plan_payload(const struct transport_message *message, struct payload *payload)
{
    memset(payload->memory, MARK, sizeof(payload->memory));
    payload->num = message->bytes[0] % (PLACES + 1);
    for (uint32_t i = 0; i < payload->num; i++) {
        uint8_t *place = payload->memory + (PLACES - i) * (LONGEST_PLACE + GAP);

        payload->places[i] =
            (struct iovec){place, 1u + message->bytes[(i + 1) % message->length] % LONGEST_PLACE};
    }
}

/* Whether it lies where it belongs, in the order of the stream, and nothing anywhere else. */
static void check_payload(const struct payload *payload, size_t from)
{
    uint8_t expected[sizeof(payload->memory)];

    memset(expected, MARK, sizeof(expected));
    for (uint32_t i = 0; i < payload->num; i++) {
        const struct iovec *place = &payload->places[i];
        size_t left = feeder.at - from;
        size_t length = left < place->iov_len ? left : place->iov_len;

        memcpy(expected + ((const uint8_t *)place->iov_base - payload->memory), feeder.bytes + from,
               length);
        from += length;
    }
    FUZZ_CHECK(from == feeder.at);
    FUZZ_CHECK(memcmp(expected, payload->memory, sizeof(expected)) == 0);
}

static enum socket_input_result read_payload(const struct transport_message *message)
{
    enum socket_input_result result;
    struct payload payload = {.num = 0};
    struct iovec left[PLACES];
    struct iovec *iov = left;
    uint32_t num;
    size_t from = feeder.at;

    plan_payload(message, &payload);
    num = payload.num;
    memcpy(left, payload.places, sizeof(left));
    while ((result = socket_input_read(&feeder.input, &iov, &num)) == SOCKET_INPUT_FINE &&
           num != 0) {
        FUZZ_CHECK(socket_input_is_waiting(&feeder.input));
        FUZZ_CHECK(socket_input_progress(&feeder.input) == SOCKET_INPUT_FINE); /* reads nothing */
    }
    FUZZ_CHECK(result != SOCKET_INPUT_WRONG);
    FUZZ_CHECK(iov == left + (payload.num - num));
    check_payload(&payload, from);
    return result;
}

/* ---- Messages ---- */

/* It is what stands there, and all that has been read. */
static void check_message(const struct transport_message *message, size_t from)
{
    size_t prefix = feeder.input.framing == TRANSPORT_FRAMED ? 4 : 0;

    FUZZ_CHECK(message->length != 0 && message->length <= feeder.longest);
    FUZZ_CHECK(from + prefix + message->length == feeder.at);
    FUZZ_CHECK(memcmp(message->bytes, feeder.bytes + from + prefix, message->length) == 0);
    if (feeder.input.framing == TRANSPORT_FRAMED) {
        FUZZ_CHECK(get_be32(feeder.bytes + from) == message->length);
    } else if (feeder.input.framing == TRANSPORT_FIXED) {
        FUZZ_CHECK(message->length == feeder.longest);
    }
}

/* Why no message has come of what stood behind the last one. */
static void check_end(enum socket_input_result result, size_t from)
{
    const struct socket_input *input = &feeder.input;
    size_t rest = feeder.at - from;
    uint32_t length =
        input->framing == TRANSPORT_FRAMED && rest >= 4 ? get_be32(feeder.bytes + from) : 0;
    bool wrong =
        rest >= 4 && input->framing == TRANSPORT_FRAMED && (length == 0 || length > feeder.longest);

    FUZZ_CHECK((result == SOCKET_INPUT_WRONG) == wrong);
    FUZZ_CHECK(input->have == rest);
    if (wrong) {
        FUZZ_CHECK(rest == 4);
        FUZZ_CHECK(socket_input_progress(&feeder.input) == SOCKET_INPUT_WRONG); /* and stays so */
        return;
    }
    FUZZ_CHECK(result == SOCKET_INPUT_ENDED && input->errnum == feeder.errnum);
    FUZZ_CHECK(feeder.at == feeder.size);
    switch (input->framing) {
    case TRANSPORT_FRAMED:
        FUZZ_CHECK(rest < 4 || rest < 4 + length);
        break;
    case TRANSPORT_FIXED:
        FUZZ_CHECK(rest < feeder.longest);
        break;
    case TRANSPORT_BARE:
        FUZZ_CHECK(rest == 0);
        break;
    }
}

/* One message with what follows it; FINE when there may be more. */
static enum socket_input_result take_one(struct outcome *outcome)
{
    struct socket_input *input = &feeder.input;
    enum socket_input_result result;
    struct transport_message message;
    size_t from = feeder.at;

    while ((result = socket_input_progress(input)) == SOCKET_INPUT_FINE &&
           !socket_input_take(input, &message)) {
        FUZZ_CHECK(socket_input_is_waiting(input) && feeder.nothing);
    }
    if (result != SOCKET_INPUT_FINE) {
        check_end(result, from);
        return result;
    }
    check_message(&message, from);
    FUZZ_CHECK(!socket_input_take(input, &message) && !socket_input_is_waiting(input));
    if (input->framing != TRANSPORT_BARE) {
        outcome->messages++;
        result = read_payload(&message);
    }
    if (result == SOCKET_INPUT_FINE) {
        socket_input_release(input);
        FUZZ_CHECK(socket_input_is_waiting(input));
    }
    outcome->length += feeder.at - from;
    return result;
}

static void run(const uint8_t *data, size_t size, enum pace pace, struct outcome *outcome)
{
    const struct transport_profile profile = {.framing = (enum transport_framing)(data[0] % 3),
                                              .receive_size = 1u + data[1] % 64};
    struct multifd_error err;

    feeder = (struct feeder){.bytes = data + HEAD,
                             .size = size - HEAD,
                             .pace = pace,
                             .random = 1u + data[2] + 256u * data[3],
                             .errnum = data[0] >= 128 ? ECONNRESET : 0,
                             .longest = profile.receive_size};
    memset(outcome, 0, sizeof(*outcome));
    FUZZ_CHECK(socket_input_init(&feeder.input, 7, &profile, &err) == 0);
    do {
        outcome->result = take_one(outcome);
    } while (outcome->result == SOCKET_INPUT_FINE);
    outcome->end = feeder.at;
    outcome->have = feeder.input.have;
    socket_input_fini(&feeder.input);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct outcome whole;
    struct outcome parts;

    if (size < HEAD) {
        return 0;
    }
    run(data, size, WHOLE, &whole);
    for (enum pace pace = ONE_BY_ONE; pace <= PIECES; pace++) {
        run(data, size, pace, &parts);
        FUZZ_CHECK(fuzz_same_bytes(&whole, &parts, sizeof(whole)));
    }
    return 0;
}
