/* SPDX-License-Identifier: MIT */
/* connect - the two sides of making a connection: connecting, and taking a request in. */
#ifndef MULTIFD_VERBS_CONNECT_H
#define MULTIFD_VERBS_CONNECT_H

#include <multifd_error.h>

#include "transport/verbs/endpoint.h"

/* See transport_endpoint_ops. */
struct transport_channel *verbs_connect(struct transport_endpoint *base,
                                        const struct transport_profile *profile,
                                        const struct transport_greeting *greeting, int wake_fd,
                                        struct transport_greeting *answer,
                                        struct multifd_error *err);

int verbs_wait_request(struct transport_endpoint *base, int wake_fd, int timeout_ms,
                       struct transport_request **request, struct multifd_error *err);

const struct transport_greeting *verbs_request_greeting(const struct transport_request *request);

struct transport_channel *verbs_accept(struct transport_endpoint *base,
                                       struct transport_request *request,
                                       const struct transport_profile *profile,
                                       const struct transport_greeting *answer, int wake_fd,
                                       struct multifd_error *err);

void verbs_reject(struct transport_endpoint *base, struct transport_request *request,
                  const struct transport_greeting *answer);

#endif
