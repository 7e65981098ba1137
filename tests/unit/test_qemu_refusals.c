/* SPDX-License-Identifier: MIT */
/* Streams that core/qemu refuses, with the sentence that says why. */
#include "qemu_rig.h"

#define REFUSED(stream, code, text)                                                                \
    {                                                                                              \
        BYTES(stream), code, text                                                                  \
    }

struct refusal {
    struct bytes all;
    enum multifd_error_code code;
    const char *text;
};

static void assert_all_refused(const struct refusal *cases, size_t num)
{
    for (size_t i = 0; i < num; i++) {
        assert_refused(cases[i].all, cases[i].code, cases[i].text);
    }
}

static void wrong_settings_are_named(void **state)
{
    static const struct refusal cases[] = {
        REFUSED("\x16\3\1\2\0\1\0\1", MULTIFD_ERROR_INVALID, "tls-creds must be empty"),
        REFUSED(MAGIC "\1\0\0\0\2", MULTIFD_ERROR_INVALID, "machine type is too old"),
        REFUSED(OPENING "\5\32configuration/capabilities\0\0\0\1", MULTIFD_ERROR_INVALID,
                "x-ignore-shared"),
        REFUSED(OPENING "\5\36configuration/target-page-bits\0\0\0\1\0\0\0\15",
                MULTIFD_ERROR_INVALID, "2^13 bytes, not the page size 4096"),
        REFUSED(OPENING "\5\36configuration/target-page-bits\0\0\0\1\0\0\0\54",
                MULTIFD_ERROR_INVALID, "2^44 bytes"),
        REFUSED(OPENING "\10\0\3\0\20", MULTIFD_ERROR_INVALID, "postcopy-ram must be off"),
        REFUSED(OPENING "\10\0\3\0\0", MULTIFD_ERROR_INVALID, "dirty-bitmaps must be off"),
        REFUSED(OPENING "\10\0\10\0\0", MULTIFD_ERROR_INVALID, "x-colo must be off"),
        REFUSED(OPENING "\1\0\0\0\3\14dirty-bitmap\0\0\0\0\0\0\0\1", MULTIFD_ERROR_INVALID,
                "section \"dirty-bitmap\""),
        REFUSED(SETUP "\1\0\0\0\3\4vfio\0\0\0\0\0\0\0\1", MULTIFD_ERROR_INVALID,
                "section \"vfio\""),
        REFUSED(SETUP PART "\0\0\0\0\0\0\0\10", MULTIFD_ERROR_INVALID, "multifd is off"),
        REFUSED(SETUP PART "\0\0\0\0\0\0\20\50", MULTIFD_ERROR_INVALID, "multifd is off"),
        REFUSED(SETUP PART "\0\0\0\0\0\0\0\100", MULTIFD_ERROR_INVALID, "xbzrle must be off"),
        REFUSED(SETUP PART "\0\0\0\0\0\0\1\0", MULTIFD_ERROR_INVALID, "compress must be off"),
        REFUSED(SETUP PART "\0\0\0\0\0\0\0\200", MULTIFD_ERROR_INVALID, "QEMU's own RDMA"),
    };

    (void)state;
    assert_all_refused(cases, COUNT_OF(cases));
}

static void other_openings_are_refused(void **state)
{
    static const struct refusal cases[] = {
        REFUSED("\x11\x22\x33\x44\0\0\0\1", MULTIFD_ERROR_PROTOCOL, "before the main connection"),
        REFUSED("GET / HT", MULTIFD_ERROR_PROTOCOL, "not of QEMU, magic 0x47455420"),
        REFUSED("QEVN\0\0\0\3", MULTIFD_ERROR_PROTOCOL, "not of QEMU"),
        REFUSED("QEVM\0\0\0\2", MULTIFD_ERROR_VERSION, "version 2, expected 3"),
        REFUSED("QEVM\0\0\1\3", MULTIFD_ERROR_VERSION, "version 259"),
        REFUSED(MAGIC "\7\0\0\0\0", MULTIFD_ERROR_PROTOCOL, "length of 0"),
        REFUSED(MAGIC "\7\0\0\1\0", MULTIFD_ERROR_PROTOCOL, "length of 0x100"),
        REFUSED(MAGIC "\7\0\0\0\2p\n", MULTIFD_ERROR_PROTOCOL, "cannot be printed, byte 0xa"),
        REFUSED(OPENING "\5\0\0\0\0\1", MULTIFD_ERROR_PROTOCOL, "without letters"),
        REFUSED(OPENING "\5\22configuration/uuid\0\0\0\2", MULTIFD_ERROR_PROTOCOL,
                "unknown subsection \"configuration/uuid\", version 2"),
        REFUSED(OPENING "\5\36configuration/target-page-bits\0\0\0\2", MULTIFD_ERROR_PROTOCOL,
                "version 2"),
        REFUSED(OPENING "\5\5other\0\0\0\1", MULTIFD_ERROR_PROTOCOL,
                "unknown subsection \"other\""),
        REFUSED(OPENING "\10\0\1\0\0\5", MULTIFD_ERROR_PROTOCOL, "unknown section type 0x5"),
        REFUSED(SETUP "\5", MULTIFD_ERROR_PROTOCOL, "unknown section type 0x5"),
        REFUSED(OPENING "\7", MULTIFD_ERROR_PROTOCOL, "unknown section type 0x7"),
    };

    (void)state;
    assert_all_refused(cases, COUNT_OF(cases));
}

