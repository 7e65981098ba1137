/* SPDX-License-Identifier: MIT */
/* writers - threads that write to a guest's memory at random, as the CPUs of a running guest do. */
#ifndef LAB_WRITERS_H
#define LAB_WRITERS_H

#include "guest.h"

struct writers;

/* Starts that many threads; the guest must outlive them. Ends the program when it cannot. */
struct writers *writers_start(struct guest *guest, unsigned threads, uint64_t seed);

/* Stops them and waits for them; returns how many times they wrote. Accepts a pointer to NULL. */
uint64_t writers_stop(struct writers **writers);

#endif
