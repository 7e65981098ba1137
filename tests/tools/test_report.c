/* SPDX-License-Identifier: MIT */
#include "cmocka_all.h"

#include "report.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static struct multifd_channel_statistics channels[] = {
    {.guest_bytes = 4096,
     .wire_bytes = 5000,
     .normal_pages = 1,
     .packets = 2,
     .memory_stalls = 1,
     .cpu_ns = 70},
    {.guest_bytes = 8192,
     .wire_bytes = 9000,
     .normal_pages = 2,
     .zero_pages = 3,
     .packets = 4,
     .cpu_ns = 80},
};

static struct report sample(const struct multifd_error *error)
{
    return (struct report){
        .command = "send",
        .address = "rdma:10.0.0.1:4444",
        .blocks = 1,
        .memory = 12288,
        .statistics = {.guest_bytes = 12288,
                       .wire_bytes = 14000,
                       .normal_pages = 3,
                       .zero_pages = 3,
                       .packets = 6,
                       .syncs = 1,
                       .credit_stalls = 4,
                       .queue_stalls = 2,
                       .memory_stalls = 3,
                       .total_ns = 3000000000,
                       .setup_ns = 1000000000,
                       .transfer_ns = 12288,
                       .cpu_ns = 170000000,
                       .device = {.retries = 9,
                                  .ack_timeouts = MULTIFD_UNKNOWN,
                                  .sequence_naks = 7,
                                  .rnr_naks = 0,
                                  .out_of_sequence = 6,
                                  .duplicates = MULTIFD_UNKNOWN},
                       .channels = 2},
        .channels = channels,
        .cpu_ns = 250000000,
        .error = error,
    };
}

/* Takes the text. */
static json_t *parsed_text(char *text)
{
    assert_non_null(text);
    json_t *object = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(object);
    free(text);
    return object;
}

static json_t *parsed(const struct report *report)
{
    return parsed_text(report_json(report, false));
}

static json_int_t integer(const json_t *object, const char *member)
{
    const json_t *value = json_object_get(object, member);

    assert_true(json_is_integer(value));
    return json_integer_value(value);
}

static void json_of_success(void **state)
{
    struct report report = sample(NULL);
    json_t *object = parsed(&report);

    (void)state;
    assert_int_equal(integer(object, "version"), 1);
    assert_string_equal(json_string_value(json_object_get(object, "type")), "report");
    assert_string_equal(json_string_value(json_object_get(object, "command")), "send");
    assert_string_equal(json_string_value(json_object_get(object, "address")),
                        "rdma:10.0.0.1:4444");
    assert_string_equal(json_string_value(json_object_get(object, "result")), "done");
    assert_true(json_is_null(json_object_get(object, "error")));
    assert_int_equal(integer(object, "memory_bytes"), 12288);
    assert_int_equal(integer(object, "total_ns"), 3000000000);
    assert_int_equal(integer(object, "packets"), 6);
    assert_int_equal(integer(object, "syncs"), 1);
    assert_int_equal(integer(object, "credit_stalls"), 4);
    assert_int_equal(integer(object, "queue_stalls"), 2);
    assert_int_equal(integer(object, "memory_stalls"), 3);
    assert_int_equal(integer(object, "session_cpu_ns"), 170000000);
    assert_int_equal(integer(object, "cpu_ns"), 250000000);
    double ratio = json_real_value(json_object_get(object, "ratio"));
    assert_true(ratio > 0.8777 && ratio < 0.8778); /* 12288 of 14000, rounded */
    assert_true(json_real_value(json_object_get(object, "rate_gbps")) == 8.0);
    const json_t *port = json_object_get(object, "port");
    assert_int_equal(json_object_size(port), 4);
    assert_int_equal(integer(port, "retries"), 9);
    assert_int_equal(integer(port, "sequence_naks"), 7);
    assert_int_equal(integer(port, "rnr_naks"), 0);
    assert_int_equal(integer(port, "out_of_sequence"), 6);
    const json_t *list = json_object_get(object, "channels");
    assert_int_equal(json_array_size(list), 2);
    assert_int_equal(integer(json_array_get(list, 1), "channel"), 1);
    assert_int_equal(integer(json_array_get(list, 1), "zero_pages"), 3);
    assert_int_equal(integer(json_array_get(list, 0), "wire_bytes"), 5000);
    assert_int_equal(integer(json_array_get(list, 1), "cpu_ns"), 80);
    assert_int_equal(integer(json_array_get(list, 0), "memory_stalls"), 1);
    json_decref(object);
}

static void json_of_failure(void **state)
{
    struct multifd_error error = {MULTIFD_ERROR_TIMEOUT, 2, "\"quoted\" and \xc3\xa9"};
    struct report report = sample(&error);
    json_t *object = parsed(&report);
    const json_t *member = json_object_get(object, "error");

    (void)state;
    assert_string_equal(json_string_value(json_object_get(object, "result")), "failed");
    assert_string_equal(json_string_value(json_object_get(member, "code")), "timeout");
    assert_int_equal(integer(member, "channel"), 2);
    assert_string_equal(json_string_value(json_object_get(member, "message")), error.message);
    json_decref(object);

    error.channel = MULTIFD_CONTROL_CHANNEL;
    object = parsed(&report);
    assert_true(json_is_null(json_object_get(json_object_get(object, "error"), "channel")));
    json_decref(object);
}

