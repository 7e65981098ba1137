/* SPDX-License-Identifier: MIT */
/*
 * Packets and credits as a hostile peer would send them: each is refused with a sentence that says
 * what is wrong, and the other side hears it.
 */
#include "check.h"
#include "socket_wire.h"
#include "tamper.h"

enum { /* where the fields of a header are */
       AT_MAGIC = 0,
       AT_VERSION = 4,
       AT_FLAGS = 8,
       AT_ALLOC = 12,
       AT_NORMAL = 16,
       AT_NEXT_SIZE = 20,
       AT_NUM = 24,
       AT_ZERO = 32,
       AT_SYNC_CHANNELS = 36,
       AT_ZERO_RUNS = 40,
       AT_RESERVED = 44,
       AT_NAME = 64,
       AT_NAME_LAST = 319,
       AT_OFFSETS = 320,
       PAGES = 8, /* of each packet */
       BYTES = AT_OFFSETS + 8 * PAGES,
};

/* A change of one field of a packet with pages, or of a SYNC. */
#define PAGES_FIELD(where, size, becomes)                                                          \
    .what = TAMPER_PAGES, .way = TAMPER_FIELD, .at = (where), .bytes = (size), .value = (becomes)
#define SYNC_FIELD(where, size, becomes)                                                           \
    .what = TAMPER_SYNC, .way = TAMPER_FIELD, .at = (where), .bytes = (size), .value = (becomes)
#define REFUSED(words)                                                                             \
    .end = TAMPER_REFUSED_BY_DESTINATION, .code = MULTIFD_ERROR_PROTOCOL,                          \
    .text = "packet refused: " words

static const struct tamper fixed_part[] = {
    {"magic", PAGES_FIELD(AT_MAGIC, 4, 0x11223345), REFUSED("wrong magic 287454021")},
    {"magic of a SYNC", SYNC_FIELD(AT_MAGIC, 4, 0), REFUSED("wrong magic 0")},
    {"version", PAGES_FIELD(AT_VERSION, 4, 2), .end = TAMPER_REFUSED_BY_DESTINATION,
     .code = MULTIFD_ERROR_VERSION, .text = "packet refused: version 2, expected 1"},
    {"version 0", SYNC_FIELD(AT_VERSION, 4, 0), .end = TAMPER_REFUSED_BY_DESTINATION,
     .code = MULTIFD_ERROR_VERSION, .text = "packet refused: version 0, expected 1"},
    {"unknown flag", PAGES_FIELD(AT_FLAGS, 4, 1 << 4), REFUSED("unknown flags 16")},
    {"highest flag", SYNC_FIELD(AT_FLAGS, 4, 0x80000001), REFUSED("unknown flags 2147483649")},
    {"neither", SYNC_FIELD(AT_FLAGS, 4, 0), REFUSED("neither pages nor SYNC, flags 0")},
    {"zlib", PAGES_FIELD(AT_FLAGS, 4, 2), REFUSED("flags 0x2 on a session without compression")},
    {"zlib SYNC", SYNC_FIELD(AT_FLAGS, 4, 3), REFUSED("a method without pages, flags 3")},
    {"reserved, first", PAGES_FIELD(AT_RESERVED, 1, 1), REFUSED("reserved byte set, at 44")},
    {"reserved, last", SYNC_FIELD(AT_NAME - 1, 1, 0x80), REFUSED("reserved byte set, at 63")},
};

/* Not over a byte stream, where these bytes are reserved, as in QEMU. */
static const struct tamper sync_channels[] = {
    {"SYNC with pages", PAGES_FIELD(AT_FLAGS, 4, 1), REFUSED("SYNC, and sync_channels 0")},
    {"SYNC of no channel", SYNC_FIELD(AT_SYNC_CHANNELS, 4, 0), REFUSED("SYNC, and sync_channels")},
    {"channels of pages", PAGES_FIELD(AT_SYNC_CHANNELS, 4, 1), REFUSED("no SYNC, but sync_chan")},
    {"SYNC of too many", SYNC_FIELD(AT_SYNC_CHANNELS, 4, 3), REFUSED("SYNC of 3 channels")},
    {"of far too many", SYNC_FIELD(AT_SYNC_CHANNELS, 4, 0x10001),
     REFUSED("SYNC of 65537 channels")},
    {"runs of a SYNC", SYNC_FIELD(AT_ZERO_RUNS, 4, 1), REFUSED("length does not fit its pages, 3")},
    {"runs beside pages", PAGES_FIELD(AT_ZERO_RUNS, 4, 1), REFUSED("length does not fit")},
    {"too many runs", PAGES_FIELD(AT_ZERO_RUNS, 4, 121), REFUSED("more zero_pages than")},
};

