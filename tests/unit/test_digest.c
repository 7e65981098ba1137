/* SPDX-License-Identifier: MIT */
#include "core/digest.h"
#include "mock.h"

#include <errno.h>
#include <openssl/evp.h>

int __real_EVP_Digest(const void *data, size_t count, unsigned char *md, unsigned int *size,
                      const EVP_MD *type, ENGINE *impl);
int __wrap_EVP_Digest(const void *data, size_t count, unsigned char *md, unsigned int *size,
                      const EVP_MD *type, ENGINE *impl);

int __wrap_EVP_Digest(const void *data, size_t count, unsigned char *md, unsigned int *size,
                      const EVP_MD *type, ENGINE *impl)
{
    return mock_enter("EVP_Digest") != 0 ? 0 : __real_EVP_Digest(data, count, md, size, type, impl);
}

/* FIPS 180-2, appendix B.1. */
static const uint8_t abc[MESSAGE_DIGEST_BYTES] = {
    0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23,
    0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad};

static struct multifd_ram_block block(uint8_t *host, uint64_t length)
{
    return (struct multifd_ram_block){.name = "pc.ram", .host = host, .length = length};
}

static void it_is_the_sha_256_of_the_content(void **state)
{
    uint8_t bytes[] = "abcX"; /* what stands behind the block does not count */
    const struct multifd_ram_block ram = block(bytes, 3);
    struct multifd_error err = ERROR_UNTOUCHED;
    uint8_t digest[MESSAGE_DIGEST_BYTES];

    (void)state;
    assert_int_equal(digest_block(&ram, digest, &err), 0);
    assert_memory_equal(digest, abc, sizeof(abc));
    assert_untouched(&err);
}

static void every_byte_counts(void **state)
{
    static uint8_t bytes[8192];
    const struct multifd_ram_block ram = block(bytes, sizeof(bytes));
    struct multifd_error err;
    uint8_t before[MESSAGE_DIGEST_BYTES];
    uint8_t after[MESSAGE_DIGEST_BYTES];

    (void)state;
    assert_int_equal(digest_block(&ram, before, &err), 0);
    bytes[sizeof(bytes) - 1] = 1;
    assert_int_equal(digest_block(&ram, after, &err), 0);
    assert_memory_not_equal(before, after, sizeof(before));
}

static void hashing_fails(void **state)
{
    uint8_t bytes[] = "abc";
    const struct multifd_ram_block ram = block(bytes, 3);
    struct multifd_error err = ERROR_UNTOUCHED;
    uint8_t digest[MESSAGE_DIGEST_BYTES];

    (void)state;
    mock_fail("EVP_Digest", EIO);
    assert_int_equal(digest_block(&ram, digest, &err), -1);
    assert_error(&err, MULTIFD_ERROR_SYSTEM, "pc.ram");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        mocked_test(it_is_the_sha_256_of_the_content),
        mocked_test(every_byte_counts),
        mocked_test(hashing_fails),
    };

    return cmocka_run_group_tests_name("core/digest", tests, NULL, NULL);
}
