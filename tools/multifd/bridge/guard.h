/* SPDX-License-Identifier: MIT */
/*
 * guard.h - a process that ends the destination's QEMU when its bridge is killed.
 *
 * A bridge that fails makes QEMU end (core/bridge/destination_channel.c), but one that is killed
 * leaves sockets that just close: QEMU 7.2 may then wait for ever for what its channels never get,
 * deaf to its monitor, with locks on its disks. Nothing but a signal ends it, so the guard sends
 * that when QEMU has not gone by itself. It does so only if the guest cannot have started: before
 * the bridge hands the end of the stream over it says so here, in memory that outlives it.
 */
#ifndef MULTIFD_BRIDGE_GUARD_H
#define MULTIFD_BRIDGE_GUARD_H

#include <multifd_error.h>
#include <sys/types.h>

struct guard;

/*
 * Starts the guard, which gives QEMU `grace_ms` to end by itself. Before any thread is started and
 * any memory registered. NULL with *err.
 */
struct guard *guard_start(int grace_ms, struct multifd_error *err);

/* QEMU's process; from now on it has a migration that is the bridge's. Any thread; `guard`: the
 * guard. */
void guard_connected(void *guard, pid_t qemu);

/* From now on the guest may run there: whatever happens, QEMU is left alone. Any thread. */
void guard_handing_over(void *guard);

/* The bridge has come to its own end. Accepts NULL, sets to NULL. */
void guard_stop(struct guard **guard);

#endif
