/* SPDX-License-Identifier: MIT */
/*
 * fake_channel - what connecting and accepting are made of: a channel that holds its identifier and
 * nothing else, steps that can be told to fail (resolve_address, use_device, channel_new,
 * channel_meet, channel_ready), and an endpoint with a listener.
 */
#ifndef MULTIFD_UNIT_FAKE_CHANNEL_H
#define MULTIFD_UNIT_FAKE_CHANNEL_H

#include "mock_verbs.h"
#include "transport/verbs/channel.h"
#include "transport/verbs/endpoint.h"

struct verbs_channel {
    struct transport_channel base;
    struct verbs_cm cm;
};

/* A cmocka test with the endpoint. */
#define with_endpoint(function)                                                                    \
    cmocka_unit_test_setup_teardown(function, endpoint_setup, endpoint_teardown)

/* Objects of the endpoint's own. */
#define ENDPOINT_LIVE 2

extern const struct transport_profile profile;
extern const struct transport_greeting greeting; /* ours */
extern const struct transport_greeting peers_greeting;

extern struct verbs_endpoint endpoint; /* with a limit of 30 ms */
extern struct transport_endpoint *const base;
extern int wake_fd;

int endpoint_setup(void **state);
int endpoint_teardown(void **state);

/* Makes wake_fd readable. */
void wake(void);

/* The calls in the log without the taking of events. */
void assert_steps(const char *expected);

void assert_answer(const struct transport_greeting *answer);

#endif
