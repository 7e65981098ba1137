/* SPDX-License-Identifier: MIT */
/* json_parts.h - what the reports' JSON objects have in common. */
#ifndef MULTIFD_TOOL_JSON_PARTS_H
#define MULTIFD_TOOL_JSON_PARTS_H

#include <jansson.h>
#include <multifd_error.h>
#include <stdint.h>

json_t *json_parts_number(uint64_t value);

/* JSON is UTF-8, but a path or an address may hold any bytes: then all but ASCII become "?". */
json_t *json_parts_text(const char *text);

/* null for NULL. */
json_t *json_parts_error(const struct multifd_error *error);

/* Takes the object; the caller frees the text. `layout` is jansson's flags. */
char *json_parts_dump(json_t *object, size_t layout);

#endif
