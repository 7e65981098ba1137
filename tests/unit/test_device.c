/* SPDX-License-Identifier: MIT */
#include "mock_verbs.h"
#include "transport/verbs/device.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>

static char opened_path[200];
static char interface_file[32];

FILE *__wrap_fopen(const char *path, const char *mode);
unsigned __wrap_if_nametoindex(const char *name);

/* Stands for the file in sysfs that names a GID's interface. */
FILE *__wrap_fopen(const char *path, const char *mode)
{
    snprintf(opened_path, sizeof(opened_path), "%s", path);
    return interface_file[0] == '\0' ? NULL
                                     : fmemopen(interface_file, strlen(interface_file), mode);
}

unsigned __wrap_if_nametoindex(const char *name)
{
    return strcmp(name, "rxe-net0") == 0 ? 42 : 0;
}

static void set_gid(int device, int port, int index, const char *text)
{
    assert_int_equal(inet_pton(AF_INET6, text, &mock_verbs.devices[device].gids[port - 1][index]),
                     1);
}

static struct multifd_device *list(size_t *count)
{
    struct multifd_error err = ERROR_UNTOUCHED;
    struct multifd_device *devices = NULL;

    assert_int_equal(verbs_device_list(&devices, count, &err), 0);
    assert_untouched(&err);
    assert_int_equal(mock_live(), 0);
    return devices;
}

static void assert_not_listed(enum multifd_error_code code, const char *part)
{
    struct multifd_device *devices = (void *)opened_path;
    struct multifd_error err = ERROR_UNTOUCHED;
    size_t count = 99;

    assert_int_equal(verbs_device_list(&devices, &count, &err), -1);
    assert_error(&err, code, part);
    assert_ptr_equal(devices, opened_path);
    assert_int_equal(count, 99);
    assert_int_equal(mock_live(), 0);
}

static void every_port_of_every_device_is_listed(void **state)
{
    struct multifd_device *devices;
    size_t count;

    (void)state;
    mock_verbs.devices_num = 2;
    mock_verbs.devices[1].attr.phys_port_cnt = 2;
    devices = list(&count);
    assert_int_equal(count, 3);
    assert_string_equal(devices[0].name, "mock0");
    assert_int_equal(devices[0].port, 1);
    assert_string_equal(devices[1].name, "mock1");
    assert_int_equal(devices[1].port, 1);
    assert_string_equal(devices[2].name, "mock1");
    assert_int_equal(devices[2].port, 2);
    free(devices);
}

static void limits_and_states_are_filled(void **state)
{
    struct multifd_device *devices;
    size_t count;

    (void)state;
    devices = list(&count);
    assert_string_equal(devices[0].transport, "InfiniBand");
    assert_true(devices[0].active);
    assert_string_equal(devices[0].state, "PORT_ACTIVE");
    assert_string_equal(devices[0].link_layer, "Ethernet");
    assert_int_equal(devices[0].active_mtu, 1024);
    assert_int_equal(devices[0].max_mtu, 4096);
    assert_int_equal(devices[0].max_qp, 100);
    assert_int_equal(devices[0].max_qp_wr, 1024);
    assert_int_equal(devices[0].max_sge, 16);
    assert_int_equal(devices[0].max_cqe, 4096);
    assert_int_equal(devices[0].max_mr, 200);
    assert_int_equal(devices[0].max_mr_size, UINT64_C(1) << 40);
    assert_int_equal(devices[0].max_msg_sz, 1u << 30);
    assert_false(devices[0].odp);
    free(devices);
}

static void other_kinds_of_devices(void **state)
{
    struct multifd_device *devices;
    size_t count;

    (void)state;
    mock_verbs.devices_num = 2;
    mock_verbs.devices[0].device.transport_type = IBV_TRANSPORT_IWARP;
    mock_verbs.devices[0].ports[0].state = IBV_PORT_DOWN;
    mock_verbs.devices[0].ports[0].link_layer = IBV_LINK_LAYER_INFINIBAND;
    mock_verbs.devices[1].device.transport_type = IBV_TRANSPORT_USNIC;
    devices = list(&count);
    assert_string_equal(devices[0].transport, "iWARP");
    assert_string_equal(devices[0].link_layer, "InfiniBand");
    assert_false(devices[0].active);
    assert_string_equal(devices[0].state, "PORT_DOWN");
    assert_string_equal(devices[1].transport, "other");
    free(devices);
}

static bool odp(uint64_t general, uint32_t rc)
{
    struct ibv_odp_caps *caps = &mock_verbs.devices[0].attr_ex.odp_caps;
    struct multifd_device *devices;
    size_t count;
    bool answer;

    caps->general_caps = general;
    caps->per_transport_caps.rc_odp_caps = rc;
    devices = list(&count);
    answer = devices[0].odp;
    free(devices);
    return answer;
}

