// SPDX-License-Identifier: MIT
// rxe computes the CRC32 of every packet twice, by table: half of a transfer's time. This overrides
// the kernel's weak crc32_le() with the kernel's own PCLMULQDQ routine. Safe in UML without
// kernel_fpu_begin(): the UML kernel is an ordinary host process whose vector registers are its own,
// and signal frames save them.
#include <linux/crc32.h>
#include <linux/kernel.h>
#include <asm/processor.h>

#define CRC_BLOCK 16U
#define CRC_SHORTEST 64U

u32 __pure crc32_le_base(u32 crc, unsigned char const *p, size_t len);
u32 crc32_pclmul_le_16(unsigned char const *buffer, size_t len, u32 crc);

static bool cpu_has_pclmul(void)
{
	static int known = -1;
	u32 a = 1, b = 0, c = 0, d = 0;

	if (known < 0) {
		asm volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
		known = (c >> 1) & 1;
	}
	return known;
}

u32 __pure crc32_le(u32 crc, unsigned char const *p, size_t len)
{
	size_t unaligned = -(unsigned long)p & (CRC_BLOCK - 1);
	size_t whole;

	if (len < CRC_SHORTEST + CRC_BLOCK || !cpu_has_pclmul())
		return crc32_le_base(crc, p, len);
	crc = crc32_le_base(crc, p, unaligned);
	p += unaligned;
	len -= unaligned;
	whole = len & ~(size_t)(CRC_BLOCK - 1);
	crc = crc32_pclmul_le_16(p, whole, crc);
	return crc32_le_base(crc, p + whole, len - whole);
}
