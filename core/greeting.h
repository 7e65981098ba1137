/* SPDX-License-Identifier: MIT */
/*
 * greeting - what the two sides tell each other while a connection is made.
 *
 *   offset size
 *        0    4 magic "MFRD"
 *        4    2 version of the session protocol
 *        6    1 kind: control or channel
 *        7    1 channel number
 *        8   16 session UUID
 *       24    1 reason: why a connection is refused, 0 otherwise
 *       25    3 0
 *
 * Over a byte stream a channel's greeting has the form of QEMU's MultiFDInit_t instead, of which
 * only this much is not 0:
 *
 *        0    4 magic 0x11223344
 *        4    4 version 1
 *        8   16 UUID: of the session, or of QEMU's guest
 *       24    1 channel number
 */
#ifndef MULTIFD_GREETING_H
#define MULTIFD_GREETING_H

#include <multifd_error.h>
#include <stdbool.h>
#include <stdint.h>

#include "transport/transport.h"

#define GREETING_VERSION    1u
#define GREETING_BYTES      28u
#define GREETING_UUID_BYTES 16u

enum greeting_kind {
    GREETING_CONTROL = 1,
    GREETING_CHANNEL = 2,
};

enum greeting_reason {
    GREETING_WELCOME = 0,
    GREETING_BUSY = 1, /* another session is under way */
    GREETING_VERSION_DIFFERS = 2,
    GREETING_UNKNOWN = 3, /* not of this session, or no such channel */
    GREETING_FAILED = 4,  /* the session has failed on that side */
};

struct greeting {
    uint16_t version;
    enum greeting_kind kind;
    uint8_t channel;
    uint8_t uuid[GREETING_UUID_BYTES];
    enum greeting_reason reason;
};

/* Writes a greeting of this version. */
void greeting_encode(const struct greeting *greeting, struct transport_greeting *out);

/* Writes the greeting of a channel over a byte stream. */
void greeting_encode_init(const struct greeting *greeting, struct transport_greeting *out);

/*
 * Reads a peer's greeting, of either form. -1 with MULTIFD_ERROR_CONNECT when it is not multifd's,
 * or MULTIFD_ERROR_VERSION when it is another version's.
 */
int greeting_decode(const struct transport_greeting *in, struct greeting *greeting,
                    struct multifd_error *err);

/*
 * Checks the greeting with which a connection was accepted: it is the one that was offered, given
 * back. -1 with *err as for greeting_decode.
 */
int greeting_check_answer(const struct transport_greeting *answer,
                          const struct transport_greeting *offer, struct multifd_error *err);

/* Turns a refusal's greeting into an error that says why. */
int greeting_explain(const struct transport_greeting *in, struct multifd_error *err);

#endif
