/* SPDX-License-Identifier: MIT */
/* Messages of the control connection as a hostile peer would send them; see test_hostile.c. */
#include "check.h"
#include "socket_wire.h"
#include "tamper.h"

enum { /* of a frame */
       AT_LENGTH = 4,
       AT_TYPE = 8,
       AT_BODY = 12,
};

/* A change of one field, counted from behind the frame's header. */
#define FIELD(type, where, size, becomes)                                                          \
    .what = MESSAGE_##type, .way = TAMPER_FIELD, .at = AT_BODY + (where), .bytes = (size),         \
    .value = (becomes)
#define FRAME_FIELD(type, where, becomes)                                                          \
    .what = MESSAGE_##type, .way = TAMPER_FIELD, .at = (where), .bytes = 4, .value = (becomes)
#define LENGTH(type, becomes) .what = MESSAGE_##type, .way = TAMPER_LENGTH, .value = (becomes)
#define FRAME(type, becomes)  .what = MESSAGE_##type, .way = TAMPER_FRAME, .value = (becomes)
#define REPLACE(type, other)  .what = MESSAGE_##type, .way = TAMPER_REPLACE, .message = (other)

#define BY_DESTINATION(kind, words)                                                                \
    .end = TAMPER_REFUSED_BY_DESTINATION, .code = MULTIFD_ERROR_##kind, .text = words
#define BY_SOURCE(kind, words)                                                                     \
    .end = TAMPER_REFUSED_BY_SOURCE, .code = MULTIFD_ERROR_##kind, .text = words
/* Channels are made meanwhile: one that breaks may be the destination's cause. */
#define WHILE_CONNECTING(kind, words)                                                              \
    .end = TAMPER_BREAKS_SOURCE, .code = MULTIFD_ERROR_##kind, .text = words
#define MALFORMED(type) "control connection: control message refused: malformed " type

static const struct message some_finish = {.type = MESSAGE_FINISH};
static const struct message some_finish_ok = {.type = MESSAGE_FINISH_OK};
static const struct message some_bye = {.type = MESSAGE_BYE};
static const struct message some_hello = {
    .type = MESSAGE_HELLO,
    .hello = {4096, 128, 2, MULTIFD_FLAG_NOCOMP, 1, 30, 5000, 1, 0},
};
static const struct message some_sync_done = {.type = MESSAGE_SYNC_DONE, .round = 1};
static const struct message some_request = {.type = MESSAGE_PIECES_REQUEST,
                                            .pieces = {.block = 0, .first = 0, .num = 1}};
static const struct message some_pieces = {
    .type = MESSAGE_PIECES, .pieces = {.block = 0, .first = 0, .num = 1, .pieces = {{4096, 1}}}};
static const struct message one_digest = {.type = MESSAGE_BLOCK_DIGEST, .digest = {.block = 0}};
static const struct message rude_error = {
    .type = MESSAGE_ERROR,
    .error = {MULTIFD_ERROR_SYSTEM, 7, "\033[2Jgone\n"},
};
static const struct message no_error = {.type = MESSAGE_ERROR, .error = {MULTIFD_OK, 0, ""}};

