/* SPDX-License-Identifier: MIT */
#include "cmocka_all.h"

#include "bench/content.h"
#include "bench/method.h"
#include "bench/method_packets.h"
#include "scratch.h"

#include <stdlib.h>
#include <string.h>

enum { PAGE = 4096 };

static int enter(void **state)
{
    (void)state;
    return scratch_enter_below("/tmp");
}

static int leave(void **state)
{
    (void)state;
    return scratch_leave();
}

static int measure(const char *choices_text, const struct multifd_methods *own, json_t *row,
                   struct multifd_error *err)
{
    json_t *choices = json_loads(choices_text, 0, NULL);
    struct bench_case bench;
    int status = bench_case_init(&bench, choices, err);

    json_decref(choices);
    assert_int_equal(status, 0);
    if (own != NULL) {
        assert_int_equal(multifd_register_ops(bench.session, 3u << 1, "own", own, err), 0);
    }
    status = measurement_method.run(&bench, NULL, row, err);
    bench_case_clear(&bench);
    return status;
}

static double real(const json_t *row, const char *name)
{
    assert_true(json_is_real(json_object_get(row, name)));
    return json_real_value(json_object_get(row, name));
}

static void pages_that_are_made(void **state)
{
    static const char *const methods[] = {"zlib", "zstd"};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct multifd_error err = {0};
        json_t *row = json_object();
        char text[128];

        (void)snprintf(text, sizeof(text),
                       "{\"memory\":\"1M\",\"repeat\":\"2\",\"method\":\"%s\",\"%s-level\":\"3\"}",
                       methods[i], methods[i]);
        assert_int_equal(measure(text, NULL, row, &err), 0);
        assert_int_equal(json_integer_value(json_object_get(row, "level")), 3);
        assert_int_equal(json_integer_value(json_object_get(row, "pages")), 256);
        assert_true(real(row, "compression_ratio") > 1.8 && real(row, "compression_ratio") < 2.0);
        assert_true(real(row, "zero_share") == 0.0 && real(row, "uncompressed_share") == 0.0);
        assert_true(real(json_object_get(row, "compress_gbps"), "min") > 0);
        assert_true(real(json_object_get(row, "decompress_gbps"), "min") > 0);
        json_decref(row);
    }
}

static void without_compression(void **state)
{
    struct multifd_error err = {0};
    json_t *row = json_object();

    (void)state;
    assert_int_equal(measure("{\"memory\":\"1M\",\"repeat\":\"1\"}", NULL, row, &err), 0);
    assert_true(real(row, "compression_ratio") == 1.0 && real(row, "uncompressed_share") == 1.0);
    assert_null(json_object_get(row, "decompress_gbps"));
    json_decref(row);
}

/* ---- Methods that are wrong ---- */

static int send_setup(struct multifd_send_params *p, struct multifd_error *err)
{
    (void)err;
    p->iov = calloc(p->page_count + 1, sizeof(*p->iov));
    return p->iov != NULL ? 0 : -1;
}

static void send_cleanup(struct multifd_send_params *p)
{
    free(p->iov);
    p->iov = NULL;
}

static int send_prepare(struct multifd_send_params *p, struct multifd_error *err)
{
    (void)err;
    p->payload[0] = 'x';
    p->next_packet_size = 1;
    p->flags |= 3u << 1;
    return 0;
}

/* One byte of the last page is not what it was. */
static int recv_nearly(struct multifd_recv_params *p, struct multifd_error *err)
{
    struct bench_memory made = {.bytes = p->host, .length = 256L * PAGE, .page_size = PAGE};

    (void)err;
    bench_memory_fill(&made, 0);
    p->host[p->normal[p->normal_num - 1] + PAGE - 1] ^= 1;
    return 0;
}

static int recv_nothing(struct multifd_recv_params *p, struct multifd_error *err)
{
    (void)p;
    (void)err;
    return 0;
}

static void assert_mismatch(int (*recv)(struct multifd_recv_params *p, struct multifd_error *err),
                            const char *reason)
{
    const struct multifd_methods own = {.send_setup = send_setup,
                                        .send_cleanup = send_cleanup,
                                        .send_prepare = send_prepare,
                                        .recv = recv};
    struct multifd_error err = {0};
    json_t *row = json_object();

    assert_int_equal(
        measure("{\"memory\":\"1M\",\"repeat\":\"1\",\"method\":\"own\"}", &own, row, &err), -1);
    assert_int_equal(err.code, MULTIFD_ERROR_VERIFY);
    assert_string_equal(err.message, reason);
    json_decref(row);
}

static void a_mismatch_fails(void **state)
{
    (void)state;
    assert_mismatch(recv_nothing, "the page at offset 0 was decompressed to something else");
    assert_mismatch(recv_nearly, "the page at offset 1044480 was decompressed to something else");
}

static void an_unknown_method(void **state)
{
    struct multifd_error err = {0};

    (void)state;
    assert_int_equal(measure("{\"memory\":\"1M\",\"method\":\"rot13\"}", NULL, NULL, &err), -1);
    assert_string_equal(err.message, "unknown method \"rot13\"");
}

