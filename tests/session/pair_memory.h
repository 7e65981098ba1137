/* SPDX-License-Identifier: MIT */
/* pair_memory - the two sides' guest memory, between pages that nobody may touch. */
#ifndef PAIR_MEMORY_H
#define PAIR_MEMORY_H

#include "session_pair.h"

void pair_memory_make(struct session_pair *pair);
void pair_memory_free(struct session_pair *pair);

#endif
