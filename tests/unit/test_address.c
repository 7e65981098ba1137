/* SPDX-License-Identifier: MIT */
#include "test.h"
#include "transport/address.h"

static void parse(const char *text, struct transport_address *address)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    memset(address, 0xee, sizeof(*address));
    if (transport_address_parse(text, address, &err) != 0) {
        fail_msg("%s: %s", text, err.message);
    }
    assert_untouched(&err);
}

static void assert_parsed(const char *text, const char *host, const char *port)
{
    struct transport_address address;

    parse(text, &address);
    assert_int_equal(address.kind, TRANSPORT_RDMA);
    assert_string_equal(address.host, host);
    assert_string_equal(address.port, port);
    assert_string_equal(address.path, "");
}

static void assert_refused(const char *text, const char *part)
{
    struct multifd_error err = ERROR_UNTOUCHED;
    struct transport_address address;

    assert_int_equal(transport_address_parse(text, &address, &err), -1);
    assert_error(&err, MULTIFD_ERROR_ADDRESS, part);
    assert_error(&err, MULTIFD_ERROR_ADDRESS, "rdma:HOST:PORT");
}

static void hosts_and_ports(void **state)
{
    (void)state;
    assert_parsed("rdma:192.0.2.1:4444", "192.0.2.1", "4444");
    assert_parsed("rdma:node-7.example:1", "node-7.example", "1");
    assert_parsed("rdma:[2001:db8::1]:4444", "2001:db8::1", "4444");
    assert_parsed("rdma:[fe80::1%rxe0]:4444", "fe80::1%rxe0", "4444");
    assert_parsed("rdma:[192.0.2.1]:4444", "192.0.2.1", "4444");
    assert_parsed("rdma::4444", "", "4444");
}

static void ports_from_0_to_65535(void **state)
{
    (void)state;
    assert_parsed("rdma:h:0", "h", "0");
    assert_parsed("rdma:h:65535", "h", "65535");
    assert_refused("rdma:h:65536", "65535");
    assert_refused("rdma:h:99999", "65535");
    assert_refused("rdma:h:000001", "port");
    assert_refused("rdma:h:", "port");
    assert_refused("rdma:h:12a", "port");
    assert_refused("rdma:h:-1", "port");
    assert_refused("rdma:h:+1", "port");
    assert_refused("rdma:h: 1", "port");
    assert_refused("rdma:h:http", "port");
    assert_refused("rdma:h:18446744073709551617", "port");
}

static void other_transports(void **state)
{
    (void)state;
    assert_refused("", "transport");
    assert_refused("192.0.2.1:4444", "transport");
    assert_refused("exec:cat", "transport");
    assert_refused("RDMA:h:1", "transport");
    assert_refused(" rdma:h:1", "transport");
}

static void hosts_and_ports_that_cannot_be_told_apart(void **state)
{
    (void)state;
    assert_refused("rdma:", "port");
    assert_refused("rdma:host", "port");
    assert_refused("rdma:2001:db8::1:4444", "brackets");
    assert_refused("rdma:[2001:db8::1:4444", "]");
    assert_refused("rdma:[2001:db8::1]", "]");
    assert_refused("rdma:[2001:db8::1]4444", "]");
    assert_refused("rdma:[2001:db8::1]:", "port");
    assert_refused("rdma:[::1]:1:2", "port");
}

static void hosts_up_to_255_bytes(void **state)
{
    char text[300] = "rdma:";
    char host[257];

    (void)state;
    memset(host, 'h', sizeof(host));
    host[256] = '\0';
    strcpy(text + 5, host);
    strcat(text, ":1");
    assert_refused(text, "too long");
    host[255] = '\0';
    strcpy(text + 5, host);
    strcat(text, ":1");
    assert_parsed(text, host, "1");
}

static void tcp_as_rdma(void **state)
{
    struct transport_address address;

    (void)state;
    parse("tcp:[2001:db8::1]:4444", &address);
    assert_int_equal(address.kind, TRANSPORT_TCP);
    assert_string_equal(address.host, "2001:db8::1");
    assert_string_equal(address.port, "4444");
    assert_refused("tcp:host", "port");
}

static void unix_paths_up_to_107_bytes(void **state)
{
    struct transport_address address;
    char text[128] = "unix:";

    (void)state;
    parse("unix:/run/a:b.sock", &address);
    assert_int_equal(address.kind, TRANSPORT_UNIX);
    assert_string_equal(address.path, "/run/a:b.sock");
    assert_string_equal(address.host, "");
    assert_string_equal(address.port, "");
    assert_refused("unix:", "no path");
    memset(text + 5, 'p', 108);
    assert_refused(text, "107");
    text[5 + 107] = '\0';
    parse(text, &address);
    assert_string_equal(address.path, text + 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hosts_and_ports),
        cmocka_unit_test(ports_from_0_to_65535),
        cmocka_unit_test(other_transports),
        cmocka_unit_test(hosts_and_ports_that_cannot_be_told_apart),
        cmocka_unit_test(hosts_up_to_255_bytes),
        cmocka_unit_test(tcp_as_rdma),
        cmocka_unit_test(unix_paths_up_to_107_bytes),
    };

    return cmocka_run_group_tests_name("transport/address", tests, NULL, NULL);
}
