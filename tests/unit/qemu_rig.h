/* SPDX-License-Identifier: MIT */
/* qemu_rig - main streams in pieces, and what the parser makes of them. */
#ifndef MULTIFD_UNIT_QEMU_RIG_H
#define MULTIFD_UNIT_QEMU_RIG_H

#include "core/qemu/stream.h"
#include "mock.h"

#define PAGE 4096u

struct bytes {
    const char *at;
    size_t length;
};

/* Of a literal, without the NUL that C puts behind it. */
#define BYTES(literal)                                                                             \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }

#define MAGIC   "QEVM\0\0\0\3"
#define MACHINE "\7\0\0\0\2pc"
#define OPENING MAGIC MACHINE
#define START   "\1\0\0\0\5\3ram\0\0\0\0\0\0\0\4"
#define SIZE    "\0\0\0\0\0\0\60\4"     /* three pages */
#define BLOCK_A "\1a\0\0\0\0\0\0\40\0"  /* of two */
#define BLOCK_B "\2bb\0\0\0\0\0\0\20\0" /* of one */
#define FLUSH   "\0\0\0\0\0\0\2\0"
#define END     "\0\0\0\0\0\0\0\20"
#define FOOTER  "\x7e\0\0\0\5"
#define SETUP   OPENING START SIZE BLOCK_A BLOCK_B END FOOTER
#define PART    "\2\0\0\0\5"
#define LAST    "\3\0\0\0\5"
#define ZERO_A  "\0\0\0\0\0\0\0\2\1a\0"  /* the first page of a */
#define ZERO_A1 "\0\0\0\0\0\0\20\2\1a\0" /* its second */
#define AGAIN0  "\0\0\0\0\0\0\0\42\0"    /* the first of the same */
#define AGAIN1  "\0\0\0\0\0\0\20\42\0"   /* the second of the same */
#define ZERO_B  "\0\0\0\0\0\0\0\2\2bb\0"
#define DEVICE  "\4\0\0\0\11\3cpu anything at all \x7e\0\0\0\11"
#define TAIL    "\0\6\0\0\0\10{\"a\":[]}"
#define ALL     SETUP PART ZERO_A AGAIN1 END FOOTER LAST END FOOTER DEVICE TAIL

#define BLOCKS_TEXT "block a 8192, block bb 4096 last, "

/* A parser for pages of PAGE bytes. */
struct qemu_stream *new_stream(void);

/*
 * Feeds pieces of `step` bytes, each in memory of its own so that a step beyond it shows. Adds the
 * events to the text. Returns what qemu_stream_next has returned last.
 */
int feed(struct qemu_stream *stream, struct bytes all, size_t step, char *text,
         struct multifd_error *err);

/* The events of a stream, however it is split. Returns what qemu_stream_end says, with *err. */
int assert_events(struct bytes all, const char *expected, struct multifd_error *err);

/* The stream is refused, however it is split. */
void assert_refused(struct bytes all, enum multifd_error_code code, const char *part);

#endif