static const struct tamper frames[] = {
    {"empty HELLO", LENGTH(HELLO, 0), BY_DESTINATION(PROTOCOL, "message refused: length 0")},
    {"cut HELLO", LENGTH(HELLO, 47), BY_DESTINATION(PROTOCOL, "message refused: length 47")},
    {"longer HELLO", LENGTH(HELLO, 49), BY_DESTINATION(PROTOCOL, "message refused: length 49")},
    {"half a head", LENGTH(HELLO, 11), BY_DESTINATION(PROTOCOL, "message refused: length 11")},
    {"HELLO as short as credits", LENGTH(HELLO, 8),
     BY_DESTINATION(PROTOCOL, "a credit message with magic 0x4d464443")},
    {"list longer than a receive", LENGTH(RAM_BLOCKS, 4609), .end = TAMPER_BREAKS_DESTINATION,
     .code = MULTIFD_ERROR_COMPLETION, .text = "control connection: receive with"},
    {"length in the frame", FRAME_FIELD(HELLO, AT_LENGTH, 4000),
     BY_DESTINATION(PROTOCOL, "message refused: length 48")},
    {"magic", FRAME_FIELD(HELLO_OK, 0, 0x4d464445),
     BY_SOURCE(PROTOCOL, "control message refused: length 16")},
    {"type 0", FRAME_FIELD(HELLO, AT_TYPE, 0), BY_DESTINATION(PROTOCOL, "message refused: type 0")},
    {"type of none", FRAME_FIELD(HELLO_OK, AT_TYPE, MESSAGE_TYPES),
     BY_SOURCE(PROTOCOL, "message refused: type 18")},
    {"huge type", FRAME_FIELD(SYNC_DONE, AT_TYPE, 0xffffffff),
     BY_SOURCE(PROTOCOL, "message refused: type 4294967295")},
    {"cut HELLO_OK", FRAME(HELLO_OK, 14), BY_SOURCE(PROTOCOL, MALFORMED("HELLO_OK"))},
    {"no list", FRAME(RAM_BLOCKS, 12), BY_DESTINATION(PROTOCOL, MALFORMED("RAM_BLOCKS"))},
    {"half a list", FRAME(RAM_BLOCKS, 60), BY_DESTINATION(PROTOCOL, MALFORMED("RAM_BLOCKS"))},
    {"longer OK", FRAME(RAM_BLOCKS_OK, 16), BY_SOURCE(PROTOCOL, MALFORMED("RAM_BLOCKS_OK"))},
    {"cut pieces", FRAME(PIECES, 30), WHILE_CONNECTING(PROTOCOL, MALFORMED("PIECES"))},
    {"cut round", FRAME(SYNC_DONE, 16), BY_SOURCE(PROTOCOL, MALFORMED("SYNC_DONE"))},
    {"cut totals", FRAME(FINISH, 51), BY_DESTINATION(PROTOCOL, MALFORMED("FINISH"))},
    {"cut digest", FRAME(BLOCK_DIGEST, 40), BY_DESTINATION(PROTOCOL, MALFORMED("BLOCK_DIGEST"))},
    {"cut FINISH_OK", FRAME(FINISH_OK, 20), .end = TAMPER_AFTER_THE_END,
     .code = MULTIFD_ERROR_PROTOCOL, .text = MALFORMED("FINISH_OK")},
};

static const struct tamper hellos[] = {
    {"page size 0", FIELD(HELLO, 0, 4, 0), BY_DESTINATION(PROTOCOL, "page size 0 is none")},
    {"page size 3000", FIELD(HELLO, 0, 4, 3000), BY_DESTINATION(PROTOCOL, "size 3000 is none")},
    {"page size 512", FIELD(HELLO, 0, 4, 512), BY_DESTINATION(PROTOCOL, "page size 512 is none")},
    {"other page size", FIELD(HELLO, 0, 4, 8192),
     BY_DESTINATION(PROTOCOL, "packets of 128 pages, this side of 64")},
    {"page count", FIELD(HELLO, 4, 4, 129), BY_DESTINATION(PROTOCOL, "packets of 129 pages")},
    {"huge page count", FIELD(HELLO, 4, 4, 0xffffffff),
     BY_DESTINATION(PROTOCOL, "packets of 4294967295 pages")},
    {"no channel", FIELD(HELLO, 8, 4, 0), BY_DESTINATION(PROTOCOL, "wants no channel")},
    {"256 channels", FIELD(HELLO, 8, 4, 256), BY_DESTINATION(PROTOCOL, MALFORMED("HELLO"))},
    {"registration of none", FIELD(HELLO, 32, 4, 3), BY_DESTINATION(PROTOCOL, MALFORMED("HELLO"))},
    {"odp", FIELD(HELLO, 32, 4, 2),
     BY_DESTINATION(LIMIT, "on-demand paging, which the device of the destination does not have")},
    {"no method", FIELD(HELLO, 12, 4, 6), BY_DESTINATION(INVALID, "wants method 0x6, which this")},
    {"odd method", FIELD(HELLO, 12, 4, 1), BY_DESTINATION(INVALID, "wants method 0x1, which")},
    {"huge method", FIELD(HELLO, 12, 4, 0x80000000), BY_DESTINATION(INVALID, "0x80000000")},
    {"verify 2", FIELD(HELLO, 16, 4, 2), BY_DESTINATION(PROTOCOL, MALFORMED("HELLO"))},
    {"small pieces", FIELD(HELLO, 20, 4, 19), BY_DESTINATION(PROTOCOL, "pieces of 2^19 bytes")},
    {"huge pieces", FIELD(HELLO, 20, 4, 64), BY_DESTINATION(PROTOCOL, MALFORMED("HELLO"))},
    {"no timeout", FIELD(HELLO, 24, 4, 0), BY_DESTINATION(PROTOCOL, "timeout of 0 ms is too")},
    {"zero pages 2", FIELD(HELLO, 28, 4, 2), BY_DESTINATION(PROTOCOL, MALFORMED("HELLO"))},
    {"timeout in answer", FIELD(HELLO_OK, 0, 4, 0),
     BY_SOURCE(PROTOCOL, "answered a timeout of 5000 ms with 0 ms")},
};

