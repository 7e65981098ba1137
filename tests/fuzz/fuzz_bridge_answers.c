/* SPDX-License-Identifier: MIT */
/* Input: what QEMU's destination answers. Looked at whole and byte by byte it says the same. */
#include "fuzz.h"

#include "core/bridge/answers.h"

struct outcome {
    int status;
    bool shut;
    uint32_t value;
};

static struct outcome look(const uint8_t *data, size_t size, size_t piece)
{
    struct bridge_answers answers = {.have = 0};
    struct outcome outcome = {.status = 0};
    struct multifd_error err;
    size_t part;

    fuzz_error_poison(&err);
    for (size_t at = 0; at < size && outcome.status == 0; at += part) {
        part = piece < size - at ? piece : size - at;
        outcome.status = bridge_answers_look(&answers, data + at, (uint32_t)part, &err);
    }
    if (outcome.status != 0) {
        fuzz_check_refusal(&err);
        FUZZ_CHECK(err.code == MULTIFD_ERROR_PROTOCOL);
    }
    outcome.shut = answers.shut;
    outcome.value = answers.shut ? answers.value : 0;
    return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct outcome whole = look(data, size, size);
    struct outcome bytes = look(data, size, 1);

    FUZZ_CHECK(whole.status == bytes.status && whole.shut == bytes.shut &&
               whole.value == bytes.value);
    return 0;
}
