/* SPDX-License-Identifier: MIT */
#include "mock_verbs.h"
#include "transport/verbs/domain.h"

#include <errno.h>

#define MADE "ibv_query_device ibv_query_port ibv_alloc_pd ibv_reg_mr "

static void assert_not_made(enum multifd_error_code code, const char *part)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    assert_null(verbs_domain_new(mock_context(), 1, &err));
    assert_error(&err, code, part);
    assert_int_equal(mock_live(), 0);
}

static void limits_are_read(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;
    struct verbs_domain *domain;

    (void)state;
    mock_verbs.devices[0].ports[1].active_mtu = IBV_MTU_4096;
    mock_verbs.devices[0].ports[1].max_msg_sz = 12345;
    domain = verbs_domain_new(mock_context(), 2, &err);
    assert_non_null(domain);
    assert_untouched(&err);
    assert_ptr_equal(domain->context, mock_context());
    assert_int_equal(domain->port, 2);
    assert_int_equal(domain->active_mtu, 4096);
    assert_int_equal(domain->max_msg_sz, 12345);
    assert_int_equal(domain->max_qp_wr, 1024);
    assert_int_equal(domain->max_cqe, 4096);
    assert_int_equal(domain->max_mr_size, UINT64_C(1) << 40);
    assert_int_equal(domain->max_mr, 200);
    assert_string_equal(verbs_domain_device(domain), "mock0");
    assert_calls(MADE);
    verbs_domain_delete(&domain);
}

static void the_keepalive_target_takes_the_peers_writes(void **state)
{
    struct multifd_error err;
    struct verbs_domain *domain = verbs_domain_new(mock_context(), 1, &err);

    (void)state;
    assert_ptr_equal(domain->keepalive, &mock_verbs.last_mr->mr);
    assert_ptr_equal(domain->keepalive->pd, domain->pd);
    assert_ptr_equal(domain->keepalive->addr, domain->keepalive_bytes);
    assert_int_equal(domain->keepalive->length, sizeof(domain->keepalive_bytes));
    assert_int_equal(mock_verbs.last_mr->access, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE);
    verbs_domain_delete(&domain);
}

static void no_memory(void **state)
{
    (void)state;
    mock_fail("malloc", ENOMEM);
    assert_not_made(MULTIFD_ERROR_SYSTEM, "memory");
    assert_calls("");
}

static void query_device_fails(void **state)
{
    (void)state;
    mock_fail("ibv_query_device", EIO);
    assert_not_made(MULTIFD_ERROR_DEVICE, "ibv_query_device(mock0): Input/output error");
    assert_calls("ibv_query_device ");
}

static void query_port_fails(void **state)
{
    (void)state;
    mock_fail("ibv_query_port", EINVAL);
    assert_not_made(MULTIFD_ERROR_DEVICE, "ibv_query_port(mock0, 1): Invalid argument");
    assert_calls("ibv_query_device ibv_query_port ");
}

static void alloc_pd_fails(void **state)
{
    (void)state;
    mock_fail("ibv_alloc_pd", ENOSPC);
    assert_not_made(MULTIFD_ERROR_DEVICE, "ibv_alloc_pd(mock0): No space");
    assert_calls("ibv_query_device ibv_query_port ibv_alloc_pd ");
}

static void reg_mr_fails(void **state)
{
    (void)state;
    mock_fail("ibv_reg_mr", EPERM);
    assert_not_made(MULTIFD_ERROR_DEVICE, "Operation not permitted");
    assert_calls(MADE "ibv_dealloc_pd ");
}

static void reg_mr_fails_and_then_dealloc_pd(void **state)
{
    (void)state;
    mock_fail("ibv_reg_mr", EPERM);
    mock_fail("ibv_dealloc_pd", EBUSY);
    assert_not_made(MULTIFD_ERROR_DEVICE,
                    "ibv_reg_mr(keepalive, 8 bytes): Operation not permitted");
    assert_calls(MADE "ibv_dealloc_pd ");
}

static void delete_releases_in_reverse(void **state)
{
    struct multifd_error err;
    struct verbs_domain *domain = verbs_domain_new(mock_context(), 1, &err);

    (void)state;
    mock_log_clear();
    verbs_domain_delete(&domain);
    assert_null(domain);
    assert_calls("ibv_dereg_mr ibv_dealloc_pd ");
    verbs_domain_delete(&domain);
    assert_calls("ibv_dereg_mr ibv_dealloc_pd ");
}

static void delete_runs_every_step(void **state)
{
    struct multifd_error err;
    struct verbs_domain *domain = verbs_domain_new(mock_context(), 1, &err);

    (void)state;
    mock_fail("ibv_dereg_mr", EBUSY);
    mock_fail("ibv_dealloc_pd", EBUSY);
    mock_log_clear();
    verbs_domain_delete(&domain);
    assert_null(domain);
    assert_calls("ibv_dereg_mr ibv_dealloc_pd ");
}

static void mtu_codes(void **state)
{
    (void)state;
    assert_int_equal(verbs_mtu_bytes(IBV_MTU_256), 256);
    assert_int_equal(verbs_mtu_bytes(IBV_MTU_1024), 1024);
    assert_int_equal(verbs_mtu_bytes(IBV_MTU_4096), 4096);
    assert_int_equal(verbs_mtu_bytes((enum ibv_mtu)0), 0);
    assert_int_equal(verbs_mtu_bytes((enum ibv_mtu)6), 0);
    assert_int_equal(verbs_mtu_code(256), IBV_MTU_256);
    assert_int_equal(verbs_mtu_code(512), IBV_MTU_512);
    assert_int_equal(verbs_mtu_code(4096), IBV_MTU_4096);
    assert_int_equal(verbs_mtu_code(0), 0);
    assert_int_equal(verbs_mtu_code(1500), 0);
    assert_int_equal(verbs_mtu_code(8192), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        mocked_test(limits_are_read),
        mocked_test(the_keepalive_target_takes_the_peers_writes),
        mocked_test(no_memory),
        mocked_test(query_device_fails),
        mocked_test(query_port_fails),
        mocked_test(alloc_pd_fails),
        mocked_test(reg_mr_fails),
        mocked_test(reg_mr_fails_and_then_dealloc_pd),
        mocked_test(delete_releases_in_reverse),
        mocked_test(delete_runs_every_step),
        mocked_test(mtu_codes),
    };

    return cmocka_run_group_tests_name("transport/verbs/domain", tests, NULL, NULL);
}
