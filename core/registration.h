/* SPDX-License-Identifier: MIT */
/*
 * registration - what of a session's memory is registered, and in which pieces; registrar.h does
 * it.
 */
#ifndef MULTIFD_REGISTRATION_H
#define MULTIFD_REGISTRATION_H

#include "core/session.h"

/* Bytes of a piece: the option, or what suits the session where that is left open. */
uint64_t registration_piece_size(const struct session *session);

/* Whether as much memory may be locked as the options ask for before the first page is seen. */
int registration_check_memory(const struct session *session, struct multifd_error *err);

/* Whether the device can do what the options say. The device is known by then. */
int registration_check_device(const struct session *session, struct multifd_error *err);

/* Splits the blocks into pieces that the device takes, all at once if need be. */
int registration_split(struct session *session, struct multifd_error *err);

/* Pieces of all blocks. */
uint64_t registration_pieces(const struct session *session);

/*
 * For a transport that needs no registered memory: each block is one piece, without keys. 0, or -1
 * with *err.
 */
int registration_skip(struct session *session, struct multifd_error *err);

#endif
