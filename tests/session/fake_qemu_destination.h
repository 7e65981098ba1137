/* SPDX-License-Identifier: MIT */
/* fake_qemu_destination - the receiving half of fake_qemu. */
#ifndef FAKE_QEMU_DESTINATION_H
#define FAKE_QEMU_DESTINATION_H

#include <stddef.h>

#include "fake_qemu.h"

void fake_destination_listen(struct fake_qemu *qemu);
void fake_destination_join(struct fake_qemu *qemu);

/* Goes on with a digest of bytes. */
uint64_t fake_digest(uint64_t digest, const uint8_t *bytes, size_t length);

#endif
