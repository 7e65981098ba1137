/* SPDX-License-Identifier: MIT */
/* nocomp - the method that sends pages as they are. */
#ifndef MULTIFD_COMPRESS_NOCOMP_H
#define MULTIFD_COMPRESS_NOCOMP_H

#include <multifd_method.h>

extern const struct multifd_methods multifd_nocomp_ops;

#endif
