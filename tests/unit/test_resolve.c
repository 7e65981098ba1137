/* SPDX-License-Identifier: MIT */
#include "core/base/error.h"
#include "mock_verbs.h"
#include "transport/verbs/device.h"
#include "transport/verbs/resolve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>

static struct verbs_endpoint endpoint;
static struct verbs_cm cm;
static int live_lookups;
static int lookup_flags;

int __real_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                       struct addrinfo **result);
void __real_freeaddrinfo(struct addrinfo *result);
int __wrap_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                       struct addrinfo **result);
void __wrap_freeaddrinfo(struct addrinfo *result);

/* Never asks a name server. */
int __wrap_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                       struct addrinfo **result)
{
    struct addrinfo numeric = *hints;
    int status;

    numeric.ai_flags |= AI_NUMERICHOST;
    lookup_flags = hints->ai_flags;
    status = __real_getaddrinfo(node, service, &numeric, result);
    live_lookups += status == 0;
    return status;
}

void __wrap_freeaddrinfo(struct addrinfo *result)
{
    live_lookups--;
    __real_freeaddrinfo(result);
}

int verbs_device_gid_address(const struct transport_settings *settings,
                             struct sockaddr_storage *address, struct multifd_error *err)
{
    struct sockaddr_in *in = (struct sockaddr_in *)address;

    if (mock_enter("verbs_device_gid_address") != 0) {
        return error_set(err, MULTIFD_ERROR_INVALID, "no such GID");
    }
    assert_int_equal(settings->gid_index, 3);
    memset(address, 0, sizeof(*address));
    in->sin_family = AF_INET;
    return inet_pton(AF_INET, "198.51.100.7", &in->sin_addr) == 1 ? 0 : -1;
}

static int make(void **state)
{
    struct multifd_error err;

    mock_setup(state);
    live_lookups = 0;
    memset(&endpoint, 0, sizeof(endpoint));
    endpoint.settings = (struct transport_settings){
        .timeout_ms = 1234, .gid_index = -1, .traffic_class = -1, .service_level = -1};
    strcpy(endpoint.address.host, "192.0.2.1");
    strcpy(endpoint.address.port, "4444");
    strcpy(endpoint.name, "192.0.2.1:4444");
    if (verbs_cm_init(&cm, endpoint.name, &err) != 0) {
        return -1;
    }
    mock_log_clear();
    return 0;
}

static int release(void **state)
{
    verbs_cm_fini(&cm);
    if (live_lookups != 0) {
        print_error("freeaddrinfo was not called\n");
        return -1;
    }
    return mock_teardown(state);
}

static void assert_address(const struct sockaddr_storage *address, const char *host, uint16_t port)
{
    char text[INET6_ADDRSTRLEN];

    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)address;

        inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text));
        assert_int_equal(ntohs(in->sin_port), port);
    } else {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;

        assert_int_equal(address->ss_family, AF_INET6);
        inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof(text));
        assert_int_equal(ntohs(in6->sin6_port), port);
    }
    assert_string_equal(text, host);
}

static void resolve(void)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    assert_int_equal(verbs_resolve_address(&endpoint, &cm, &err), 0);
    assert_untouched(&err);
}

static void bind_address(void)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    assert_int_equal(verbs_bind_address(&endpoint, &cm, &err), 0);
    assert_untouched(&err);
}

static void assert_not_resolved(enum multifd_error_code code, const char *part)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    assert_int_equal(verbs_resolve_address(&endpoint, &cm, &err), -1);
    assert_error(&err, code, part);
}

static void assert_not_bound(enum multifd_error_code code, const char *part)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    assert_int_equal(verbs_bind_address(&endpoint, &cm, &err), -1);
    assert_error(&err, code, part);
}

static void an_address_is_resolved(void **state)
{
    (void)state;
    resolve();
    assert_calls("rdma_resolve_addr ");
    assert_false(mock_rdmacm.has_source);
    assert_address(&mock_rdmacm.destination, "192.0.2.1", 4444);
    assert_int_equal(mock_rdmacm.timeout_ms, 1234);
    assert_int_equal(lookup_flags & AI_PASSIVE, 0);
}

static void an_ipv6_address_is_resolved(void **state)
{
    (void)state;
    strcpy(endpoint.address.host, "2001:db8::1");
    resolve();
    assert_address(&mock_rdmacm.destination, "2001:db8::1", 4444);
}

