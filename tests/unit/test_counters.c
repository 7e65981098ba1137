/* SPDX-License-Identifier: MIT */
/* A device's counters in a folder that looks like the kernel's. */
#include "test.h"
#include "transport/verbs/counters.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct ibv_device device;
static struct verbs_counters counters;
static char folder[300];

static int make(void **state)
{
    char root[] = "/var/tmp/multifd-counters-XXXXXX";
    char path[400];

    (void)state;
    assert_non_null(mkdtemp(root));
    memset(&counters, 0, sizeof(counters));
    (void)snprintf(device.ibdev_path, sizeof(device.ibdev_path), "%s", root);
    (void)snprintf(folder, sizeof(folder), "%s/ports/2/hw_counters", root);
    (void)snprintf(path, sizeof(path), "mkdir -p %s", folder);
    return system(path);
}

static int release(void **state)
{
    char command[400];

    (void)state;
    (void)snprintf(command, sizeof(command), "rm -rf -- %s", device.ibdev_path);
    return system(command);
}

static void put(const char *name, const char *text)
{
    char path[400];
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static struct multifd_device_counters read_all(void)
{
    struct multifd_device_counters out;

    memset(&out, 0x55, sizeof(out));
    verbs_counters_read(&counters, &out);
    return out;
}

static void assert_unknown(const struct multifd_device_counters *out)
{
    assert_true(out->retries == MULTIFD_UNKNOWN);
    assert_true(out->ack_timeouts == MULTIFD_UNKNOWN);
    assert_true(out->sequence_naks == MULTIFD_UNKNOWN);
    assert_true(out->rnr_naks == MULTIFD_UNKNOWN);
    assert_true(out->out_of_sequence == MULTIFD_UNKNOWN);
    assert_true(out->duplicates == MULTIFD_UNKNOWN);
}

static void soft_roce(void **state)
{
    static const char *const names[] = {"completer_retry_err", "rcvd_seq_err", "rcvd_rnr_err",
                                        "out_of_seq_request", "duplicate_request"};
    struct multifd_device_counters out;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        put(names[i], "100\n");
    }
    verbs_counters_begin(&counters, &device, 2);
    out = read_all();
    assert_int_equal(out.retries, 0);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        char text[8];
        (void)snprintf(text, sizeof(text), "%zu\n", 101 + i);
        put(names[i], text);
    }
    out = read_all();
    assert_int_equal(out.retries, 1);
    assert_true(out.ack_timeouts == MULTIFD_UNKNOWN);
    assert_int_equal(out.sequence_naks, 2);
    assert_int_equal(out.rnr_naks, 3);
    assert_int_equal(out.out_of_sequence, 4);
    assert_int_equal(out.duplicates, 5);
}

static void other_drivers(void **state)
{
    struct multifd_device_counters out;

    (void)state;
    put("local_ack_timeout_err", "7\n");
    put("packet_seq_err", "18446744073709551613\n");
    put("res_oos_drop_count", "1");
    verbs_counters_begin(&counters, &device, 2);
    put("local_ack_timeout_err", "9\n");
    put("packet_seq_err", "18446744073709551614\n");
    out = read_all();
    assert_true(out.retries == MULTIFD_UNKNOWN);
    assert_int_equal(out.ack_timeouts, 2);
    assert_int_equal(out.sequence_naks, 1);
    assert_int_equal(out.out_of_sequence, 0);
}

static void nothing_is_known_that_is_not_told(void **state)
{
    struct multifd_device_counters out = read_all();

    (void)state;
    assert_unknown(&out); /* before the beginning */
    put("rcvd_rnr_err", "no number\n");
    put("rcvd_seq_err", "");
    put("duplicate_request", "5\n");
    verbs_counters_begin(&counters, &device, 2);
    put("duplicate_request", "4\n");
    put("completer_retry_err", "3\n"); /* there is no telling what it was */
    out = read_all();
    assert_unknown(&out);
}

static void another_port(void **state)
{
    struct multifd_device_counters out;

    (void)state;
    put("completer_retry_err", "3\n");
    verbs_counters_begin(&counters, &device, 1);
    out = read_all();
    assert_unknown(&out);
}

#define with_folder(function) cmocka_unit_test_setup_teardown(function, make, release)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_folder(soft_roce),
        with_folder(other_drivers),
        with_folder(nothing_is_known_that_is_not_told),
        with_folder(another_port),
    };

    return cmocka_run_group_tests_name("transport/verbs/counters", tests, NULL, NULL);
}
