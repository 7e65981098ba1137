/* SPDX-License-Identifier: MIT */
/*
 * main_channel - QEMU's main migration connection: waits for what comes there, and answers.
 *
 * It has no thread. Whoever wants the next event waits for it; while nobody does, nothing is read,
 * and QEMU waits too.
 */
#ifndef MULTIFD_QEMU_MAIN_CHANNEL_H
#define MULTIFD_QEMU_MAIN_CHANNEL_H

#include "core/qemu/stream.h"
#include "core/session.h"

struct qemu_main;

/* The channel profile of the connection. */
const struct transport_profile *qemu_main_profile(void);

/* Takes a channel over. NULL on error; the channel is then freed. */
struct qemu_main *qemu_main_new(struct session *session, struct transport_channel *channel,
                                struct multifd_error *err);

/*
 * Disconnects; a source that waits for an answer hears first whether the session has finished. Sets
 * *main to NULL; accepts NULL.
 */
void qemu_main_delete(struct qemu_main **main);

/*
 * Waits for the next event; QEMU_DONE comes last, QEMU_PING never, and QEMU_NEEDS_MORE when nothing
 * has come for a moment. 0, or -1 with *err, which is the session's own error if it has failed.
 * Main thread only.
 */
int qemu_main_next(struct qemu_main *main, struct qemu_event *event, struct multifd_error *err);

/* Bytes that have come. */
uint64_t qemu_main_bytes(const struct qemu_main *main);

/* See qemu_stream_block and qemu_stream_blocks. */
const struct qemu_block *qemu_main_block(const struct qemu_main *main, uint32_t block);
uint32_t qemu_main_blocks(const struct qemu_main *main);

#endif