static void other_commands_are_refused(void **state)
{
    static const struct refusal cases[] = {
        REFUSED(OPENING "\10\0\2\0\4", MULTIFD_ERROR_PROTOCOL, "unknown command"),
        REFUSED(OPENING "\10\0\1\0\0\10\0\2\0\5", MULTIFD_ERROR_PROTOCOL, "0x20005"),
        REFUSED(OPENING "\10\0\1\0\1", MULTIFD_ERROR_PROTOCOL, "0x10001"),
        REFUSED(OPENING "\10\0\13\0\1", MULTIFD_ERROR_PROTOCOL, "0xb0001"),
        REFUSED(OPENING "\10\0\4\0\0", MULTIFD_ERROR_PROTOCOL, "0x40000"),
        REFUSED(SETUP "\10\xff\xff\xff\xff", MULTIFD_ERROR_PROTOCOL, "0xffffffff"),
    };

    (void)state;
    assert_all_refused(cases, COUNT_OF(cases));
}

static void other_sections_are_refused(void **state)
{
    static const struct refusal cases[] = {
        REFUSED(OPENING "\1\0\0\0\5\3ram\0\0\0\1\0\0\0\4", MULTIFD_ERROR_PROTOCOL,
                "instance that is not 0"),
        REFUSED(OPENING "\1\0\0\0\5\3ram\0\0\0\0\0\0\0\3", MULTIFD_ERROR_VERSION,
                "RAM section of version 3, expected 4"),
        REFUSED(OPENING "\1\0\0\0\5\4ram\0\0\0\0\0\0\0\0\4", MULTIFD_ERROR_PROTOCOL, "printed"),
        REFUSED(OPENING "\1\0\0\0\5\0\0\0\0\0\0\0\0\4", MULTIFD_ERROR_PROTOCOL, "without letters"),
        REFUSED(SETUP START, MULTIFD_ERROR_PROTOCOL, "starts twice"),
        REFUSED(OPENING "\2", MULTIFD_ERROR_PROTOCOL, "unknown section type 0x2"),
        REFUSED(OPENING "\3", MULTIFD_ERROR_PROTOCOL, "unknown section type 0x3"),
        REFUSED(OPENING "\4", MULTIFD_ERROR_PROTOCOL, "the RAM has not ended"),
        REFUSED(SETUP "\4", MULTIFD_ERROR_PROTOCOL, "the RAM has not ended, but this starts: 0x4"),
        REFUSED(SETUP "\0", MULTIFD_ERROR_PROTOCOL, "the RAM has not ended"),
        REFUSED(SETUP "\x7e", MULTIFD_ERROR_PROTOCOL, "unknown section type 0x7e"),
        REFUSED(SETUP "\2\0\0\0\6", MULTIFD_ERROR_PROTOCOL, "part of an unknown section 0x6"),
        REFUSED(SETUP "\3\0\0\0\4", MULTIFD_ERROR_PROTOCOL, "part of an unknown section 0x4"),
        REFUSED(SETUP PART END "\x7e\0\0\0\6", MULTIFD_ERROR_PROTOCOL, "another section, 0x6"),
        REFUSED(SETUP PART END "\2\0\0\0\5", MULTIFD_ERROR_PROTOCOL,
                "no footer where a section ends but 0x2"),
    };

    (void)state;
    assert_all_refused(cases, COUNT_OF(cases));
}