static void on_demand_paging_needs_writes_and_sends(void **state)
{
    const uint32_t both = IBV_ODP_SUPPORT_SEND | IBV_ODP_SUPPORT_WRITE;

    (void)state;
    assert_true(odp(IBV_ODP_SUPPORT, both));
    assert_true(odp(IBV_ODP_SUPPORT, both | IBV_ODP_SUPPORT_READ));
    assert_false(odp(0, both));
    assert_false(odp(IBV_ODP_SUPPORT, IBV_ODP_SUPPORT_SEND));
    assert_false(odp(IBV_ODP_SUPPORT, IBV_ODP_SUPPORT_WRITE));
    mock_fail("ibv_query_device_ex", EIO); /* a device that does not say has none */
    assert_false(odp(IBV_ODP_SUPPORT, both));
}

static void gids_that_are_set_are_listed(void **state)
{
    struct multifd_device *devices;
    size_t count;

    (void)state;
    set_gid(0, 1, 0, "fe80::1");
    set_gid(0, 1, 5, "::ffff:192.0.2.1");
    devices = list(&count);
    assert_int_equal(devices[0].gids_num, 2);
    assert_int_equal(devices[0].gids[0].index, 0);
    assert_string_equal(devices[0].gids[0].text, "fe80::1");
    assert_int_equal(devices[0].gids[1].index, 5);
    assert_string_equal(devices[0].gids[1].text, "::ffff:192.0.2.1");
    free(devices);
}

static void no_more_gids_than_fit(void **state)
{
    struct multifd_device *devices;
    size_t count;

    (void)state;
    for (int i = 0; i < MOCK_GIDS; i++) {
        set_gid(0, 1, i, "2001:db8::1");
    }
    devices = list(&count);
    assert_int_equal(devices[0].gids_num, MULTIFD_DEVICE_GIDS);
    assert_int_equal(devices[0].gids[MULTIFD_DEVICE_GIDS - 1].index, MULTIFD_DEVICE_GIDS - 1);
    free(devices);
}

static void gids_that_cannot_be_read_are_left_out(void **state)
{
    struct multifd_device *devices;
    size_t count;

    (void)state;
    set_gid(0, 1, 0, "fe80::1");
    set_gid(0, 1, 1, "fe80::2");
    mock_fail_nth("ibv_query_gid", 1, ENODATA);
    devices = list(&count);
    assert_int_equal(devices[0].gids_num, 1);
    assert_string_equal(devices[0].gids[0].text, "fe80::2");
    free(devices);
}

static void no_device_is_no_error(void **state)
{
    size_t count = 99;

    (void)state;
    mock_verbs.devices_num = 0;
    assert_null(list(&count));
    assert_int_equal(count, 0);
}

static void no_rdma_in_the_kernel_is_no_error(void **state)
{
    size_t count = 99;

    (void)state;
    mock_fail("ibv_get_device_list", ENOSYS);
    assert_null(list(&count));
    assert_int_equal(count, 0);
}

static void each_step_of_listing_can_fail(void **state)
{
    static const struct {
        const char *call;
        const char *part;
    } steps[] = {
        {"ibv_get_device_list", "ibv_get_device_list: "},
        {"ibv_open_device", "ibv_open_device(mock1): "},
        {"ibv_query_device", "ibv_query_device(mock1): "},
        {"ibv_query_port", "ibv_query_port(mock1, 1): "},
    };

    (void)state;
    mock_verbs.devices_num = 2;
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        mock_fail_nth(steps[i].call, i == 0 ? 1 : 2, EIO); /* when one device is done already */
        assert_not_listed(MULTIFD_ERROR_DEVICE, steps[i].part);
        mock_succeed(steps[i].call);
    }
}

static void listing_fails_and_then_close(void **state)
{
    (void)state;
    mock_fail("ibv_query_port", EIO);
    mock_fail("ibv_close_device", EBUSY);
    assert_not_listed(MULTIFD_ERROR_DEVICE, "ibv_query_port(mock0, 1): Input/output error");
    assert_int_equal(mock_calls("ibv_free_device_list"), 1);
}

static void no_memory(void **state)
{
    (void)state;
    mock_fail("malloc", ENOMEM);
    assert_not_listed(MULTIFD_ERROR_SYSTEM, "memory");
}

static struct transport_settings gid(uint32_t port, int32_t index)
{
    return (struct transport_settings){.ib_dev = "mock1", .ib_port = port, .gid_index = index};
}

static void find(const struct transport_settings *settings, struct sockaddr_storage *address)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    memset(address, 0xee, sizeof(*address));
    assert_int_equal(verbs_device_gid_address(settings, address, &err), 0);
    assert_untouched(&err);
    assert_int_equal(mock_live(), 0);
}