/* RAM_BLOCKS: first, total, num, then each a length of 8 bytes and a name of 2 + 6. */
static const struct tamper lists[] = {
    {"first entry", FIELD(RAM_BLOCKS, 0, 4, 1), BY_DESTINATION(PROTOCOL, MALFORMED("RAM_BLOCKS"))},
    {"entry of later", FIELD(RAM_BLOCKS, 0, 8, UINT64_C(0x100000014)),
     BY_DESTINATION(PROTOCOL, "list of RAM blocks is broken")},
    {"total below", FIELD(RAM_BLOCKS, 4, 4, 9), BY_DESTINATION(PROTOCOL, MALFORMED("RAM_BLOCKS"))},
    {"huge total", FIELD(RAM_BLOCKS, 4, 4, 1025),
     BY_DESTINATION(PROTOCOL, MALFORMED("RAM_BLOCKS"))},
    {"no entry", FIELD(RAM_BLOCKS, 8, 4, 0), BY_DESTINATION(PROTOCOL, MALFORMED("RAM_BLOCKS"))},
    {"more entries", FIELD(RAM_BLOCKS, 8, 4, 17), BY_DESTINATION(PROTOCOL, MALFORMED("RAM_B"))},
    {"no length", FIELD(RAM_BLOCKS, 12, 8, 0), BY_DESTINATION(PROTOCOL, "\"block0\" has 0 bytes")},
    {"odd length", FIELD(RAM_BLOCKS, 12, 8, 4097),
     BY_DESTINATION(PROTOCOL, "\"block0\" has 4097 bytes, no multiple of 4096")},
    {"other length", FIELD(RAM_BLOCKS, 12, 8, 4096),
     BY_DESTINATION(MISMATCH, "\"block0\" has 4096 bytes at the source, 32768 at the")},
    {"huge length", FIELD(RAM_BLOCKS, 12, 8, UINT64_C(0xfffffffffffff000)),
     BY_DESTINATION(MISMATCH, "\"block0\" has 18446744073709547520 bytes at the source")},
    {"long name", FIELD(RAM_BLOCKS, 20, 2, 256), BY_DESTINATION(PROTOCOL, MALFORMED("RAM_BLOCKS"))},
    {"NUL in a name", FIELD(RAM_BLOCKS, 25, 1, 0), BY_DESTINATION(PROTOCOL, MALFORMED("RAM_B"))},
    {"unknown block", FIELD(RAM_BLOCKS, 22, 1, 'c'),
     BY_DESTINATION(MISMATCH, "a RAM block \"clock0\" that the destination lacks")},
    {"block twice", FIELD(RAM_BLOCKS, 43, 1, '0'), BY_DESTINATION(PROTOCOL, "\"block0\" twice")},
};

