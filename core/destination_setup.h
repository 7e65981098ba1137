/* SPDX-License-Identifier: MIT */
/*
 * destination_setup - agreeing with the source on the session, when its control connection is up.
 */
#ifndef MULTIFD_DESTINATION_SETUP_H
#define MULTIFD_DESTINATION_SETUP_H

#include "core/destination.h"

/* Hello, RAM blocks, registration. 0, or -1 with *err. */
int destination_agree(struct multifd_destination *destination, struct multifd_error *err);

/* Tells the source where a new channel's payloads go, if the session has any that are staged. */
int destination_tell_staging(struct multifd_destination *destination, uint32_t channel,
                             struct multifd_error *err);

#endif
