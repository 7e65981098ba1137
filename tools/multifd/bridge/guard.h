/* SPDX-License-Identifier: MIT */
/*
 * guard.h - a process that does what is left to do when its bridge is killed.
 *
 * A bridge that fails leaves nothing open: it makes the destination's QEMU end, or tells the
 * source's that it must keep the guest stopped. One that is killed leaves sockets that just close.
 *
 * At the destination QEMU 7.2 may then wait for ever for what its channels never get, deaf to its
 * monitor, with locks on its disks. Nothing but a signal ends it, so the guard sends that when QEMU
 * has not gone by itself. It does so only if the guest cannot have started: before the bridge hands
 * the end of the stream over it says so here, in memory that outlives it.
 *
 * At the source QEMU would resume its guest, which by then may run at the destination. While the
 * bridge hands the guest over, the guard holds QEMU's connection, and says to it what the bridge
 * would have said.
 */
#ifndef MULTIFD_BRIDGE_GUARD_H
#define MULTIFD_BRIDGE_GUARD_H

#include <multifd_error.h>
#include <stddef.h>
#include <sys/types.h>

struct guard;

/*
 * Starts the guard, which gives a destination's QEMU `grace_ms` to end by itself, and says on
 * standard error what it has done, as `command`. Before any thread is started and any memory
 * registered. NULL with *err.
 */
struct guard *guard_start(const char *command, int grace_ms, struct multifd_error *err);

/* QEMU's process; from now on it has a migration that is the bridge's. Any thread; `guard`: the
 * guard. */
void guard_connected(void *guard, pid_t qemu);

/* From now on the guest may run there: whatever happens, QEMU is left alone. Any thread. */
void guard_handing_over(void *guard);

/* QEMU's connection, of which the guard gets a copy, and what is to be said to it. Any thread. */
void guard_committing(void *guard, int qemu, const void *words, size_t length);

/* The bridge has come to its own end. Accepts NULL, sets to NULL. */
void guard_stop(struct guard **guard);

#endif