static const struct tamper one_zero_page = {PAGES_FIELD(AT_ZERO, 4, 1)};

static const struct tamper counts[] = {
    {"pages_alloc", PAGES_FIELD(AT_ALLOC, 4, 129), REFUSED("pages_alloc 129")},
    {"huge pages_alloc", SYNC_FIELD(AT_ALLOC, 4, 0xffffffff), REFUSED("pages_alloc 4294967295")},
    {"normal_pages", PAGES_FIELD(AT_NORMAL, 4, 129), REFUSED("more normal_pages than")},
    {"huge normal_pages", PAGES_FIELD(AT_NORMAL, 4, 0xffffffff), REFUSED("more normal_pages")},
    {"one page less", PAGES_FIELD(AT_NORMAL, 4, 7), REFUSED("length does not fit its pages, 384")},
    {"one page more", PAGES_FIELD(AT_NORMAL, 4, 9), REFUSED("length does not fit its pages, 384")},
    {"page of a SYNC", SYNC_FIELD(AT_NORMAL, 4, 1), REFUSED("length does not fit its pages, 320")},
    {"zero_pages", PAGES_FIELD(AT_ZERO, 4, 121), REFUSED("more zero_pages than")},
    {"huge zero_pages", SYNC_FIELD(AT_ZERO, 4, 0xfffffff8), REFUSED("more zero_pages than")},
    {"zero page and its length", PAGES_FIELD(AT_ZERO, 4, 1), REFUSED("length does not fit")},
    {"zero page instead", PAGES_FIELD(AT_NORMAL, 4, 7), .also = &one_zero_page,
     REFUSED("a payload of 32768 bytes for 7 pages")},
    {"payload", PAGES_FIELD(AT_NEXT_SIZE, 4, 7 * 4096), REFUSED("a payload of 28672 bytes for 8")},
    {"no payload", PAGES_FIELD(AT_NEXT_SIZE, 4, 0), REFUSED("a payload of 0 bytes for 8 pages")},
    {"huge payload", PAGES_FIELD(AT_NEXT_SIZE, 4, 0xffffffff), REFUSED("a payload of 4294967295")},
    {"payload of a SYNC", SYNC_FIELD(AT_NEXT_SIZE, 4, 4096), REFUSED("a payload without pages")},
    {"packet_num again", SYNC_FIELD(AT_NUM, 8, 0), REFUSED("packet_num 0 after")},
    {"last packet_num", PAGES_FIELD(AT_NUM, 8, UINT64_MAX), REFUSED("packet_num 18446744073709")},
};

static const struct tamper names_and_offsets[] = {
    {"unknown block", PAGES_FIELD(AT_NAME, 1, 'c'), REFUSED("unknown ramblock \"clock")},
    {"no name", PAGES_FIELD(AT_NAME, 8, 0), REFUSED("unknown ramblock \"\"")},
    {"a name without end", .what = TAMPER_PAGES, .way = TAMPER_FILL, .at = AT_NAME, .bytes = 256,
     .value = 'n', REFUSED("ramblock without end, length 256")},
    {"bytes behind the name", PAGES_FIELD(AT_NAME + 200, 1, 'x'),
     REFUSED("bytes behind the end of ramblock, at 200")},
    {"last byte of the name", SYNC_FIELD(AT_NAME_LAST, 1, 1),
     REFUSED("bytes behind the end of ramblock, at 255")},
    {"misaligned", PAGES_FIELD(AT_OFFSETS, 8, 1), REFUSED("offset 1 is no page of \"block")},
    {"half a page", PAGES_FIELD(AT_OFFSETS + 56, 8, 2048), REFUSED("offset 2048 is no page")},
    {"behind the end", PAGES_FIELD(AT_OFFSETS, 8, 8 * 4096), REFUSED("offset 32768 is no page")},
    {"last offset", PAGES_FIELD(AT_OFFSETS, 8, UINT64_C(0xfffffffffffff000)),
     REFUSED("offset 18446744073709547520 is no page")},
    {"negative", PAGES_FIELD(AT_OFFSETS + 8, 8, UINT64_C(0x8000000000000000)),
     REFUSED("offset 9223372036854775808 is no page")},
    {"page twice", PAGES_FIELD(AT_OFFSETS + 56, 8, 0), REFUSED("a page of \"block")},
    {"neighbours twice", PAGES_FIELD(AT_OFFSETS + 8, 8, 0), REFUSED("a page of \"block")},
};