/* A block's name or a path may hold any bytes, and ends up in messages. */
static void json_of_bytes_that_are_no_text(void **state)
{
    struct multifd_error error = {MULTIFD_ERROR_SYSTEM, MULTIFD_NO_CHANNEL, "bad \xff byte"};
    struct report report = sample(&error);
    json_t *object;

    (void)state;
    report.address = "rdma:\xfe:1";
    object = parsed(&report);
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(object, "error"), "message")),
        "bad ? byte");
    assert_string_equal(json_string_value(json_object_get(object, "address")), "rdma:?:1");
    json_decref(object);
}

static void json_on_one_line(void **state)
{
    struct report report = sample(NULL);
    char *text = report_json(&report, true);
    json_t *lines = parsed(&report);

    (void)state;
    assert_non_null(text);
    assert_null(strchr(text, '\n'));
    json_t *line = parsed_text(text);
    assert_true(json_equal(line, lines));
    json_decref(line);
    json_decref(lines);
}

static void assert_interval(const json_t *object, json_int_t guest, json_int_t wire, double gbps)
{
    const json_t *interval = json_object_get(object, "interval");

    assert_int_equal(integer(interval, "ns"), 4096);
    assert_int_equal(integer(interval, "guest_bytes"), guest);
    assert_int_equal(integer(interval, "wire_bytes"), wire);
    assert_true(json_real_value(json_object_get(interval, "guest_gbps")) == gbps);
    assert_true(json_real_value(json_object_get(interval, "wire_gbps")) ==
                (double)(wire * 8) / 4096);
}

/* The members of the report that are counters or times, and how they have grown. */
static void json_of_statistics(void **state)
{
    struct report before = sample(NULL);
    struct report now = sample(NULL);
    char *text;

    (void)state;
    /* Then there was one channel, which had sent a page of those that it has now. */
    before.statistics.channels = 1;
    before.statistics.guest_bytes = 4096;
    before.statistics.wire_bytes = 5552;
    before.taken_ns = 1000;
    now.taken_ns = 5096;
    text = report_json_statistics(&now, &before);
    assert_null(strchr(text, '\n'));
    json_t *object = parsed_text(text);
    assert_string_equal(json_string_value(json_object_get(object, "type")), "statistics");
    assert_interval(object, 8192, 8448, 16.0);
    const json_t *list = json_object_get(object, "channels");
    assert_interval(json_array_get(list, 0), 0, 0, 0.0);
    assert_interval(json_array_get(list, 1), 8192, 9000, 16.0);

    json_t *report = parsed(&now);
    const char *name;
    json_t *value;
    json_object_foreach(report, name, value)
    {
        if (strcmp(name, "type") != 0 && strcmp(name, "channels") != 0 &&
            strcmp(name, "address") != 0 && strcmp(name, "result") != 0 &&
            strcmp(name, "error") != 0) {
            assert_true(json_equal(value, json_object_get(object, name)));
        }
    }
    json_decref(report);
    json_decref(object);
}

static void table(void **state)
{
    struct report report = sample(NULL);
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);

    (void)state;
    assert_non_null(out);
    report_table(&report, out);
    assert_int_equal(fclose(out), 0);
    assert_non_null(strstr(text, "multifd send: rdma:10.0.0.1:4444, done\n"));
    assert_non_null(strstr(text, "12.0 KiB in 1 RAM block, 2 channels\n"));
    assert_non_null(strstr(text, "  total         3.000 s\n"));
    assert_non_null(strstr(text, "  rate          8.00 Gb/s\n"));
    assert_non_null(strstr(text, "  pages         3 normal, 3 zero\n"));
    assert_non_null(strstr(text, "12288 guest, 14000 wire"));
    assert_non_null(strstr(text, "  ratio         0.88 guest bytes for each byte on the wire\n"));
    assert_non_null(strstr(
        text, "  waited        4 packets for credits, 2 for the send queue, 3 for memory\n"));
    assert_non_null(strstr(
        text, "  port          9 retries, 7 sequence NAKs, 0 RNR NAKs, 6 out of sequence\n"));
    assert_non_null(
        strstr(text, "  processor     0.250 s, 0.170 s of it by the session's threads\n"));
    free(text);
}

/* A transport without a device, or a driver that tells nothing. */
static void no_counters_of_the_port(void **state)
{
    struct report report = sample(NULL);
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);

    (void)state;
    memset(&report.statistics.device, 0xff, sizeof(report.statistics.device));
    assert_non_null(out);
    report_table(&report, out);
    assert_int_equal(fclose(out), 0);
    assert_null(strstr(text, "port"));
    free(text);
    json_t *object = parsed(&report);
    assert_int_equal(json_object_size(json_object_get(object, "port")), 0);
    json_decref(object);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_of_success),
        cmocka_unit_test(json_of_failure),
        cmocka_unit_test(json_of_bytes_that_are_no_text),
        cmocka_unit_test(json_on_one_line),
        cmocka_unit_test(json_of_statistics),
        cmocka_unit_test(table),
        cmocka_unit_test(no_counters_of_the_port),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
