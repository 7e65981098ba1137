/* SPDX-License-Identifier: MIT */
/* Input: a greeting as the transport hands it over, at most TRANSPORT_GREETING_MAX bytes of it. */
#include "fuzz.h"

#include "core/greeting.h"

static void check_round_trip(const struct greeting *greeting, const struct transport_greeting *in)
{
    struct transport_greeting out;

    FUZZ_CHECK(greeting->version == GREETING_VERSION);
    FUZZ_CHECK(greeting->kind == GREETING_CONTROL || greeting->kind == GREETING_CHANNEL);
    FUZZ_CHECK(greeting->reason <= GREETING_FAILED);
    if (in->bytes[0] == 0x11) {
        FUZZ_CHECK(greeting->kind == GREETING_CHANNEL && greeting->reason == GREETING_WELCOME);
        greeting_encode_init(greeting, &out);
    } else {
        greeting_encode(greeting, &out);
        FUZZ_CHECK(out.length == GREETING_BYTES);
    }
    FUZZ_CHECK(out.length <= in->length);
    FUZZ_CHECK(memcmp(out.bytes, in->bytes, in->length) == 0); /* what is behind it is 0 */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct transport_greeting in = {.length = 0};
    struct greeting greeting;
    struct multifd_error err;
    int status;

    if (size > sizeof(in.bytes)) {
        return 0;
    }
    memset(in.bytes, 0xa5, sizeof(in.bytes)); /* what stands behind the length is not looked at */
    if (size != 0) {
        memcpy(in.bytes, data, size);
    }
    in.length = size;
    fuzz_error_poison(&err);
    status = greeting_decode(&in, &greeting, &err);
    if (status == 0) {
        check_round_trip(&greeting, &in);
    } else {
        fuzz_check_refusal(&err);
    }
    fuzz_error_poison(&err);
    FUZZ_CHECK(greeting_explain(&in, &err) == -1);
    fuzz_check_refusal(&err);
    FUZZ_CHECK((err.code == MULTIFD_ERROR_REFUSED) == (status == 0));
    return 0;
}
