/* SPDX-License-Identifier: MIT */
/*
 * destination_setup - agreeing with the source on the session, when its control connection is up.
 */
#ifndef MULTIFD_DESTINATION_SETUP_H
#define MULTIFD_DESTINATION_SETUP_H

#include "core/destination.h"

/*
 * Makes a block of the source's number `index` here: the one that was added under that name, or the
 * one that the owner of this side's memory is asked for. 0, or -1 with *err.
 */
int destination_take_block(struct multifd_destination *destination, uint32_t index,
                           const char *name, uint64_t length, struct multifd_error *err);

/* After the source's last block, `total` in all: -1 with *err if this side has more. */
int destination_check_blocks(const struct multifd_destination *destination, uint32_t total,
                             struct multifd_error *err);

/* Begins to note which pages are received, where memory is fresh. 0, or -1 with *err. */
int destination_keep_received(struct session *session, struct multifd_error *err);

/* Hello, RAM blocks, registration. 0, or -1 with *err. */
int destination_agree(struct multifd_destination *destination, struct multifd_error *err);

/* Tells the source where a new channel's payloads go, if the session has any that are staged. */
int destination_tell_staging(struct multifd_destination *destination, uint32_t channel,
                             struct multifd_error *err);

#endif
