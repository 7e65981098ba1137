/* SPDX-License-Identifier: MIT */
/* zstd - the method that sends the pages of a packet as one Zstandard frame (RFC 8878). */
#ifndef MULTIFD_COMPRESS_ZSTD_H
#define MULTIFD_COMPRESS_ZSTD_H

#include <multifd_method.h>

extern const struct multifd_methods multifd_zstd_ops;

#endif
