/* SPDX-License-Identifier: MIT */
/* What is zstd's own: see test_compress.c for the rest. */
#include "compress/zstd.h"
#include "compress_rig.h"

#include <errno.h>
#include <zstd.h>
#include <zstd_errors.h>

#define PAGE  4096u
#define PAGES 4u

static const struct rig_method method = {&multifd_zstd_ops, MULTIFD_FLAG_ZSTD, "zstd", -7, 20};
static struct rig rig;
static uint8_t payload[2 * PAGE];

ZSTD_CCtx *__real_ZSTD_createCCtx(void);
ZSTD_CCtx *__wrap_ZSTD_createCCtx(void);
size_t __real_ZSTD_CCtx_setParameter(ZSTD_CCtx *context, ZSTD_cParameter parameter, int value);
size_t __wrap_ZSTD_CCtx_setParameter(ZSTD_CCtx *context, ZSTD_cParameter parameter, int value);
size_t __real_ZSTD_compress2(ZSTD_CCtx *context, void *to, size_t room, const void *from,
                             size_t bytes);
size_t __wrap_ZSTD_compress2(ZSTD_CCtx *context, void *to, size_t room, const void *from,
                             size_t bytes);
ZSTD_DCtx *__real_ZSTD_createDCtx(void);
ZSTD_DCtx *__wrap_ZSTD_createDCtx(void);
size_t __real_ZSTD_decompressDCtx(ZSTD_DCtx *context, void *to, size_t room, const void *from,
                                  size_t bytes);
size_t __wrap_ZSTD_decompressDCtx(ZSTD_DCtx *context, void *to, size_t room, const void *from,
                                  size_t bytes);

size_t __real_ZSTD_compressStream2(ZSTD_CCtx *context, ZSTD_outBuffer *out, ZSTD_inBuffer *in,
                                   ZSTD_EndDirective end);
size_t __wrap_ZSTD_compressStream2(ZSTD_CCtx *context, ZSTD_outBuffer *out, ZSTD_inBuffer *in,
                                   ZSTD_EndDirective end);
size_t __real_ZSTD_decompressStream(ZSTD_DStream *context, ZSTD_outBuffer *out, ZSTD_inBuffer *in);
size_t __wrap_ZSTD_decompressStream(ZSTD_DStream *context, ZSTD_outBuffer *out, ZSTD_inBuffer *in);

/* As the library returns an error. */
static size_t error_of(ZSTD_ErrorCode code)
{
    return (size_t)0 - (size_t)code;
}

ZSTD_CCtx *__wrap_ZSTD_createCCtx(void)
{
    return mock_check("createCCtx") != 0 ? NULL : __real_ZSTD_createCCtx();
}

size_t __wrap_ZSTD_CCtx_setParameter(ZSTD_CCtx *context, ZSTD_cParameter parameter, int value)
{
    return mock_check("setParameter") != 0
               ? error_of(ZSTD_error_parameter_outOfBound)
               : __real_ZSTD_CCtx_setParameter(context, parameter, value);
}

size_t __wrap_ZSTD_compress2(ZSTD_CCtx *context, void *to, size_t room, const void *from,
                             size_t bytes)
{
    return mock_check("compress2") != 0 ? error_of(ZSTD_error_memory_allocation)
                                        : __real_ZSTD_compress2(context, to, room, from, bytes);
}

ZSTD_DCtx *__wrap_ZSTD_createDCtx(void)
{
    return mock_check("createDCtx") != 0 ? NULL : __real_ZSTD_createDCtx();
}

size_t __wrap_ZSTD_decompressDCtx(ZSTD_DCtx *context, void *to, size_t room, const void *from,
                                  size_t bytes)
{
    return mock_check("decompressDCtx") != 0
               ? error_of(ZSTD_error_memory_allocation)
               : __real_ZSTD_decompressDCtx(context, to, room, from, bytes);
}

size_t __wrap_ZSTD_compressStream2(ZSTD_CCtx *context, ZSTD_outBuffer *out, ZSTD_inBuffer *in,
                                   ZSTD_EndDirective end)
{
    return mock_check("compressStream2") != 0 ? error_of(ZSTD_error_memory_allocation)
                                              : __real_ZSTD_compressStream2(context, out, in, end);
}

size_t __wrap_ZSTD_decompressStream(ZSTD_DStream *context, ZSTD_outBuffer *out, ZSTD_inBuffer *in)
{
    return mock_check("decompressStream") != 0 ? error_of(ZSTD_error_memory_allocation)
                                               : __real_ZSTD_decompressStream(context, out, in);
}