/* ---- Files ---- */

static void write_pages(const char *kinds, size_t odd_bytes)
{
    FILE *file = fopen("content", "w");

    assert_non_null(file);
    for (uint32_t state = 1; *kinds != '\0'; kinds++) {
        for (int i = 0; i < PAGE; i++) {
            state = state * 1664525u + 1013904223u;
            (void)fputc(*kinds == '0' ? 0 : *kinds == 'n' ? (int)(state >> 24) : 'a', file);
        }
    }
    for (; odd_bytes > 0; odd_bytes--) {
        (void)fputc('o', file);
    }
    assert_int_equal(fclose(file), 0);
}

static void pages_of_a_file(void **state)
{
    struct multifd_error err = {0};
    json_t *row = json_object();

    (void)state;
    write_pages("0a0aa00a", 100);
    assert_int_equal(
        measure("{\"content\":\"content\",\"repeat\":\"1\",\"method\":\"zlib\"}", NULL, row, &err),
        0);
    assert_int_equal(json_integer_value(json_object_get(row, "pages")), 8);
    assert_true(real(row, "zero_share") == 0.5);
    assert_true(real(row, "compression_ratio") > 50);
    json_decref(row);
}

static void assert_no_content(const char *file, uint64_t length, const char *reason)
{
    struct bench_memory memory = {0};
    struct multifd_error err = {0};

    assert_int_equal(content_load(&memory, file, length, PAGE, &err), -1);
    assert_null(memory.bytes);
    assert_string_equal(err.message, reason);
}

static void files_without_pages(void **state)
{
    struct bench_memory memory = {0};
    struct multifd_error err = {0};
    size_t num;

    (void)state;
    assert_no_content("nothing", PAGE, "option content: nothing: No such file or directory");
    assert_no_content("/", PAGE, "option content: /: read: Is a directory");
    write_pages("", 4095);
    assert_no_content("content", PAGE, "option content: content: no page in it");
    write_pages("00", 0);
    assert_int_equal(content_load(&memory, "content", PAGE, PAGE, &err), 0);
    assert_int_equal(memory.length, PAGE); /* no more than was wanted */
    assert_null(content_pages(&memory, &num, &err));
    assert_string_equal(err.message, "option content: nothing but zero pages");
    bench_memory_unmap(&memory);
}

/* ---- Packets ---- */

/* Noise fills the second of three packets; the last one is not full. */
static void packets_that_do_not_shrink(void **state)
{
    enum { PACKET = MULTIFD_PACKET_SIZE / PAGE, PAGES = 2 * PACKET + 5 };
    struct bench_memory memory = {0};
    struct method_totals totals;
    struct multifd_error err;
    char kinds[PAGES + 1] = "";
    size_t num;

    (void)state;
    memset(kinds, 'a', PAGES);
    memset(kinds + PACKET, 'n', PACKET);
    write_pages(kinds, 0);
    assert_int_equal(content_load(&memory, "content", (uint64_t)PAGES * PAGE, PAGE, &err), 0);
    uint64_t *offsets = content_pages(&memory, &num, &err);
    struct multifd_options *options = multifd_options_new();
    const struct method_input input = {.ops = multifd_options_method(options, "zstd"),
                                       .level = 1,
                                       .page_size = PAGE,
                                       .host = memory.bytes,
                                       .offsets = offsets,
                                       .pages = num};
    multifd_options_delete(&options);
    struct method_packets *packets = method_packets_new(&input, &err);
    assert_non_null(packets);
    uint8_t *to = calloc(PAGES, PAGE);
    assert_non_null(to);
    assert_int_equal(method_packets_compress(packets, &err), 0);
    assert_int_equal(method_packets_decompress(packets, to, &err), 0);
    method_packets_totals(packets, &totals);
    assert_int_equal(totals.packets, 3);
    assert_int_equal(totals.uncompressed, 1);
    assert_int_equal(totals.shrunk_bytes, (PACKET + 5) * PAGE);
    assert_in_range(totals.payload_bytes, MULTIFD_PACKET_SIZE, MULTIFD_PACKET_SIZE + PAGE);
    for (size_t i = 0; i < num; i++) {
        bool shrank = i < PACKET || i >= 2 * PACKET;
        assert_int_equal(method_packets_shrank(packets, i), shrank);
        assert_int_equal(memcmp(to + i * PAGE, memory.bytes + i * PAGE, PAGE) == 0, shrank);
    }
    free(to);
    method_packets_delete(&packets);
    method_packets_delete(&packets);
    free(offsets);
    bench_memory_unmap(&memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_that_are_made),
        cmocka_unit_test(without_compression),
        cmocka_unit_test(a_mismatch_fails),
        cmocka_unit_test(an_unknown_method),
        cmocka_unit_test(pages_of_a_file),
        cmocka_unit_test(files_without_pages),
        cmocka_unit_test(packets_that_do_not_shrink),
    };

    return cmocka_run_group_tests(tests, enter, leave);
}
