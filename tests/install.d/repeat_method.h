/* SPDX-License-Identifier: MIT */
/*
 * repeat_method.h - a compression method that is not the library's: an example to start from.
 *
 * A page that is one word of 8 bytes over and over travels as that word, any other as it is. Both
 * sides register the method under the same value, and the source chooses it:
 *
 *   multifd_register_ops(options, REPEAT_FLAG, "repeat", &repeat_method, &err);
 *   multifd_options_set(options, "method", "repeat", &err);
 */
#ifndef REPEAT_METHOD_H
#define REPEAT_METHOD_H

#include <multifd_method.h>

/* One of the values that the library leaves free: 3 << 1 to 7 << 1. */
#define REPEAT_FLAG (3u << 1)

extern const struct multifd_methods repeat_method;

#endif
