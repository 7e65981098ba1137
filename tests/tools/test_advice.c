/* SPDX-License-Identifier: MIT */
#include "cmocka_all.h"

#include "advice.h"
#include "devices_json.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static struct multifd_device port = {
    .name = "rxe0",
    .port = 1,
    .active = true,
    .state = "PORT_ACTIVE",
    .gids_num = 1,
    .gids = {{1, "::ffff:10.0.0.1"}},
    .max_mr_size = UINT64_MAX,
};

static struct host_facts good(void)
{
    return (struct host_facts){
        .devices = &port,
        .count = 1,
        .memlock = UINT64_MAX,
        .memory = 1 << 30,
        .kernel_has_devices = true,
        .rdma_cm = true,
        .netdev = "eth7",
    };
}

static void assert_problem(const struct host_facts *facts, bool usable, const char *problem,
                           const char *what)
{
    struct advices advices;

    advice_give(facts, &advices);
    assert_int_equal(advices.usable, usable);
    assert_int_equal(advices.count, 1);
    assert_non_null(strstr(advices.items[0].problem, problem));
    for (size_t i = 0; i < ADVICE_LINES; i++) {
        if (strstr(advices.items[0].remedies[i], what) != NULL) {
            return;
        }
    }
    fail_msg("no remedy says \"%s\"", what);
}

static void nothing_wrong(void **state)
{
    struct host_facts facts = good();
    struct advices advices;

    (void)state;
    advice_give(&facts, &advices);
    assert_true(advices.usable);
    assert_int_equal(advices.count, 0);
}

static void no_device(void **state)
{
    struct host_facts facts = good();

    (void)state;
    facts.count = 0;
    assert_problem(&facts, false, "cannot open it", "modprobe ib_uverbs");
    facts.kernel_has_devices = false;
    assert_problem(&facts, false, "no RDMA device", "rdma link add rxe0 type rxe netdev eth7");
    assert_problem(&facts, false, "no RDMA device", "modprobe rdma_rxe");
    assert_problem(&facts, false, "no RDMA device", "tools/lab");
}

static void unusable_ports(void **state)
{
    struct host_facts facts = good();
    struct multifd_device other = port;

    (void)state;
    facts.devices = &other;
    other.gids_num = 0;
    assert_problem(&facts, false, "no active port has an address", "ip addr add");
    other.active = false;
    assert_problem(&facts, false, "no port of any RDMA device is active", "ip link set");
}

static void no_connection_manager(void **state)
{
    struct host_facts facts = good();

    (void)state;
    facts.rdma_cm = false;
    assert_problem(&facts, false, "rdma_cm", "modprobe rdma_ucm");
}

static void low_limit(void **state)
{
    struct host_facts facts = good();

    (void)state;
    facts.memlock = 8 << 20;
    assert_problem(&facts, true, "at most 8.0 MiB of memory can be locked", "ulimit -l");
    assert_problem(&facts, true, "at most 8.0 MiB of memory can be locked", "limits.d");
    assert_problem(&facts, true, "at most 8.0 MiB of memory can be locked", "LimitMEMLOCK");
}

static void json(void **state)
{
    struct host_facts facts = good();
    struct advices advices;

    (void)state;
    facts.rdma_cm = false;
    advice_give(&facts, &advices);
    char *text = devices_json(&facts, &advices);
    assert_non_null(text);
    json_t *object = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    free(text);
    assert_non_null(object);
    assert_int_equal(json_integer_value(json_object_get(object, "version")), 1);
    assert_true(json_is_false(json_object_get(object, "usable")));
    assert_true(json_is_null(json_object_get(object, "memlock_bytes")));
    const json_t *first = json_array_get(json_object_get(object, "ports"), 0);
    assert_string_equal(json_string_value(json_object_get(first, "device")), "rxe0");
    assert_true(json_is_null(json_object_get(first, "max_mr_size")));
    const json_t *gid = json_array_get(json_object_get(first, "gids"), 0);
    assert_string_equal(json_string_value(json_object_get(gid, "gid")), "::ffff:10.0.0.1");
    assert_int_equal(json_array_size(json_object_get(object, "problems")), 1);
    json_decref(object);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_wrong),  cmocka_unit_test(no_device),
        cmocka_unit_test(unusable_ports), cmocka_unit_test(no_connection_manager),
        cmocka_unit_test(low_limit),      cmocka_unit_test(json),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
