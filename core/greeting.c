/* SPDX-License-Identifier: MIT */
#include "core/greeting.h"

#include "core/base/bytes.h"
#include "core/base/error.h"

#include <assert.h>
#include <string.h>

#define GREETING_MAGIC 0x4d465244u

#define INIT_MAGIC   0x11223344u
#define INIT_VERSION 1u
#define INIT_BYTES   25u

static_assert(GREETING_BYTES <= TRANSPORT_GREETING_MAX, "a greeting fits the transport");
static_assert(INIT_BYTES <= TRANSPORT_GREETING_MAX, "the other form fits too");

void greeting_encode(const struct greeting *greeting, struct transport_greeting *out)
{
    memset(out, 0, sizeof(*out));
    out->length = GREETING_BYTES;
    put_be32(out->bytes, GREETING_MAGIC);
    put_be16(out->bytes + 4, GREETING_VERSION);
    out->bytes[6] = (uint8_t)greeting->kind;
    out->bytes[7] = greeting->channel;
    memcpy(out->bytes + 8, greeting->uuid, GREETING_UUID_BYTES);
    out->bytes[24] = (uint8_t)greeting->reason;
}

void greeting_encode_init(const struct greeting *greeting, struct transport_greeting *out)
{
    memset(out, 0, sizeof(*out));
    out->length = INIT_BYTES;
    put_be32(out->bytes, INIT_MAGIC);
    put_be32(out->bytes + 4, INIT_VERSION);
    memcpy(out->bytes + 8, greeting->uuid, GREETING_UUID_BYTES);
    out->bytes[24] = greeting->channel;
}

/* Whether a greeting is that long, and what the transport has put behind it is 0. */
static bool has_length(const struct transport_greeting *in, uint32_t length)
{
    for (size_t i = length; i < in->length; i++) {
        if (in->bytes[i] != 0) {
            return false;
        }
    }
    return in->length >= length;
}

static int decode_init(const struct transport_greeting *in, struct greeting *greeting,
                       struct multifd_error *err)
{
    uint32_t version = get_be32(in->bytes + 4);

    if (version != INIT_VERSION) {
        return error_set(err, MULTIFD_ERROR_VERSION,
                         "the peer speaks version %u of multifd, this side %u", version,
                         INIT_VERSION);
    }
    if (!has_length(in, INIT_BYTES)) {
        return error_set(err, MULTIFD_ERROR_PROTOCOL, "the peer's greeting is malformed");
    }
    *greeting = (struct greeting){
        .version = GREETING_VERSION, .kind = GREETING_CHANNEL, .channel = in->bytes[24]};
    memcpy(greeting->uuid, in->bytes + 8, GREETING_UUID_BYTES);
    return 0;
}

int greeting_decode(const struct transport_greeting *in, struct greeting *greeting,
                    struct multifd_error *err)
{
    const uint8_t *bytes = in->bytes;

    if (in->length >= 8 && get_be32(bytes) == INIT_MAGIC) {
        return decode_init(in, greeting, err);
    }
    if (in->length < 6 || get_be32(bytes) != GREETING_MAGIC) {
        return error_set(err, MULTIFD_ERROR_CONNECT, "the peer is not multifd");
    }
    if (get_be16(bytes + 4) != GREETING_VERSION) {
        return error_set(err, MULTIFD_ERROR_VERSION,
                         "the peer speaks version %u of the session protocol, this side %u",
                         get_be16(bytes + 4), GREETING_VERSION);
    }
    if (!has_length(in, GREETING_BYTES) || bytes[25] != 0 || bytes[26] != 0 || bytes[27] != 0 ||
        (bytes[6] != GREETING_CONTROL && bytes[6] != GREETING_CHANNEL) ||
        bytes[24] > GREETING_FAILED) {
        return error_set(err, MULTIFD_ERROR_PROTOCOL, "the peer's greeting is malformed");
    }
    greeting->version = get_be16(bytes + 4);
    greeting->kind = (enum greeting_kind)bytes[6];
    greeting->channel = bytes[7];
    memcpy(greeting->uuid, bytes + 8, GREETING_UUID_BYTES);
    greeting->reason = (enum greeting_reason)bytes[24];
    return 0;
}

int greeting_check_answer(const struct transport_greeting *answer,
                          const struct transport_greeting *offer, struct multifd_error *err)
{
    struct greeting greeting;

    if (greeting_decode(answer, &greeting, err) != 0) {
        return -1;
    }
    if (memcmp(answer->bytes, offer->bytes, offer->length) != 0) {
        return error_set(err, MULTIFD_ERROR_PROTOCOL, "the peer's greeting answers another one");
    }
    return 0;
}

int greeting_explain(const struct transport_greeting *in, struct multifd_error *err)
{
    static const char *const texts[] = {
        [GREETING_WELCOME] = "without a reason",
        [GREETING_BUSY] = "it is busy with another session",
        [GREETING_VERSION_DIFFERS] = "it speaks another version of the session protocol",
        [GREETING_UNKNOWN] = "it does not expect this connection",
        [GREETING_FAILED] = "the session has failed there",
    };
    struct greeting greeting = {.reason = GREETING_WELCOME};

    if (greeting_decode(in, &greeting, err) != 0) {
        return -1;
    }
    return error_set(err, MULTIFD_ERROR_REFUSED, "the destination refused the connection: %s",
                     texts[greeting.reason]);
}