/*
 * PIECES_REQUEST and PIECES: block, first, num, then each an address of 8 bytes and a key. Each
 * block has one piece.
 */
static const struct tamper pieces[] = {
    {"pieces of another block", FIELD(PIECES, 0, 4, 1),
     WHILE_CONNECTING(PROTOCOL, "for other pieces")},
    {"pieces of no block", FIELD(PIECES, 0, 4, 10), WHILE_CONNECTING(PROTOCOL, "for other pieces")},
    {"other pieces", FIELD(PIECES, 4, 4, 1), WHILE_CONNECTING(PROTOCOL, "for other pieces")},
    {"more pieces", FIELD(PIECES, 8, 4, 2), WHILE_CONNECTING(PROTOCOL, MALFORMED("PIECES"))},
    {"pieces twice", FIELD(PIECES, 0, 4, 0), .nth = 2,
     WHILE_CONNECTING(PROTOCOL, "for other pieces")},
    {"key of none", FIELD(PIECES, 20, 4, 0), .end = TAMPER_BREAKS_SOURCE,
     .code = MULTIFD_ERROR_COMPLETION, .text = "remote access error"},
    {"address of elsewhere", FIELD(PIECES, 12, 8, 4096), .end = TAMPER_BREAKS_SOURCE,
     .code = MULTIFD_ERROR_COMPLETION, .text = "remote access error"},
    {"request too early", REPLACE(RAM_BLOCKS, &some_request),
     BY_DESTINATION(PROTOCOL, "unexpected PIECES_REQUEST")},
    {"request where all is registered", REPLACE(FINISH, &some_request),
     BY_DESTINATION(PROTOCOL, "asks for pieces that are none")},
    {"request to the source", REPLACE(SYNC_DONE, &some_request),
     BY_SOURCE(PROTOCOL, "unexpected PIECES_REQUEST")},
    {"pieces to the source, too early", REPLACE(HELLO_OK, &some_pieces),
     BY_SOURCE(PROTOCOL, "unexpected PIECES")},
    {"pieces to the destination", REPLACE(FINISH, &some_pieces),
     BY_DESTINATION(PROTOCOL, "unexpected PIECES")},
};

/* The same where the source asks for what it needs. */
static const struct tamper pieces_on_demand[] = {
    {"request for no block", FIELD(PIECES_REQUEST, 0, 4, 10),
     BY_DESTINATION(PROTOCOL, "asks for pieces that are none")},
    {"request for a huge block", FIELD(PIECES_REQUEST, 0, 4, 1024),
     BY_DESTINATION(PROTOCOL, MALFORMED("PIECES_REQUEST"))},
    {"request behind the last", FIELD(PIECES_REQUEST, 4, 4, 1),
     BY_DESTINATION(PROTOCOL, "asks for pieces that are none")},
    {"request that wraps", FIELD(PIECES_REQUEST, 4, 4, 0xffffffff),
     BY_DESTINATION(PROTOCOL, MALFORMED("PIECES_REQUEST"))},
    {"request for too many", FIELD(PIECES_REQUEST, 8, 4, 256),
     BY_DESTINATION(PROTOCOL, "asks for pieces that are none")},
    {"request for nothing", FIELD(PIECES_REQUEST, 8, 4, 0),
     BY_DESTINATION(PROTOCOL, MALFORMED("PIECES_REQUEST"))},
    {"request, cut", FRAME(PIECES_REQUEST, 20),
     BY_DESTINATION(PROTOCOL, MALFORMED("PIECES_REQUEST"))},
    {"request twice", FIELD(PIECES_REQUEST, 0, 4, 0), .nth = 2,
     BY_DESTINATION(PROTOCOL, "asks for a piece twice")},
    {"answer for no block", FIELD(PIECES, 0, 4, 10),
     WHILE_CONNECTING(PROTOCOL, "for other pieces")},
    {"answer for more", FIELD(PIECES, 4, 4, 1), WHILE_CONNECTING(PROTOCOL, "for other pieces")},
    {"answer twice", FIELD(PIECES, 0, 4, 0), .nth = 3,
     WHILE_CONNECTING(PROTOCOL, "for other pieces")},
    {"answer before any request", REPLACE(RAM_BLOCKS_OK, &some_pieces),
     WHILE_CONNECTING(PROTOCOL, "for other pieces")},
    {"answer with a key of none", FIELD(PIECES, 20, 4, 0), .end = TAMPER_BREAKS_SOURCE,
     .code = MULTIFD_ERROR_COMPLETION, .text = "remote access error"},
};

