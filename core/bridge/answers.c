/* SPDX-License-Identifier: MIT */
#include "core/bridge/answers.h"

#include "core/base/bytes.h"
#include "core/base/error.h"

#define HEADER_BYTES 4u
#define LENGTH_MAX   512u /* QEMU's own limit */

enum { SHUT = 1, KINDS = 8 };

/* The answer is complete. */
static void take(struct bridge_answers *answers)
{
    if (get_be16(answers->start) == SHUT) {
        answers->shut = true;
        answers->value = get_be32(answers->start + HEADER_BYTES);
    }
    answers->have = 0;
}

static int check(const struct bridge_answers *answers, struct multifd_error *err)
{
    uint16_t kind = get_be16(answers->start);
    uint16_t length = get_be16(answers->start + 2);

    if (answers->shut || kind == 0 || kind >= KINDS || length > LENGTH_MAX ||
        (kind == SHUT && length != 4)) {
        return error_set(err, MULTIFD_ERROR_PROTOCOL,
                         "QEMU's return path refused: answer %u of %u bytes%s", kind, length,
                         answers->shut ? " behind the last one" : "");
    }
    return 0;
}

int bridge_answers_look(struct bridge_answers *answers, const uint8_t *bytes, uint32_t length,
                        struct multifd_error *err)
{
    for (uint32_t i = 0; i < length; i++) {
        if (answers->have < sizeof(answers->start)) {
            answers->start[answers->have] = bytes[i];
        }
        answers->have++;
        if (answers->have < HEADER_BYTES) {
            continue;
        }
        if (answers->have == HEADER_BYTES && check(answers, err) != 0) {
            return -1;
        }
        if (answers->have == HEADER_BYTES + get_be16(answers->start + 2)) {
            take(answers);
        }
    }
    return 0;
}
