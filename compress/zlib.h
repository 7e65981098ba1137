/* SPDX-License-Identifier: MIT */
/* zlib - the method that sends the pages of a packet as one zlib stream (RFC 1950). */
#ifndef MULTIFD_COMPRESS_ZLIB_H
#define MULTIFD_COMPRESS_ZLIB_H

#include <multifd_method.h>

extern const struct multifd_methods multifd_zlib_ops;

#endif