static void a_gid_chooses_the_source(void **state)
{
    (void)state;
    endpoint.settings.gid_index = 3;
    resolve();
    assert_true(mock_rdmacm.has_source);
    assert_address(&mock_rdmacm.source, "198.51.100.7", 0);
}

static void a_traffic_class_is_set_before_resolving(void **state)
{
    (void)state;
    endpoint.settings.traffic_class = 106;
    resolve();
    assert_calls("rdma_set_option rdma_resolve_addr ");
    assert_int_equal(mock_rdmacm.tos, 106);
    endpoint.settings.traffic_class = 0;
    resolve();
    assert_int_equal(mock_rdmacm.tos, 0);
    assert_int_equal(mock_calls("rdma_set_option"), 2);
}

static void resolving_fails(void **state)
{
    (void)state;
    mock_fail("rdma_resolve_addr", ENODEV);
    assert_not_resolved(MULTIFD_ERROR_CONNECT, "192.0.2.1:4444");
    assert_not_resolved(MULTIFD_ERROR_CONNECT, "No such device");
}

static void the_traffic_class_fails(void **state)
{
    (void)state;
    endpoint.settings.traffic_class = 106;
    mock_fail("rdma_set_option", EINVAL);
    assert_not_resolved(MULTIFD_ERROR_DEVICE, "rdma_set_option");
    assert_int_equal(mock_calls("rdma_resolve_addr"), 0);
}

static void the_gid_fails(void **state)
{
    (void)state;
    endpoint.settings.gid_index = 3;
    mock_fail("verbs_device_gid_address", EINVAL);
    assert_not_resolved(MULTIFD_ERROR_INVALID, "no such GID");
    assert_int_equal(mock_calls("rdma_resolve_addr"), 0);
    assert_not_bound(MULTIFD_ERROR_INVALID, "no such GID");
    assert_int_equal(mock_calls("rdma_bind_addr"), 0);
}

static void a_name_that_nobody_knows(void **state)
{
    (void)state;
    strcpy(endpoint.address.host, "no-such-host");
    assert_not_resolved(MULTIFD_ERROR_ADDRESS, "192.0.2.1:4444: ");
    assert_not_bound(MULTIFD_ERROR_ADDRESS, "192.0.2.1:4444: ");
    assert_calls("");
}

static void an_address_is_bound(void **state)
{
    (void)state;
    bind_address();
    assert_calls("rdma_bind_addr ");
    assert_address(&mock_rdmacm.bound, "192.0.2.1", 4444);
    strcpy(endpoint.address.host, "2001:db8::1");
    bind_address();
    assert_address(&mock_rdmacm.bound, "2001:db8::1", 4444);
}

static void no_host_binds_every_address(void **state)
{
    (void)state;
    endpoint.address.host[0] = '\0';
    bind_address();
    if (mock_rdmacm.bound.ss_family == AF_INET) {
        assert_address(&mock_rdmacm.bound, "0.0.0.0", 4444);
    } else {
        assert_address(&mock_rdmacm.bound, "::", 4444);
    }
}

static void a_gid_chooses_the_address_but_not_the_port(void **state)
{
    (void)state;
    endpoint.settings.gid_index = 3;
    strcpy(endpoint.address.host, "2001:db8::1");
    bind_address();
    assert_address(&mock_rdmacm.bound, "198.51.100.7", 4444);
}

static void binding_fails(void **state)
{
    (void)state;
    mock_fail("rdma_bind_addr", EADDRNOTAVAIL);
    assert_not_bound(MULTIFD_ERROR_ADDRESS, "cannot listen on 192.0.2.1:4444");
    assert_not_bound(MULTIFD_ERROR_ADDRESS, strerror(EADDRNOTAVAIL));
}

#define with_cm(function) cmocka_unit_test_setup_teardown(function, make, release)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_cm(an_address_is_resolved),
        with_cm(an_ipv6_address_is_resolved),
        with_cm(a_gid_chooses_the_source),
        with_cm(a_traffic_class_is_set_before_resolving),
        with_cm(resolving_fails),
        with_cm(the_traffic_class_fails),
        with_cm(the_gid_fails),
        with_cm(a_name_that_nobody_knows),
        with_cm(an_address_is_bound),
        with_cm(no_host_binds_every_address),
        with_cm(a_gid_chooses_the_address_but_not_the_port),
        with_cm(binding_fails),
    };

    return cmocka_run_group_tests_name("transport/verbs/resolve", tests, NULL, NULL);
}
