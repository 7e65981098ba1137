/* SPDX-License-Identifier: MIT */
/*
 * destination - what a destination does differently when its source is QEMU's: nothing is agreed
 * on, the main channel takes the place of the control connection, and its end is the session's.
 */
#ifndef MULTIFD_QEMU_DESTINATION_H
#define MULTIFD_QEMU_DESTINATION_H

#include "core/destination.h"
#include "core/qemu/main_channel.h"

/* Takes from the options what a source of our own would say. 0, or -1 with *err. */
int qemu_destination_configure(struct multifd_destination *destination, struct multifd_error *err);

/* Whether a connection that begins so is the main channel. */
bool qemu_destination_is_main(const struct transport_greeting *greeting);

/* Takes the main channel in. 1, or -1 with *err. */
int qemu_destination_take_main(struct multifd_destination *destination,
                               struct transport_request *request, struct multifd_error *err);

/* -1 with *err when a channel that greets so is none of this migration. */
int qemu_destination_check_channel(struct multifd_destination *destination,
                                   const struct greeting *greeting, struct multifd_error *err);

/* One connection has come: the others are due. */
void qemu_destination_expect_more(struct multifd_destination *destination);

/* Sets *err for connections that have not come in time. Returns -1. */
int qemu_destination_too_late(const struct multifd_destination *destination,
                              struct multifd_error *err);

/*
 * Waits until every channel and the main channel have come to the end of a round, and ends it.
 * Returns 1, 0 when the migration has ended, or -1 with the session's error.
 */
int qemu_destination_take_round(struct multifd_destination *destination, struct multifd_error *err);

/* Adds the zero pages that came over the main channel. */
void qemu_destination_statistics(const struct multifd_destination *destination,
                                 struct multifd_statistics *out);

#endif
