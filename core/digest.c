/* SPDX-License-Identifier: MIT */
#include "core/digest.h"

#include "core/base/error.h"

#include <openssl/evp.h>

int digest_block(const struct multifd_ram_block *block, uint8_t digest[MESSAGE_DIGEST_BYTES],
                 struct multifd_error *err)
{
    unsigned length = 0;

    if (EVP_Digest(block->host, block->length, digest, &length, EVP_sha256(), NULL) != 1 ||
        length != MESSAGE_DIGEST_BYTES) {
        return error_set(err, MULTIFD_ERROR_SYSTEM, "SHA-256 of RAM block \"%s\" failed",
                         block->name);
    }
    return 0;
}