/* What makes a SYNC of a packet with pages that has lost its offsets. */
static const struct tamper no_name = {
    .what = TAMPER_PAGES, .way = TAMPER_FILL, .at = AT_NAME, .bytes = 256};
static const struct tamper no_payload = {PAGES_FIELD(AT_NEXT_SIZE, 4, 0), .also = &no_name};
static const struct tamper no_page = {PAGES_FIELD(AT_NORMAL, 4, 0), .also = &no_payload};
static const struct tamper of_both = {PAGES_FIELD(AT_SYNC_CHANNELS, 4, 2), .also = &no_page};
static const struct tamper early_sync = {PAGES_FIELD(AT_FLAGS, 4, 1), .also = &of_both};

#define PAGES_LENGTH(becomes) .what = TAMPER_PAGES, .way = TAMPER_LENGTH, .value = (becomes)
#define SYNC_LENGTH(becomes)  .what = TAMPER_SYNC, .way = TAMPER_LENGTH, .value = (becomes)

static const struct tamper lengths[] = {
    {"empty", PAGES_LENGTH(0), REFUSED("truncated, length 0")},
    {"one byte", PAGES_LENGTH(1), REFUSED("truncated, length 1")},
    {"half the fixed part", SYNC_LENGTH(160), REFUSED("truncated, length 160")},
    {"fixed part but a byte", PAGES_LENGTH(319), REFUSED("truncated, length 319")},
    {"no offset", PAGES_LENGTH(AT_OFFSETS), REFUSED("length does not fit its pages, 320")},
    {"offsets but a byte", PAGES_LENGTH(BYTES - 1), REFUSED("length does not fit its pages, 383")},
    {"a byte more", PAGES_LENGTH(BYTES + 1), REFUSED("length does not fit its pages, 385")},
    {"an offset of a SYNC", SYNC_LENGTH(328), REFUSED("length does not fit its pages, 328")},
    {"as long as it may be", PAGES_LENGTH(1344), REFUSED("length does not fit its pages, 1344")},
    {"as long as credits", PAGES_LENGTH(8), .end = TAMPER_REFUSED_BY_DESTINATION,
     .code = MULTIFD_ERROR_PROTOCOL, .text = "a credit message with magic 0x11223344"},
    {"longer than a receive", PAGES_LENGTH(1345), .end = TAMPER_BREAKS_DESTINATION,
     .code = MULTIFD_ERROR_COMPLETION, .text = "receive with"},
    {"lost", .what = TAMPER_PAGES, .nth = 3, .way = TAMPER_DROP,
     .end = TAMPER_REFUSED_BY_DESTINATION, .code = MULTIFD_ERROR_PROTOCOL,
     .text = "the source sent 22 packets with 160 pages, but 21 with 152 came"},
    {"SYNC before its time", PAGES_LENGTH(AT_OFFSETS), .also = &early_sync,
     REFUSED("it came behind SYNC, before the round was confirmed")},
};

/* Over a byte stream a header has one length, and the payload follows it. */
static const struct tamper stream_counts[] = {
    {"pages_alloc", PAGES_FIELD(AT_ALLOC, 4, 129), REFUSED("pages_alloc 129")},
    {"one page less", PAGES_FIELD(AT_NORMAL, 4, 7), REFUSED("an offset behind the last one, at")},
    {"one page more", PAGES_FIELD(AT_NORMAL, 4, 9), REFUSED("a page of \"block")},
    {"page of a SYNC", SYNC_FIELD(AT_NORMAL, 4, 1), REFUSED("SYNC with pages, 1")},
    {"zero page", PAGES_FIELD(AT_ZERO, 4, 1), REFUSED("a page of \"block")},
    {"an offset too many", PAGES_FIELD(AT_OFFSETS + 8 * 127 + 7, 1, 1),
     REFUSED("an offset behind the last one, at 1343")},
    {"an offset of a SYNC", SYNC_FIELD(AT_OFFSETS, 1, 1), REFUSED("an offset behind the last")},
    {"payload", PAGES_FIELD(AT_NEXT_SIZE, 4, 7 * 4096), REFUSED("a payload of 28672 bytes for 8")},
    {"no payload", PAGES_FIELD(AT_NEXT_SIZE, 4, 0), REFUSED("a payload of 0 bytes for 8 pages")},
    {"huge payload", PAGES_FIELD(AT_NEXT_SIZE, 4, 0xffffffff), REFUSED("a payload of 4294967295")},
    {"payload of a SYNC", SYNC_FIELD(AT_NEXT_SIZE, 4, 4096), REFUSED("a payload without pages")},
    {"packet_num again", SYNC_FIELD(AT_NUM, 8, 0), REFUSED("packet_num 0 after")},
    {"lost", .what = TAMPER_PAGES, .nth = 3, .way = TAMPER_DROP,
     .end = TAMPER_REFUSED_BY_DESTINATION, .code = MULTIFD_ERROR_PROTOCOL,
     .text = "the source sent 24 packets with 160 pages, but 23 with 152 came"},
};

