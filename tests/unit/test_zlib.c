/* SPDX-License-Identifier: MIT */
/* What is zlib's own: see test_compress.c for the rest. */
#include "compress/zlib.h"
#include "compress_rig.h"

#include <errno.h>
#include <zlib.h>

#define PAGE  4096u
#define PAGES 4u

static const struct rig_method method = {&multifd_zlib_ops, MULTIFD_FLAG_ZLIB, "zlib", 0, 9};
static struct rig rig;
static uint8_t payload[2 * PAGE];

int __real_deflateInit_(z_stream *stream, int level, const char *version, int size);
int __wrap_deflateInit_(z_stream *stream, int level, const char *version, int size);
int __real_deflate(z_stream *stream, int flush);
int __wrap_deflate(z_stream *stream, int flush);
int __real_inflateInit_(z_stream *stream, const char *version, int size);
int __wrap_inflateInit_(z_stream *stream, const char *version, int size);
int __real_inflate(z_stream *stream, int flush);
int __wrap_inflate(z_stream *stream, int flush);

int __wrap_deflateInit_(z_stream *stream, int level, const char *version, int size)
{
    return mock_check("deflateInit") != 0 ? Z_MEM_ERROR
                                          : __real_deflateInit_(stream, level, version, size);
}

int __wrap_deflate(z_stream *stream, int flush)
{
    return mock_check("deflate") != 0 ? Z_STREAM_ERROR : __real_deflate(stream, flush);
}

int __wrap_inflateInit_(z_stream *stream, const char *version, int size)
{
    return mock_check("inflateInit") != 0 ? Z_VERSION_ERROR
                                          : __real_inflateInit_(stream, version, size);
}

int __wrap_inflate(z_stream *stream, int flush)
{
    return mock_check("inflate") != 0 ? Z_MEM_ERROR : __real_inflate(stream, flush);
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

/* The packet's pages as zlib makes them with other settings; returns the payload's bytes. */
static size_t compress_with(int window_bits, const char *dictionary)
{
    z_stream stream = {0};
    size_t length;

    assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY),
                     Z_OK);
    if (dictionary != NULL) {
        assert_int_equal(
            deflateSetDictionary(&stream, (const Bytef *)dictionary, (uInt)strlen(dictionary)),
            Z_OK);
    }
    stream.next_in = rig.source + rig.offsets[0];
    stream.avail_in = rig.pages * PAGE;
    stream.next_out = payload;
    stream.avail_out = sizeof(payload);
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    length = stream.total_out;
    assert_int_equal(deflateEnd(&stream), Z_OK);
    return length;
}

static void any_window_is_taken(void **state)
{
    (void)state;
    for (int bits = 9; bits <= 15; bits++) {
        struct multifd_error err = ERROR_UNTOUCHED;
        const size_t length = compress_with(bits, NULL);

        assert_int_equal(rig_receive(&rig, payload, length, &err), 0);
        assert_untouched(&err);
        rig_assert_arrived(&rig);
    }
}

static void other_formats_are_refused(void **state)
{
    (void)state;
    rig_refuses(&rig, payload, compress_with(15 + 16, NULL), "zlib: incorrect header check");
    rig_refuses(&rig, payload, compress_with(-15, NULL), "zlib: "); /* without a header */
}

static void a_dictionary_is_refused(void **state)
{
    (void)state;
    rig_refuses(&rig, payload, compress_with(15, "page 1, page 2"), "needs a dictionary");
    rig_pass(&rig);
}

static void a_wrong_checksum_is_refused(void **state)
{
    const size_t length = compress_with(15, NULL);

    (void)state;
    payload[length - 1] ^= 1;
    rig_refuses(&rig, payload, length, "zlib: incorrect data check");
}

/* Pages that have all come out do not stand for the end of the stream. */
static void a_missing_checksum_is_refused(void **state)
{
    const size_t length = compress_with(15, NULL);

    (void)state;
    for (size_t missing = 1; missing <= 4; missing++) {
        rig_refuses(&rig, payload, length - missing, "cut off");
    }
}

static void an_empty_stream_is_refused(void **state)
{
    static const uint8_t empty[] = {0x78, 0x9c, 0x03, 0x00, 0x00, 0x00, 0x00, 0x01};

    (void)state;
    rig_refuses(&rig, empty, sizeof(empty), "after 0 of 4096 bytes");
}

/* Deflate copies from up to 32 KiB before: here from before the first byte. */
static void a_reach_before_the_pages_is_refused(void **state)
{
    static const uint8_t stream[] = {0x78, 0x9c, 0x03, 0x02, 0x00, 0x00, 0x00, 0x01};

    (void)state;
    rig_refuses(&rig, stream, sizeof(stream), "zlib: invalid distance too far back");
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

/* QEMU's pieces end so, and only the first one begins with a header. */
static void pieces_end_with_a_marker(void **state)
{
    static const uint8_t marker[] = {0x00, 0x00, 0xff, 0xff};

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        rig_pass(&rig);
        assert_memory_equal(rig.send.payload + rig.send.next_packet_size - 4, marker, 4);
        assert_int_equal(rig.send.payload[0] == 0x78 && rig.send.payload[1] == 0x01, i == 0);
    }
}