static const struct tamper turns[] = {
    {"FINISH for HELLO", REPLACE(HELLO, &some_finish),
     BY_DESTINATION(PROTOCOL, "the source sent FINISH where HELLO is due")},
    {"SYNC_DONE for HELLO_OK", REPLACE(HELLO_OK, &some_sync_done),
     BY_SOURCE(PROTOCOL, "the destination sent SYNC_DONE where HELLO_OK is due")},
    {"HELLO for RAM_BLOCKS", REPLACE(RAM_BLOCKS, &some_hello),
     BY_DESTINATION(PROTOCOL, "the source sent HELLO where RAM_BLOCKS is due")},
    {"FINISH_OK for RAM_BLOCKS_OK", REPLACE(RAM_BLOCKS_OK, &some_finish_ok),
     BY_SOURCE(PROTOCOL, "the destination sent FINISH_OK where RAM_BLOCKS_OK is due")},
    {"FINISH_OK for SYNC_DONE", REPLACE(SYNC_DONE, &some_finish_ok),
     BY_SOURCE(PROTOCOL, "the destination sent FINISH_OK where SYNC_DONE is due")},
    {"HELLO for FINISH", REPLACE(FINISH, &some_hello),
     BY_DESTINATION(PROTOCOL, "the source sent HELLO where FINISH is due")},
    {"FINISH for a digest", REPLACE(BLOCK_DIGEST, &some_finish),
     BY_DESTINATION(PROTOCOL, "the source sent FINISH where BLOCK_DIGEST is due")},
    {"SYNC_DONE for FINISH_OK", REPLACE(FINISH_OK, &some_sync_done), .end = TAMPER_AFTER_THE_END,
     .code = MULTIFD_ERROR_PROTOCOL, .text = "sent SYNC_DONE where FINISH_OK is due"},
    {"another round", FIELD(SYNC_DONE, 0, 8, 2),
     BY_SOURCE(PROTOCOL, "the destination confirmed round 2 where 1 is due")},
    {"round 1 again", .what = MESSAGE_SYNC_DONE, .nth = 2, .way = TAMPER_REPLACE,
     .message = &some_sync_done, BY_SOURCE(PROTOCOL, "confirmed round 1 where 2 is due")},
    {"BYE for FINISH", REPLACE(FINISH, &some_bye), .end = TAMPER_BREAKS_DESTINATION,
     .code = MULTIFD_ERROR_PROTOCOL, .text = "unexpected BYE"},
    {"packets", FIELD(FINISH, 0, 8, 99),
     BY_DESTINATION(PROTOCOL, "sent 99 packets with 160 pages")},
    {"normal pages", FIELD(FINISH, 8, 8, 1), BY_DESTINATION(PROTOCOL, "packets with 1 ")},
    {"zero pages", FIELD(FINISH, 16, 8, 1), BY_DESTINATION(PROTOCOL, "the source sent 2")},
    {"guest bytes", FIELD(FINISH, 24, 8, 0), BY_DESTINATION(PROTOCOL, "the source sent 2")},
    {"syncs", FIELD(FINISH, 32, 8, 3), BY_DESTINATION(PROTOCOL, "the source sent 2")},
    {"confirmed totals", FIELD(FINISH_OK, 32, 8, 3), .end = TAMPER_AFTER_THE_END,
     .code = MULTIFD_ERROR_PROTOCOL, .text = "the destination confirmed other totals"},
    {"digest of no block", FIELD(BLOCK_DIGEST, 0, 4, 10),
     BY_DESTINATION(PROTOCOL, "a digest of RAM block 10 where that of")},
    {"digest of a huge block", FIELD(BLOCK_DIGEST, 0, 4, 1024),
     BY_DESTINATION(PROTOCOL, MALFORMED("BLOCK_DIGEST"))},
    {"digest twice", .what = MESSAGE_BLOCK_DIGEST, .nth = 2, .way = TAMPER_FIELD, .at = AT_BODY,
     .bytes = 4, .value = 0, BY_DESTINATION(PROTOCOL, "a digest of RAM block 0 where that of")},
    {"other digest", REPLACE(BLOCK_DIGEST, &one_digest),
     BY_DESTINATION(VERIFY, "\"block0\" differs")},
};

