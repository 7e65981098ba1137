/* SPDX-License-Identifier: MIT */
/*
 * zero_page - finding pages that hold nothing but zeros, at about the speed at which one thread can
 * read memory.
 *
 * A page may be written while it is looked at, by a guest or by a device. Then either answer may
 * come: whoever asks must look again at pages that change, as pre-copy does with its dirty bitmap.
 */
#ifndef MULTIFD_ZERO_PAGE_H
#define MULTIFD_ZERO_PAGE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Whether all `length` bytes, a multiple of 128, are zero. Reads nothing outside of them; the
 * address needs no alignment. Any thread.
 */
bool zero_page(const void *page, size_t length);

/* The instruction set that zero_page uses on this CPU. Any thread. */
const char *zero_page_variant(void);

#endif