static void a_stream_that_ends_is_refused(void **state)
{
    const size_t length = compress_with(15, NULL);
    struct multifd_error err;

    (void)state;
    rig_refuses(&rig, payload, length, "cut off");
    rig_renew_receiver(&rig);
    assert_int_equal(rig_receive(&rig, payload, length - 1, &err), 0); /* its pages are there */
    rig_prepare(&rig);
    rig_refuses(&rig, rig.send.payload, rig.send.next_packet_size, "incorrect data check");
}

static void pieces_that_fail_on_this_side(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    rig_prepare(&rig);
    mock_fail_nth("inflate", 1, ENOMEM);
    assert_int_equal(rig_receive(&rig, rig.send.payload, rig.send.next_packet_size, &err), -1);
    assert_error(&err, MULTIFD_ERROR_METHOD, "zlib: inflate: insufficient memory");
    rig_renew_receiver(&rig);
    mock_fail_nth("inflate", 2, ENOMEM); /* the look for output that is left */
    assert_int_equal(rig_receive(&rig, rig.send.payload, rig.send.next_packet_size, &err), -1);
    assert_error(&err, MULTIFD_ERROR_METHOD, "zlib: inflate: insufficient memory");
    mock_fail("deflate", ENOMEM);
    assert_int_equal(multifd_zlib_ops.send_prepare(&rig.send, &err), -1);
    assert_error(&err, MULTIFD_ERROR_METHOD, "zlib: deflate: stream error");
}

static void no_compressor_is_an_error(void **state)
{
    struct multifd_send_params p = {.page_size = PAGE, .page_count = PAGES, .level = 7};
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    mock_fail("deflateInit", ENOMEM);
    assert_int_equal(multifd_zlib_ops.send_setup(&p, &err), -1);
    assert_error(&err, MULTIFD_ERROR_METHOD, "zlib: no compressor of level 7: insufficient memory");
    multifd_zlib_ops.send_cleanup(&p);
    assert_null(p.iov);
    assert_null(p.compress_data);
}

static void a_level_that_zlib_has_not_is_an_error(void **state)
{
    struct multifd_send_params p = {.page_size = PAGE, .page_count = PAGES, .level = 10};
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    assert_int_equal(multifd_zlib_ops.send_setup(&p, &err), -1);
    assert_error(&err, MULTIFD_ERROR_METHOD, "zlib: no compressor of level 10: stream error");
    multifd_zlib_ops.send_cleanup(&p);
}

static void no_decompressor_is_an_error(void **state)
{
    struct multifd_recv_params p = {.page_size = PAGE, .page_count = PAGES};
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    mock_fail("inflateInit", EINVAL);
    assert_int_equal(multifd_zlib_ops.recv_setup(&p, &err), -1);
    assert_error(&err, MULTIFD_ERROR_METHOD, "zlib: no decompressor: incompatible version");
    multifd_zlib_ops.recv_cleanup(&p);
    assert_null(p.compress_data);
}

static void what_fails_on_this_side_is_not_the_peer_s_fault(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    rig_prepare(&rig);
    mock_fail("inflate", ENOMEM);
    assert_int_equal(rig_receive(&rig, rig.send.payload, rig.send.next_packet_size, &err), -1);
    assert_error(&err, MULTIFD_ERROR_METHOD, "zlib: inflate: insufficient memory");
    mock_fail("deflate", EINVAL);
    assert_int_equal(multifd_zlib_ops.send_prepare(&rig.send, &err), -1);
    assert_error(&err, MULTIFD_ERROR_METHOD, "zlib: deflate: stream error");
    mock_succeed("inflate");
    mock_succeed("deflate");
    rig_pass(&rig);
}

#define with_rig(function) cmocka_unit_test_setup_teardown(function, make, release)

#define with_stream(function) cmocka_unit_test_setup_teardown(function, make_stream, release)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_rig(any_window_is_taken),
        with_rig(other_formats_are_refused),
        with_rig(a_dictionary_is_refused),
        with_rig(a_wrong_checksum_is_refused),
        with_rig(a_missing_checksum_is_refused),
        with_rig(an_empty_stream_is_refused),
        with_rig(a_reach_before_the_pages_is_refused),
        mocked_test(no_compressor_is_an_error),
        mocked_test(a_level_that_zlib_has_not_is_an_error),
        mocked_test(no_decompressor_is_an_error),
        with_rig(what_fails_on_this_side_is_not_the_peer_s_fault),
        with_stream(pieces_end_with_a_marker),
        with_stream(a_stream_that_ends_is_refused),
        with_stream(pieces_that_fail_on_this_side),
    };

    return cmocka_run_group_tests_name("compress/zlib", tests, NULL, NULL);
}