static int make(void **state)
{
    mock_setup(state);
    rig_make(&rig, &method, PAGE, PAGES, 1);
    rig_adjacent(&rig, 1);
    rig_fill_text(&rig);
    return 0;
}

static int release(void **state)
{
    rig_release(&rig);
    return mock_teardown(state);
}

/* The packet's pages as zstd makes them with one more parameter; returns the payload's bytes. */
static size_t compress_with(ZSTD_cParameter parameter, int value, const char *dictionary)
{
    ZSTD_CCtx *context = ZSTD_createCCtx();
    size_t length;

    assert_non_null(context);
    assert_false(ZSTD_isError(ZSTD_CCtx_setParameter(context, parameter, value)));
    if (dictionary != NULL) {
        assert_int_equal(ZSTD_CCtx_loadDictionary(context, dictionary, strlen(dictionary)), 0);
    }
    length = ZSTD_compress2(context, payload, sizeof(payload), rig.source + rig.offsets[0],
                            (size_t)rig.pages * PAGE);
    assert_false(ZSTD_isError(length));
    ZSTD_freeCCtx(context);
    return length;
}

static void other_settings_are_taken(void **state)
{
    static const ZSTD_cParameter parameters[] = {ZSTD_c_checksumFlag, ZSTD_c_contentSizeFlag,
                                                 ZSTD_c_enableLongDistanceMatching};

    (void)state;
    for (size_t i = 0; i < 2 * COUNT_OF(parameters); i++) {
        struct multifd_error err = ERROR_UNTOUCHED;
        const size_t length = compress_with(parameters[i / 2], i % 2 != 0, NULL);

        assert_int_equal(rig_receive(&rig, payload, length, &err), 0);
        assert_untouched(&err);
        rig_assert_arrived(&rig);
    }
}

/* Without its size in the header, a frame shows only at the end what it holds. */
static void lengths_that_are_not_announced_are_checked(void **state)
{
    size_t length;

    (void)state;
    rig_adjacent(&rig, 2);
    length = compress_with(ZSTD_c_contentSizeFlag, 0, NULL);
    rig_adjacent(&rig, 3);
    rig_refuses(&rig, payload, length, "after 8192 of 12288 bytes");
    rig_adjacent(&rig, 1);
    rig_refuses(&rig, payload, length, "more than its pages");
}

static void a_wrong_checksum_is_refused(void **state)
{
    const size_t length = compress_with(ZSTD_c_checksumFlag, 1, NULL);

    (void)state;
    payload[length - 1] ^= 1;
    rig_refuses(&rig, payload, length, "zstd: Restored data doesn't match checksum");
}

/* One frame: magic, a header, one block of one byte that repeats. */
static size_t repeat(uint8_t descriptor, const void *header, size_t header_length, uint32_t times)
{
    static const uint8_t magic[] = {0x28, 0xb5, 0x2f, 0xfd};
    const uint32_t block = times << 3 | 1u << 1 | 1u; /* its size, RLE, the last one */
    uint8_t *to = payload;

    memcpy(to, magic, sizeof(magic));
    to += sizeof(magic);
    *to++ = descriptor;
    memcpy(to, header, header_length);
    to += header_length;
    *to++ = (uint8_t)block;
    *to++ = (uint8_t)(block >> 8);
    *to++ = (uint8_t)(block >> 16);
    *to++ = 'x';
    return (size_t)(to - payload);
}

static void a_frame_by_hand_is_taken(void **state)
{
    static const uint8_t content[] = {PAGE & 0xff, PAGE >> 8, 0, 0};
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    memset(rig.source, 'x', rig.ram_bytes);
    assert_int_equal(rig_receive(&rig, payload, repeat(0xa0, content, sizeof(content), PAGE), &err),
                     0);
    rig_assert_arrived(&rig);
}

static void a_wrong_announcement_is_refused(void **state)
{
    static const uint8_t content[] = {PAGE & 0xff, PAGE >> 8, 0, 0};
    static const uint8_t huge[] = {0xff, 0xff, 0xff, 0xff};

    (void)state;
    rig_refuses(&rig, payload, repeat(0xa0, content, sizeof(content), PAGE - 1), "zstd: ");
    rig_refuses(&rig, payload, repeat(0xa0, content, sizeof(content), PAGE + 1), "");
    rig_refuses(&rig, payload, repeat(0xa0, huge, sizeof(huge), PAGE), "more than its pages");
}

