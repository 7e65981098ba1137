/* SPDX-License-Identifier: MIT */
/* digest - the hash that tells whether a RAM block is the same on both sides. */
#ifndef MULTIFD_DIGEST_H
#define MULTIFD_DIGEST_H

#include <stdint.h>

#include "core/message.h"
#include "core/ram_block.h"

/* The SHA-256 of a block's content. 0, or -1 with *err. */
int digest_block(const struct multifd_ram_block *block, uint8_t digest[MESSAGE_DIGEST_BYTES],
                 struct multifd_error *err);

#endif
