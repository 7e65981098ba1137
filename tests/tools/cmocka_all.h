/* SPDX-License-Identifier: MIT */
/* cmocka_all.h - cmocka.h with what it wants to be included before it. */
#ifndef MULTIFD_TESTS_CMOCKA_ALL_H
#define MULTIFD_TESTS_CMOCKA_ALL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
