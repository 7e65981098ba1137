/* SPDX-License-Identifier: MIT */
#include "cmocka_all.h"

#include "bench/bench_address.h"

#include <string.h>

static void assert_address(const char *text, const char *connect, const char *listen,
                           uint16_t waits_at)
{
    struct multifd_error err = {0};
    struct bench_address address;
    char made[BENCH_ADDRESS_MAX];

    if (bench_address_parse(&address, text, &err) != 0) {
        fail_msg("%s: %s", text, err.message);
    }
    assert_int_equal(address.port, waits_at);
    bench_address_to_connect(&address, 7, made);
    assert_string_equal(made, connect);
    bench_address_to_listen(&address, made);
    assert_string_equal(made, listen);
}

static void addresses(void **state)
{
    (void)state;
    assert_address("rdma:10.0.0.1", "rdma:10.0.0.1:7", "rdma::0", 0);
    assert_address("rdma:10.0.0.1:1", "rdma:10.0.0.1:7", "rdma::0", 1);
    assert_address("tcp:host:65535", "tcp:host:7", "tcp::0", 65535);
    assert_address("tcp:[::1]", "tcp:[::1]:7", "tcp::0", 0);
    assert_address("rdma:[fe80::1]:99", "rdma:[fe80::1]:7", "rdma::0", 99);
    assert_address("unix:/a:b", "unix:/a:b", "unix:/a:b", 0);
}

static void assert_none(const char *text, const char *reason)
{
    struct multifd_error err = {0};
    struct bench_address address;

    assert_int_equal(bench_address_parse(&address, text, &err), -1);
    assert_int_equal(err.code, MULTIFD_ERROR_ADDRESS);
    if (strstr(err.message, reason) == NULL) {
        fail_msg("%s: %s", text, err.message);
    }
}

static void no_addresses(void **state)
{
    static const char *const texts[] = {
        "",      "host",    "udp:host",  "rdma:",      "tcp::1", "tcp:[]",
        "tcp:[", "tcp:[::", "tcp:[::]x", "rdma:[::]1", "unix:",  "RDMA:host",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_none(texts[i], "is no address such as");
    }
}

static void no_ports(void **state)
{
    (void)state;
    assert_none("tcp:host:", "\"\" is no port");
    assert_none("tcp:host:0", "\"0\" is no port");
    assert_none("tcp:host:65536", "\"65536\" is no port");
    assert_none("tcp:::1", "is no address");
    assert_none("tcp:host:1x", "\"1x\" is no port");
}

static void names_have_an_end(void **state)
{
    char text[BENCH_HOST_MAX + 16] = "rdma:";

    (void)state;
    memset(text + 5, 'h', BENCH_HOST_MAX);
    text[5 + BENCH_HOST_MAX] = '\0';
    assert_none(text, "is no address");
    memcpy(text, "unix:", 5);
    assert_none(text, "is no address");
    text[5 + BENCH_HOST_MAX - 1] = '\0';
    struct multifd_error err = {0};
    struct bench_address address;
    assert_int_equal(bench_address_parse(&address, text, &err), 0);
    assert_int_equal(strlen(address.host), BENCH_HOST_MAX - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses),
        cmocka_unit_test(no_addresses),
        cmocka_unit_test(no_ports),
        cmocka_unit_test(names_have_an_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