#define CREDITS_REFUSED(words)                                                                     \
    .end = TAMPER_REFUSED_BY_SOURCE, .code = MULTIFD_ERROR_PROTOCOL, .text = words

static const struct tamper credits[] = {
    {"credits never earned", .what = TAMPER_CREDIT, .way = TAMPER_ADD, .at = 4, .value = 100,
     CREDITS_REFUSED("messages returned, but only")},
    {"credits of long ago", .what = TAMPER_CREDIT, .nth = 2, .way = TAMPER_FIELD, .at = 4,
     .bytes = 4, .value = 0xffffffff,
     CREDITS_REFUSED("credits for 4294967295 messages returned, but only")},
    {"credits taken back", .what = TAMPER_CREDIT, .nth = 2, .way = TAMPER_FIELD, .at = 4,
     .bytes = 4, .value = 0, CREDITS_REFUSED("credits for 0 messages returned, but only")},
    {"magic of credits", .what = TAMPER_CREDIT, .way = TAMPER_FIELD, .at = 0, .bytes = 4,
     .value = 1, CREDITS_REFUSED("a credit message with magic 0x00000001")},
    {"another message than credits", .what = TAMPER_CREDIT, .way = TAMPER_LENGTH, .value = 12,
     CREDITS_REFUSED("the destination sent a message of 12 bytes on a channel")},
    {"credits of the source", .what = TAMPER_CREDIT_OF_SOURCE, .way = TAMPER_ADD, .at = 4,
     .value = 9, .end = TAMPER_REFUSED_BY_DESTINATION, .code = MULTIFD_ERROR_PROTOCOL,
     .text = "messages returned, but only"},
};

static void headers(void **state)
{
    (void)state;
    tamper_run_all(fixed_part, COUNT_OF(fixed_part));
}

static void header_sync_channels(void **state)
{
    (void)state;
    tamper_run_all(sync_channels, COUNT_OF(sync_channels));
}

static void header_counts(void **state)
{
    (void)state;
    tamper_run_all(counts, COUNT_OF(counts));
}

static void header_names_and_offsets(void **state)
{
    (void)state;
    tamper_run_all(names_and_offsets, COUNT_OF(names_and_offsets));
}

static void header_lengths(void **state)
{
    (void)state;
    tamper_run_all(lengths, COUNT_OF(lengths));
}

static void credit_messages(void **state)
{
    (void)state;
    tamper_run_all(credits, COUNT_OF(credits));
}

static void header_counts_of_a_stream(void **state)
{
    (void)state;
    tamper_run_all(stream_counts, COUNT_OF(stream_counts));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers),        cmocka_unit_test(header_sync_channels),
        cmocka_unit_test(header_counts),  cmocka_unit_test(header_names_and_offsets),
        cmocka_unit_test(header_lengths), cmocka_unit_test(credit_messages),
    };

    static const struct CMUnitTest socket_tests[] = {
        cmocka_unit_test(headers),
        cmocka_unit_test(header_names_and_offsets),
        cmocka_unit_test(header_counts_of_a_stream),
    };
    int failed = cmocka_run_group_tests_name("hostile packets", tests, NULL, NULL);

    pair_on_send = socket_wire_on_send;
    pair_transport = PAIR_UNIX;
    return failed + cmocka_run_group_tests_name("hostile packets, unix", socket_tests, NULL, NULL);
}
