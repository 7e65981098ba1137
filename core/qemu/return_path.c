/* SPDX-License-Identifier: MIT */
/* Answers: u16 kind, u16 bytes of the value, u32 value. */
#include "core/base/bytes.h"
#include "core/qemu/stream.h"

enum kind {
    SHUT = 1,
    PONG = 2,
};

static void put_answer(enum kind kind, uint32_t value, uint8_t *answer)
{
    put_be16(answer, (uint16_t)kind);
    put_be16(answer + 2, sizeof(value));
    put_be32(answer + 4, value);
}

void qemu_pong(uint32_t value, uint8_t answer[QEMU_ANSWER_BYTES])
{
    put_answer(PONG, value, answer);
}

void qemu_shut(bool success, uint8_t answer[QEMU_ANSWER_BYTES])
{
    put_answer(SHUT, success ? 0 : 1, answer);
}
