/* SPDX-License-Identifier: MIT */
/*
 * registrar - registers the pieces of one side's memory while the session runs, by several threads:
 * one thread registers memory more slowly than a fast link sends it.
 *
 * With registration `all` (and `odp`, which pins nothing) both sides register every piece in order,
 * and the destination tells the source where each is as soon as it is registered. On demand the
 * source's channels want a piece when they have found a page that needs it; the source then asks
 * the destination for it, both register it at the same time, and the destination answers. Nobody
 * waits for it but a packet that needs it.
 *
 * Registering may take as long as it takes (memory may have to be read back from a disk), so a
 * destination that lives and does not answer is waited for, as for a sync; the control connection
 * notices one that has died.
 */
#ifndef MULTIFD_REGISTRAR_H
#define MULTIFD_REGISTRAR_H

#include "core/control.h"

struct registrar;

/*
 * Starts on blocks that were split (registration.h) and are constant from then on. Takes the
 * control connection's messages about pieces in from then on. NULL on error, nothing registered.
 */
struct registrar *registrar_new(struct session *session, struct control *control, bool source,
                                struct multifd_error *err);

/*
 * Ends the threads, between two pieces; what is wanted still is not registered any more. The
 * control connection has been stopped, so that none of them waits for it. Accepts NULL.
 */
void registrar_stop(struct registrar *registrar);

/*
 * Deregisters all pieces and frees *registrar, which was stopped; every channel that may use the
 * pieces is gone by then. Sets it to NULL; accepts NULL.
 */
void registrar_delete(struct registrar **registrar);

/* Source: wants the pieces of these pages. Any thread; never waits. */
void registrar_want(struct registrar *registrar, struct multifd_ram_block *block,
                    const uint64_t *offsets, uint32_t num);

/*
 * Source: whether the pieces of these pages, which are wanted, can be used on both sides. If not,
 * `waker` is woken when any piece has become ready: look again then. The waker lives until
 * registrar_stop has returned.
 */
bool registrar_ready(struct registrar *registrar, const struct multifd_ram_block *block,
                     const uint64_t *offsets, uint32_t num, struct waker *waker);

#endif
