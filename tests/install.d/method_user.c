/* SPDX-License-Identifier: MIT */
/*
 * A program with a method of its own. It sends and receives one packet without a session, as a
 * method's author tests hooks, and then makes a source that uses the method. Its argument is the
 * version that is expected.
 */
#include "repeat_method.h"

#include <multifd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE = 4096, PAGES = 8, HEADER = 320 };

static uint8_t from[PAGES * PAGE];
static uint8_t to[PAGES * PAGE];
static uint8_t payload[PAGES * PAGE];
static uint8_t header[HEADER + 8 * PAGES];
static const uint64_t offsets[PAGES] = {0,        PAGE,     2 * PAGE, 3 * PAGE,
                                        4 * PAGE, 5 * PAGE, 6 * PAGE, 7 * PAGE};

static void expect(bool condition, const char *what)
{
    if (!condition) {
        (void)fprintf(stderr, "%s\n", what);
        exit(1);
    }
}

/* Every other page repeats a word. */
static void fill(bool all_different)
{
    uint32_t state = 1;

    for (uint32_t i = 0; i < sizeof(from); i++) {
        state = state * 1664525u + 1013904223u;
        from[i] = all_different || i / PAGE % 2 != 0 ? (uint8_t)(state >> 24) : (uint8_t)(i % 8);
    }
}

/* What the engine does on both sides. Returns what recv returned. */
static int move(uint32_t cut, struct multifd_error *err)
{
    struct multifd_send_params send = {.page_size = PAGE,
                                       .page_count = PAGES,
                                       .ramblock = "pc.ram",
                                       .host = from,
                                       .normal = offsets,
                                       .normal_num = PAGES,
                                       .payload = payload,
                                       .payload_max = sizeof(payload),
                                       .packet = header};

    expect(repeat_method.send_setup(&send, err) == 0, "send_setup");
    expect(repeat_method.send_prepare(&send, err) == 0, "send_prepare");
    expect(send.packet_len == sizeof(header), "a header of another length");
    struct multifd_recv_params recv = {.page_size = PAGE,
                                       .page_count = PAGES,
                                       .host = to,
                                       .normal = offsets,
                                       .normal_num = PAGES,
                                       .flags = send.flags,
                                       .next_packet_size = send.next_packet_size - cut,
                                       .payload = payload};
    repeat_method.send_cleanup(&send);
    expect(send.iov == NULL && send.compress_data == NULL, "send_cleanup");
    if (send.flags == MULTIFD_FLAG_NOCOMP) {
        return 1; /* the pages went as they are: recv is not asked */
    }
    return repeat_method.recv(&recv, err);
}

static void try_hooks(void)
{
    struct multifd_error err;

    fill(false);
    expect(move(0, &err) == 0 && memcmp(from, to, sizeof(from)) == 0, "the pages differ");
    expect(move(1, &err) == -1 && err.code == MULTIFD_ERROR_PROTOCOL, "a payload that is cut off");
    fill(true);
    expect(move(0, &err) == 1, "pages that do not shrink");
}

static void try_source(void)
{
    struct multifd_options *options = multifd_options_new();
    struct multifd_error err = {.message = "no memory"};

    expect(options != NULL &&
               multifd_register_ops(options, REPEAT_FLAG, "repeat", &repeat_method, &err) == 0 &&
               multifd_options_set(options, "method", "repeat", &err) == 0,
           err.message);
    struct multifd_source *source = multifd_source_new("rdma:127.0.0.1:1", options, &err);
    expect(source != NULL, err.message);
    multifd_source_delete(&source);
    multifd_options_delete(&options);
}

int main(int argc, char **argv)
{
    expect(argc == 2 && strcmp(multifd_version(), argv[1]) == 0, multifd_version());
    try_hooks();
    try_source();
    return 0;
}