/* Without an announced content a decoder that keeps a window would allocate 2 GiB here. */
static void a_window_takes_no_memory(void **state)
{
    static const uint8_t two_gib = 21 << 3;
    static const uint8_t largest = 0xff;
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    memset(rig.source, 'x', rig.ram_bytes);
    assert_int_equal(rig_receive(&rig, payload, repeat(0x00, &two_gib, 1, PAGE), &err), 0);
    rig_assert_arrived(&rig);
    rig_refuses(&rig, payload, repeat(0x00, &largest, 1, PAGE), "zstd: Frame requires too much");
}

static void a_dictionary_is_refused(void **state)
{
    static const uint8_t number_and_content[] = {7, PAGE & 0xff, PAGE >> 8, 0, 0};
    const size_t length =
        repeat(0xa1, number_and_content, sizeof(number_and_content), PAGE); /* dictionary 7 */

    (void)state;
    rig_refuses(&rig, payload, length, "zstd: Dictionary mismatch");
    rig_pass(&rig);
}

/* A dictionary without a number shows only as what reaches before the first byte. */
static void a_hidden_dictionary_is_refused(void **state)
{
    (void)state;
    memset(rig.source, 0, rig.ram_bytes);
    memcpy(rig.source + rig.offsets[0], "The content of the page, and of the dictionary.", 47);
    rig_refuses(&rig, payload,
                compress_with(ZSTD_c_compressionLevel, 19,
                              "The content of the page, and of the dictionary."),
                "zstd: Data corruption detected");
}

static void what_is_no_frame_is_refused(void **state)
{
    static const uint8_t skippable[] = {0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 'n', 'o', 'n', 'e'};
    static const uint8_t version_07[] = {0x27, 0xb5, 0x2f, 0xfd, 0x20, 0x00, 0x00, 0x00, 0x00};
    static const uint8_t empty[] = {0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x00, 0x01, 0x00, 0x00};
    static const uint8_t reserved[] = {0x28, 0xb5, 0x2f, 0xfd, 0x28, 0x00, 0x01, 0x00, 0x00};

    (void)state;
    rig_refuses(&rig, skippable, sizeof(skippable), "zstd: the payload is not a frame");
    rig_refuses(&rig, version_07, sizeof(version_07), "zstd: the payload is not a frame");
    rig_refuses(&rig, empty, 3, "zstd: the payload is not a frame");
    rig_refuses(&rig, empty, 4, "cut off");
    rig_refuses(&rig, empty, sizeof(empty), "after 0 of 4096 bytes");
    rig_refuses(&rig, reserved, sizeof(reserved), "zstd: Unsupported frame parameter");
}

static void a_frame_that_is_skipped_may_not_follow(void **state)
{
    static const uint8_t skippable[] = {0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0};
    uint32_t length;

    (void)state;
    rig_prepare(&rig);
    length = rig.send.next_packet_size;
    memcpy(rig.send.payload + length, skippable, sizeof(skippable));
    rig_refuses(&rig, rig.send.payload, length + sizeof(skippable), "8 bytes behind the end");
}

/* ---- Over a byte stream ---- */

static int make_stream(void **state)
{
    mock_setup(state);
    rig_make_stream(&rig, &method, PAGE, PAGES, 1);
    rig_adjacent(&rig, 1);
    rig_fill_text(&rig);
    return 0;
}

static void a_frame_that_ends_is_refused(void **state)
{
    const size_t length = compress_with(ZSTD_c_checksumFlag, 1, NULL);

    (void)state;
    rig_refuses(&rig, payload, length, "cut off");
    rig_renew_receiver(&rig);
    rig_refuses(&rig, payload, compress_with(ZSTD_c_checksumFlag, 0, NULL), "cut off");
}

/* Decoders of old formats are not for what a peer sends, and what is skipped is no stream. */
static void only_today_s_format_begins_a_stream(void **state)
{
    static const uint8_t skipped[] = {0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 'n', 'o', 'n', 'e'};
    uint8_t old[] = {0x22, 0xb5, 0x2f, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0};

    (void)state;
    rig_refuses(&rig, skipped, sizeof(skipped), "zstd: the payload is not a frame");
    for (uint8_t version = 0x22; version < 0x28; version++) {
        rig_renew_receiver(&rig);
        old[0] = version;
        rig_refuses(&rig, old, sizeof(old), "zstd: the payload is not a frame");
    }
    rig_renew_receiver(&rig);
    rig_refuses(&rig, old, 3, "zstd: the payload is not a frame");
    rig_renew_receiver(&rig);
    rig_pass(&rig);
    rig_pass(&rig); /* the second piece has no beginning */
}