static int two_devices(void **state)
{
    mock_setup(state);
    interface_file[0] = '\0';
    mock_verbs.devices_num = 2;
    mock_verbs.devices[1].attr.phys_port_cnt = 2;
    set_gid(0, 1, 4, "::ffff:203.0.113.9"); /* of another device */
    set_gid(1, 1, 3, "2001:db8::7");
    set_gid(1, 1, 4, "::ffff:192.0.2.1");
    set_gid(1, 1, 6, "fe80::5");
    set_gid(1, 2, 4, "::ffff:192.0.2.2");
    return 0;
}

static void assert_ipv4(const struct sockaddr_storage *address, const char *host)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)address;
    char text[INET_ADDRSTRLEN];

    assert_int_equal(in->sin_family, AF_INET);
    assert_int_equal(in->sin_port, 0);
    assert_string_equal(inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text)), host);
}

static void a_gid_of_a_port_gives_its_address(void **state)
{
    const struct transport_settings any = gid(0, 4);
    const struct transport_settings second = gid(2, 4);
    struct sockaddr_storage address;

    (void)state;
    find(&any, &address);
    assert_ipv4(&address, "192.0.2.1");
    find(&second, &address);
    assert_ipv4(&address, "192.0.2.2");
}

static void a_global_gid_gives_an_ipv6_address(void **state)
{
    const struct transport_settings settings = gid(1, 3);
    struct sockaddr_storage address;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&address;
    char text[INET6_ADDRSTRLEN];

    (void)state;
    find(&settings, &address);
    assert_int_equal(in6->sin6_family, AF_INET6);
    assert_int_equal(in6->sin6_port, 0);
    assert_int_equal(in6->sin6_scope_id, 0);
    assert_string_equal(inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof(text)), "2001:db8::7");
}

static void a_link_local_gid_has_its_interface(void **state)
{
    const struct transport_settings settings = gid(1, 6);
    struct sockaddr_storage address;

    (void)state;
    strcpy(interface_file, "rxe-net0\n");
    find(&settings, &address);
    assert_int_equal(((struct sockaddr_in6 *)&address)->sin6_scope_id, 42);
    assert_string_equal(opened_path, "/sys/class/infiniband/mock1/ports/1/gid_attrs/ndevs/6");
    interface_file[0] = '\0';
    find(&settings, &address);
    assert_int_equal(((struct sockaddr_in6 *)&address)->sin6_scope_id, 0);
}

static void a_gid_that_does_not_exist(void **state)
{
    const struct transport_settings settings[] = {gid(1, 5), gid(2, 3), gid(3, 4)};
    struct sockaddr_storage address;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(settings); i++) {
        struct multifd_error err = ERROR_UNTOUCHED;

        assert_int_equal(verbs_device_gid_address(&settings[i], &address, &err), -1);
        assert_error(&err, MULTIFD_ERROR_INVALID, "mock1");
    }
}

static void a_gid_behind_those_that_are_listed(void **state)
{
    const struct transport_settings settings = gid(1, 50);
    struct sockaddr_storage address;

    (void)state;
    for (int i = 7; i < 50; i++) {
        set_gid(1, 1, i, "2001:db8::1");
    }
    set_gid(1, 1, 50, "::ffff:192.0.2.50");
    find(&settings, &address);
    assert_ipv4(&address, "192.0.2.50");
}

static void no_address_when_listing_fails(void **state)
{
    const struct transport_settings settings = gid(1, 4);
    struct multifd_error err = ERROR_UNTOUCHED;
    struct sockaddr_storage address;

    (void)state;
    mock_fail("ibv_open_device", EACCES);
    assert_int_equal(verbs_device_gid_address(&settings, &address, &err), -1);
    assert_error(&err, MULTIFD_ERROR_DEVICE, "ibv_open_device");
}

#define with_two(function) cmocka_unit_test_setup_teardown(function, two_devices, mock_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        mocked_test(every_port_of_every_device_is_listed),
        mocked_test(limits_and_states_are_filled),
        mocked_test(other_kinds_of_devices),
        mocked_test(on_demand_paging_needs_writes_and_sends),
        mocked_test(gids_that_are_set_are_listed),
        mocked_test(no_more_gids_than_fit),
        mocked_test(gids_that_cannot_be_read_are_left_out),
        mocked_test(no_device_is_no_error),
        mocked_test(no_rdma_in_the_kernel_is_no_error),
        mocked_test(each_step_of_listing_can_fail),
        mocked_test(listing_fails_and_then_close),
        mocked_test(no_memory),
        with_two(a_gid_of_a_port_gives_its_address),
        with_two(a_global_gid_gives_an_ipv6_address),
        with_two(a_link_local_gid_has_its_interface),
        with_two(a_gid_that_does_not_exist),
        with_two(a_gid_behind_those_that_are_listed),
        with_two(no_address_when_listing_fails),
    };

    return cmocka_run_group_tests_name("transport/verbs/device", tests, NULL, NULL);
}
