/* SPDX-License-Identifier: MIT */
/*
 * method_packets.h - pages as packets of a method, made by its hooks without a session, each packet
 * complete by itself as over verbs. Used by one thread.
 */
#ifndef MULTIFD_BENCH_METHOD_PACKETS_H
#define MULTIFD_BENCH_METHOD_PACKETS_H

#include <multifd.h>
#include <stddef.h>
#include <stdint.h>

struct method_packets;

/* What is made of what; all stay the caller's. */
struct method_input {
    const struct multifd_methods *ops;
    int32_t level;
    uint32_t page_size;
    const uint8_t *host;     /* what `offsets` are in */
    const uint64_t *offsets; /* of the pages */
    size_t pages;            /* their number */
};

/* Sets the method up for both directions. NULL on error. */
struct method_packets *method_packets_new(const struct method_input *input,
                                          struct multifd_error *err);

/* Accepts NULL, sets to NULL. */
void method_packets_delete(struct method_packets **packets);

/* Makes the payloads of all packets. */
int method_packets_compress(struct method_packets *packets, struct multifd_error *err);

/*
 * Writes the pages of the packets that shrank to their offsets at `host`, from the payloads of the
 * last method_packets_compress.
 */
int method_packets_decompress(struct method_packets *packets, uint8_t *host,
                              struct multifd_error *err);

/* What came of the last method_packets_compress. */
struct method_totals {
    uint64_t packets;
    uint64_t uncompressed;  /* packets that did not shrink */
    uint64_t payload_bytes; /* their pages included */
    uint64_t shrunk_bytes;  /* of the pages of those that did */
};

void method_packets_totals(const struct method_packets *packets, struct method_totals *totals);

/* Whether the page with this number is in a packet that shrank. */
bool method_packets_shrank(const struct method_packets *packets, size_t page);

#endif
