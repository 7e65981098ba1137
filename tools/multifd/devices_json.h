/* SPDX-License-Identifier: MIT */
/* devices_json.h - the list of devices as one JSON object. */
#ifndef MULTIFD_TOOL_DEVICES_JSON_H
#define MULTIFD_TOOL_DEVICES_JSON_H

#include "advice.h"

/* Raised when a member of the JSON object is removed or gets another meaning. */
#define DEVICES_VERSION 1

/* The object as text without a final newline; the caller frees it. NULL without memory. */
char *devices_json(const struct host_facts *facts, const struct advices *advices);

#endif
