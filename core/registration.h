/* SPDX-License-Identifier: MIT */
/*
 * registration - registering a session's RAM blocks with the device, piece by piece, by several
 * threads: one thread registers memory more slowly than a fast link sends it.
 */
#ifndef MULTIFD_REGISTRATION_H
#define MULTIFD_REGISTRATION_H

#include <stdbool.h>

#include "core/session.h"

struct registration;

/*
 * Checks the limits, splits the blocks into pieces and starts registering them; writable: for the
 * peer's writes. The device is known by then. NULL on error.
 */
struct registration *registration_start(struct session *session, bool writable,
                                        struct multifd_error *err);

/*
 * Waits for the end and frees *registration. 0, or -1 with the first error; what was registered is
 * released by registration_release in any case.
 */
int registration_finish(struct registration **registration, struct multifd_error *err);

/*
 * For a transport that needs no registered memory: each block is one piece, without keys. 0, or -1
 * with *err.
 */
int registration_skip(struct session *session, struct multifd_error *err);

/* Deregisters all pieces; every channel that may use them is freed by then. */
void registration_release(struct session *session);

#endif