static void other_lists_of_blocks_are_refused(void **state)
{
    static const struct refusal cases[] = {
        REFUSED(OPENING START "\0\0\0\0\0\0\60\5", MULTIFD_ERROR_PROTOCOL, "with 0x3005"),
        REFUSED(OPENING START END, MULTIFD_ERROR_PROTOCOL, "does not start with a size"),
        REFUSED(OPENING START "\0\0\0\0\0\0\0\4", MULTIFD_ERROR_PROTOCOL, "without memory"),
        REFUSED(OPENING START SIZE "\0\0\0\0\0\0\0\20\0", MULTIFD_ERROR_PROTOCOL, "letters"),
        REFUSED(OPENING START SIZE "\1\x1b\0\0\0\0\0\0\20\0", MULTIFD_ERROR_PROTOCOL, "0x1b"),
        REFUSED(OPENING START SIZE "\1\x7f\0\0\0\0\0\0\20\0", MULTIFD_ERROR_PROTOCOL, "0x7f"),
        REFUSED(OPENING START SIZE "\1a\0\0\0\0\0\0\0\0", MULTIFD_ERROR_PROTOCOL,
                "\"a\" has 0 bytes"),
        REFUSED(OPENING START SIZE "\1a\0\0\0\0\0\0\20\1", MULTIFD_ERROR_PROTOCOL,
                "4097 bytes, no multiple"),
        REFUSED(OPENING START SIZE "\1a\0\0\0\0\0\0\100\0", MULTIFD_ERROR_PROTOCOL,
                "bytes too many 4096"),
        REFUSED(OPENING START SIZE BLOCK_A "\1b\0\0\0\0\0\0\40\0", MULTIFD_ERROR_PROTOCOL,
                "bytes too many 4096"),
        REFUSED(OPENING START SIZE BLOCK_A "\1b\xff\xff\xff\xff\xff\xff\xf0\0",
                MULTIFD_ERROR_PROTOCOL, "too many"),
        REFUSED(OPENING START SIZE BLOCK_B BLOCK_B, MULTIFD_ERROR_PROTOCOL, "\"bb\" twice"),
    };

    (void)state;
    assert_all_refused(cases, COUNT_OF(cases));
}

static void other_records_are_refused(void **state)
{
    static const struct refusal cases[] = {
        REFUSED(SETUP PART "\0\0\0\0\0\0\0\0", MULTIFD_ERROR_PROTOCOL, "unknown record 0"),
        REFUSED(SETUP PART "\0\0\0\0\0\0\0\1", MULTIFD_ERROR_PROTOCOL, "unknown record 0x1"),
        REFUSED(SETUP PART SIZE, MULTIFD_ERROR_PROTOCOL, "unknown record 0x3004"),
        REFUSED(SETUP PART "\0\0\0\0\0\0\20\20", MULTIFD_ERROR_PROTOCOL, "unknown record 0x1010"),
        REFUSED(SETUP PART "\0\0\0\0\0\0\22\0", MULTIFD_ERROR_PROTOCOL, "unknown record 0x1200"),
        REFUSED(SETUP PART "\0\0\0\0\0\0\4\2", MULTIFD_ERROR_PROTOCOL, "unknown record 0x402"),
        REFUSED(SETUP PART "\0\0\0\0\0\0\0\3\1a\0", MULTIFD_ERROR_PROTOCOL, "unknown record 0x3"),
        REFUSED(SETUP PART "\0\0\0\0\0\0\0\40", MULTIFD_ERROR_PROTOCOL, "unknown record 0x20"),
        REFUSED(SETUP PART FLUSH, MULTIFD_ERROR_PROTOCOL, "SYNC within a round"),
        REFUSED(SETUP PART AGAIN0, MULTIFD_ERROR_PROTOCOL, "unknown record 0x22"),
        REFUSED(OPENING START SIZE BLOCK_A BLOCK_B ZERO_A, MULTIFD_ERROR_PROTOCOL, "record 0x2"),
        REFUSED(SETUP PART "\0\0\0\0\0\0\0\2\1c\0", MULTIFD_ERROR_PROTOCOL,
                "unknown RAM block \"c\""),
        REFUSED(SETUP PART "\0\0\0\0\0\0\0\2\1b\0", MULTIFD_ERROR_PROTOCOL,
                "unknown RAM block \"b\""),
        REFUSED(SETUP PART "\0\0\0\0\0\0\0\2\0\0", MULTIFD_ERROR_PROTOCOL, "without letters"),
        REFUSED(SETUP PART "\0\0\0\0\0\0\0\2\1a\1", MULTIFD_ERROR_PROTOCOL, "filled with 0x1"),
        REFUSED(SETUP PART ZERO_A "\0\0\0\0\0\0\0\42\xff", MULTIFD_ERROR_PROTOCOL, "with 0xff"),
        REFUSED(SETUP PART "\0\0\0\0\0\0\40\2\1a\0", MULTIFD_ERROR_PROTOCOL,
                "zero page at 8192, beyond the end of RAM block \"a\" of 8192 bytes"),
        REFUSED(SETUP PART ZERO_B AGAIN1, MULTIFD_ERROR_PROTOCOL,
                "zero page at 4096, beyond the end of RAM block \"bb\""),
        REFUSED(SETUP PART "\xff\xff\xff\xff\xff\xff\xf0\2\1a\0", MULTIFD_ERROR_PROTOCOL,
                "beyond the end"),
    };

    (void)state;
    assert_all_refused(cases, COUNT_OF(cases));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        mocked_test(wrong_settings_are_named),          mocked_test(other_openings_are_refused),
        mocked_test(other_commands_are_refused),        mocked_test(other_sections_are_refused),
        mocked_test(other_lists_of_blocks_are_refused), mocked_test(other_records_are_refused),
    };

    return cmocka_run_group_tests_name("core/qemu refusals", tests, NULL, NULL);
}