/* More than level 20 takes: a peer may not have a decoder allocate what it likes. */
static void a_huge_window_is_refused(void **state)
{
    static const uint8_t frame[] = {0x28, 0xb5, 0x2f, 0xfd, 0, 18 << 3, 0x03, 0, 0, 'a'};

    (void)state;
    rig_refuses(&rig, frame, sizeof(frame), "too much memory");
}

static void pieces_that_fail_on_this_side(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    rig_prepare(&rig);
    mock_fail_nth("decompressStream", 1, ENOMEM);
    assert_int_equal(rig_receive(&rig, rig.send.payload, rig.send.next_packet_size, &err), -1);
    assert_error(&err, MULTIFD_ERROR_METHOD, "zstd: Allocation error");
    mock_fail("compressStream2", ENOMEM);
    assert_int_equal(multifd_zstd_ops.send_prepare(&rig.send, &err), -1);
    assert_error(&err, MULTIFD_ERROR_METHOD, "zstd: Allocation error");
}

static void no_compressor_is_an_error(void **state)
{
    static const struct {
        const char *call;
        const char *text;
    } steps[] = {
        {"createCCtx", "zstd: no compressor of level 3: Allocation error : not enough memory"},
        {"setParameter", "zstd: no compressor of level 3: Parameter is out of bound"},
        {"compress2", "zstd: no compressor of level 3: Allocation error : not enough memory"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        struct multifd_send_params p = {.page_size = PAGE, .page_count = PAGES, .level = 3};
        struct multifd_error err = ERROR_UNTOUCHED;

        mock_fail(steps[i].call, ENOMEM);
        assert_int_equal(multifd_zstd_ops.send_setup(&p, &err), -1);
        assert_error(&err, MULTIFD_ERROR_METHOD, steps[i].text);
        mock_succeed(steps[i].call);
        multifd_zstd_ops.send_cleanup(&p);
        assert_null(p.iov);
        assert_null(p.compress_data);
    }
}

static void no_decompressor_is_an_error(void **state)
{
    struct multifd_recv_params p = {.page_size = PAGE, .page_count = PAGES};
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    mock_fail("createDCtx", ENOMEM);
    assert_int_equal(multifd_zstd_ops.recv_setup(&p, &err), -1);
    assert_error(&err, MULTIFD_ERROR_METHOD, "zstd: no decompressor: Allocation error");
    multifd_zstd_ops.recv_cleanup(&p);
    assert_null(p.compress_data);
}

static void what_fails_on_this_side_is_not_the_peer_s_fault(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    rig_prepare(&rig);
    mock_fail("decompressDCtx", ENOMEM);
    assert_int_equal(rig_receive(&rig, rig.send.payload, rig.send.next_packet_size, &err), -1);
    assert_error(&err, MULTIFD_ERROR_METHOD, "zstd: Allocation error");
    mock_fail("compress2", ENOMEM);
    assert_int_equal(multifd_zstd_ops.send_prepare(&rig.send, &err), -1);
    assert_error(&err, MULTIFD_ERROR_METHOD, "zstd: Allocation error");
    mock_succeed("decompressDCtx");
    mock_succeed("compress2");
    rig_pass(&rig);
}

#define with_rig(function) cmocka_unit_test_setup_teardown(function, make, release)

#define with_stream(function) cmocka_unit_test_setup_teardown(function, make_stream, release)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_rig(other_settings_are_taken),
        with_rig(lengths_that_are_not_announced_are_checked),
        with_rig(a_wrong_checksum_is_refused),
        with_rig(a_frame_by_hand_is_taken),
        with_rig(a_wrong_announcement_is_refused),
        with_rig(a_window_takes_no_memory),
        with_rig(a_dictionary_is_refused),
        with_rig(a_hidden_dictionary_is_refused),
        with_rig(what_is_no_frame_is_refused),
        with_rig(a_frame_that_is_skipped_may_not_follow),
        mocked_test(no_compressor_is_an_error),
        mocked_test(no_decompressor_is_an_error),
        with_rig(what_fails_on_this_side_is_not_the_peer_s_fault),
        with_stream(a_frame_that_ends_is_refused),
        with_stream(only_today_s_format_begins_a_stream),
        with_stream(a_huge_window_is_refused),
        with_stream(pieces_that_fail_on_this_side),
    };

    return cmocka_run_group_tests_name("compress/zstd", tests, NULL, NULL);
}