/* An error that is none, or that wants to paint on a terminal, is an error all the same. */
static const struct tamper errors[] = {
    {"control characters", REPLACE(HELLO, &rude_error), .end = TAMPER_BREAKS_DESTINATION,
     .code = MULTIFD_ERROR_PEER, .text = "the source failed: ?[2Jgone?"},
    {"error to the source", REPLACE(SYNC_DONE, &rude_error), .end = TAMPER_BREAKS_SOURCE,
     .code = MULTIFD_ERROR_PEER, .text = "the destination failed: ?[2Jgone?"},
    {"error without a text", REPLACE(SYNC_DONE, &no_error), .end = TAMPER_BREAKS_SOURCE,
     .code = MULTIFD_ERROR_PEER, .text = "the destination failed"},
    {"error of no code", .what = MESSAGE_HELLO_OK, .way = TAMPER_REPLACE, .message = &no_error,
     .also = &(const struct tamper){.way = TAMPER_FIELD, .at = AT_BODY, .bytes = 4, .value = 99},
     BY_SOURCE(PROTOCOL, MALFORMED("ERROR"))},
};

static void run_frames(void **state)
{
    (void)state;
    tamper_run_all(frames, COUNT_OF(frames));
}

static void run_hellos(void **state)
{
    (void)state;
    tamper_run_all(hellos, COUNT_OF(hellos));
}

static void run_lists(void **state)
{
    (void)state;
    tamper_run_all(lists, COUNT_OF(lists));
}

static void run_pieces(void **state)
{
    static const struct pair_setting on_demand[] = {
        {"registration", "on-demand"}, {"channels", "1"}, {NULL, NULL}};

    (void)state;
    tamper_run_all(pieces, COUNT_OF(pieces));
    for (size_t i = 0; i < COUNT_OF(pieces_on_demand); i++) {
        tamper_run_with(&pieces_on_demand[i], on_demand, NULL);
    }
}

static void run_turns(void **state)
{
    (void)state;
    tamper_run_all(turns, COUNT_OF(turns));
}

static void run_errors(void **state)
{
    (void)state;
    tamper_run_all(errors, COUNT_OF(errors));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(run_frames), cmocka_unit_test(run_hellos), cmocka_unit_test(run_lists),
        cmocka_unit_test(run_pieces), cmocka_unit_test(run_turns),  cmocka_unit_test(run_errors),
    };

    static const struct CMUnitTest socket_tests[] = {
        cmocka_unit_test(run_hellos),
        cmocka_unit_test(run_lists),
        cmocka_unit_test(run_turns),
        cmocka_unit_test(run_errors),
    };
    int failed = cmocka_run_group_tests_name("hostile messages", tests, NULL, NULL);

    pair_on_send = socket_wire_on_send;
    pair_transport = PAIR_TCP;
    return failed + cmocka_run_group_tests_name("hostile messages, tcp", socket_tests, NULL, NULL);
}
