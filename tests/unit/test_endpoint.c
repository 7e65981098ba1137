/* SPDX-License-Identifier: MIT */
#include "core/base/error.h"
#include "mock_verbs.h"
#include "transport/verbs/connect.h"
#include "transport/verbs/memory.h"
#include "transport/verbs/resolve.h"

#include <errno.h>

static struct verbs_endpoint *endpoint;
static struct transport_endpoint *base;
static struct ibv_context other_device;
static uint64_t checked_bytes;

/* ---- What an endpoint calls ---- */

int verbs_bind_address(const struct verbs_endpoint *of, struct verbs_cm *cm,
                       struct multifd_error *err)
{
    assert_ptr_equal(cm, &of->listener);
    return mock_enter("verbs_bind_address") != 0
               ? error_set(err, MULTIFD_ERROR_ADDRESS, "verbs_bind_address")
               : 0;
}

int verbs_memlock_check(uint64_t bytes, struct multifd_error *err)
{
    checked_bytes = bytes;
    return error_set(err, MULTIFD_ERROR_MEMLOCK, "checked");
}

int verbs_memory_register(const struct verbs_domain *domain, void *address, uint64_t length,
                          uint32_t access, struct transport_memory *memory,
                          struct multifd_error *err)
{
    (void)err;
    assert_ptr_equal(domain, endpoint->domain);
    assert_ptr_equal(address, &other_device);
    assert_int_equal(length, 77);
    assert_int_equal(access, TRANSPORT_REMOTE_WRITE);
    memory->local_key = 5;
    return 0;
}

int verbs_memory_deregister(struct transport_memory *memory, struct multifd_error *err)
{
    (void)memory;
    (void)err;
    return 0;
}

struct transport_channel *verbs_connect(struct transport_endpoint *of,
                                        const struct transport_profile *profile,
                                        const struct transport_greeting *greeting, int wake_fd,
                                        struct transport_greeting *answer,
                                        struct multifd_error *err)
{
    (void)of;
    (void)profile;
    (void)greeting;
    (void)wake_fd;
    (void)answer;
    (void)err;
    return NULL;
}

int verbs_wait_request(struct transport_endpoint *of, int wake_fd, int timeout_ms,
                       struct transport_request **request, struct multifd_error *err)
{
    (void)of;
    (void)wake_fd;
    (void)timeout_ms;
    (void)request;
    (void)err;
    return 0;
}

const struct transport_greeting *verbs_request_greeting(const struct transport_request *request)
{
    (void)request;
    return NULL;
}

struct transport_channel *verbs_accept(struct transport_endpoint *of,
                                       struct transport_request *request,
                                       const struct transport_profile *profile,
                                       const struct transport_greeting *answer, int wake_fd,
                                       struct multifd_error *err)
{
    (void)of;
    (void)request;
    (void)profile;
    (void)answer;
    (void)wake_fd;
    (void)err;
    return NULL;
}

void verbs_reject(struct transport_endpoint *of, struct transport_request *request,
                  const struct transport_greeting *answer)
{
    (void)of;
    (void)request;
    (void)answer;
}

/* ---- Tests ---- */

static const struct transport_settings defaults = {.timeout_ms = 10000, .gid_index = -1};

static void new_endpoint(const char *host, const char *port)
{
    struct transport_address address = {.kind = TRANSPORT_RDMA};
    struct multifd_error err = ERROR_UNTOUCHED;

    strcpy(address.host, host);
    strcpy(address.port, port);
    base = verbs_endpoint_new(&address, &defaults, &err);
    assert_non_null(base);
    assert_untouched(&err);
    endpoint = (struct verbs_endpoint *)base;
}

static int make(void **state)
{
    mock_setup(state);
    new_endpoint("192.0.2.1", "4444");
    other_device.device = &mock_verbs.devices[1].device;
    return 0;
}

static int release(void **state)
{
    base->ops->free(base);
    return mock_teardown(state);
}

static void an_endpoint_is_named_after_its_address(void **state)
{
    char host[256];

    (void)state;
    assert_string_equal(endpoint->name, "192.0.2.1:4444");
    base->ops->free(base);
    new_endpoint("2001:db8::1", "65535");
    assert_string_equal(endpoint->name, "[2001:db8::1]:65535");
    base->ops->free(base);
    memset(host, 'h', 255);
    host[255] = '\0';
    new_endpoint(host, "65535");
    assert_string_equal(endpoint->address.host, host);
    assert_string_equal(strchr(endpoint->name, ':'), ":65535");
}

static void every_operation_exists(void **state)
{
    (void)state;
    assert_ptr_equal(base->ops->wait_request, verbs_wait_request);
    assert_ptr_equal(base->ops->request_greeting, verbs_request_greeting);
    assert_ptr_equal(base->ops->accept, verbs_accept);
    assert_ptr_equal(base->ops->reject, verbs_reject);
    assert_ptr_equal(base->ops->connect, verbs_connect);
    assert_ptr_equal(base->ops->deregister_memory, verbs_memory_deregister);
    assert_calls(""); /* and nothing is opened before it is needed */
}

static void no_memory(void **state)
{
    const struct transport_address address = {.host = "h", .port = "1"};
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    mock_fail("malloc", ENOMEM);
    assert_null(verbs_endpoint_new(&address, &defaults, &err));
    assert_error(&err, MULTIFD_ERROR_SYSTEM, "memory");
}

static void listening(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    mock_rdmacm.port = 40123;
    assert_int_equal(base->ops->port(base), 0);
    assert_int_equal(base->ops->listen(base, 9, &err), 0);
    assert_untouched(&err);
    assert_calls("rdma_create_event_channel rdma_create_id verbs_bind_address rdma_listen ");
    assert_int_equal(mock_rdmacm.backlog, 9);
    assert_int_equal(base->ops->port(base), 40123);
}

static void the_port_is_known_after_listening_has_stopped(void **state)
{
    struct multifd_error err;

    (void)state;
    mock_rdmacm.port = 40123;
    assert_int_equal(base->ops->listen(base, 9, &err), 0);
    mock_fail("rdma_destroy_id", EBUSY);
    base->ops->stop_listening(base);
    assert_int_equal(mock_live(), 0);
    assert_int_equal(base->ops->port(base), 40123);
    base->ops->stop_listening(base); /* once is enough */
    assert_int_equal(mock_calls("rdma_destroy_id"), 1);
}

static void assert_not_listening(const char *call, enum multifd_error_code code, const char *part)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    mock_fail(call, EADDRINUSE);
    assert_int_equal(base->ops->listen(base, 9, &err), -1);
    assert_error(&err, code, part);
    assert_int_equal(base->ops->port(base), 0);
    assert_int_equal(mock_live(), 0);
    mock_succeed(call);
}

static void each_step_of_listening_can_fail(void **state)
{
    struct multifd_error err;

    (void)state;
    assert_not_listening("rdma_create_id", MULTIFD_ERROR_DEVICE, "rdma_create_id");
    assert_not_listening("verbs_bind_address", MULTIFD_ERROR_ADDRESS, "verbs_bind_address");
    assert_not_listening("rdma_listen", MULTIFD_ERROR_ADDRESS, "192.0.2.1:4444");
    mock_fail("rdma_destroy_id", EBUSY);
    assert_not_listening("rdma_listen", MULTIFD_ERROR_ADDRESS, strerror(EADDRINUSE));
    mock_succeed("rdma_destroy_id");
    assert_int_equal(base->ops->listen(base, 9, &err), 0); /* and it can be tried again */
}

/* A connection on a device's port. */
static struct rdma_cm_id connection(struct ibv_context *context, uint8_t port)
{
    return (struct rdma_cm_id){.verbs = context, .port_num = port};
}

static void the_first_connection_makes_the_domain(void **state)
{
    struct rdma_cm_id id = connection(mock_context(), 2);
    struct multifd_error err = ERROR_UNTOUCHED;
    struct verbs_domain *domain;
    struct multifd_device_counters counters = {0};
    struct transport_limits limits;

    (void)state;
    assert_int_equal(verbs_endpoint_use_device(endpoint, &id, &err), 0);
    domain = endpoint->domain;
    assert_non_null(domain);
    assert_ptr_equal(domain->context, mock_context());
    assert_int_equal(domain->port, 2);
    base->ops->limits(base, &limits);
    assert_int_equal(limits.max_message, 1u << 30);
    assert_int_equal(limits.max_memory, UINT64_C(1) << 40);
    assert_int_equal(limits.max_regions, 200);
    assert_false(limits.on_demand);
    assert_true(atomic_load(&endpoint->counters.begun));
    base->ops->device_counters(base, &counters);
    assert_true(counters.retries == MULTIFD_UNKNOWN); /* the mock has no folder */
    assert_int_equal(verbs_endpoint_use_device(endpoint, &id, &err), 0);
    assert_ptr_equal(endpoint->domain, domain);
    assert_int_equal(mock_calls("ibv_alloc_pd"), 1);
    assert_untouched(&err);
}

static void assert_not_used(struct rdma_cm_id id, enum multifd_error_code code, const char *part)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    assert_int_equal(verbs_endpoint_use_device(endpoint, &id, &err), -1);
    assert_error(&err, code, part);
}

static void the_domain_fails(void **state)
{
    (void)state;
    mock_fail("ibv_alloc_pd", ENOMEM);
    assert_not_used(connection(mock_context(), 1), MULTIFD_ERROR_DEVICE, "ibv_alloc_pd");
    assert_null(endpoint->domain);
}

static void all_connections_use_one_device(void **state)
{
    struct rdma_cm_id id = connection(mock_context(), 1);
    struct multifd_error err;

    (void)state;
    assert_int_equal(verbs_endpoint_use_device(endpoint, &id, &err), 0);
    assert_not_used(connection(&other_device, 1), MULTIFD_ERROR_CONNECT, "mock1");
}

static void the_device_is_the_one_that_was_named(void **state)
{
    struct rdma_cm_id id = connection(mock_context(), 1);
    struct multifd_error err;

    (void)state;
    strcpy(endpoint->settings.ib_dev, "mock0");
    assert_not_used(connection(&other_device, 1), MULTIFD_ERROR_INVALID, "mock1");
    endpoint->settings.ib_port = 2;
    assert_not_used(id, MULTIFD_ERROR_INVALID, "port 1");
    assert_null(endpoint->domain);
    endpoint->settings.ib_port = 1;
    assert_int_equal(verbs_endpoint_use_device(endpoint, &id, &err), 0);
}

static void memory_goes_through_the_domain(void **state)
{
    struct rdma_cm_id id = connection(mock_context(), 1);
    struct transport_memory memory;
    struct multifd_error err;

    (void)state;
    assert_int_equal(verbs_endpoint_use_device(endpoint, &id, &err), 0);
    assert_int_equal(
        base->ops->register_memory(base, &other_device, 77, TRANSPORT_REMOTE_WRITE, &memory, &err),
        0);
    assert_int_equal(memory.local_key, 5);
}

static void the_memory_limit_is_checked_before_the_first_connection(void **state)
{
    struct multifd_error err;

    (void)state;
    assert_int_equal(base->ops->check_memory(base, 12345, &err), -1);
    assert_error(&err, MULTIFD_ERROR_MEMLOCK, "checked");
    assert_int_equal(checked_bytes, 12345);
}

static void free_releases_everything(void **state)
{
    struct rdma_cm_id id = connection(mock_context(), 1);
    struct multifd_error err;

    (void)state;
    assert_int_equal(base->ops->listen(base, 9, &err), 0);
    assert_int_equal(verbs_endpoint_use_device(endpoint, &id, &err), 0);
    mock_fail("rdma_destroy_id", EBUSY); /* whatever fails, the rest still runs */
    mock_fail("ibv_dereg_mr", EBUSY);
    mock_fail("ibv_dealloc_pd", EBUSY);
    mock_log_clear();
    base->ops->free(base);
    assert_calls("rdma_destroy_id rdma_destroy_event_channel ibv_dereg_mr ibv_dealloc_pd ");
    assert_int_equal(mock_live(), 0);
    new_endpoint("192.0.2.1", "4444");
}

#define with_endpoint(function) cmocka_unit_test_setup_teardown(function, make, release)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_endpoint(an_endpoint_is_named_after_its_address),
        with_endpoint(every_operation_exists),
        with_endpoint(no_memory),
        with_endpoint(listening),
        with_endpoint(the_port_is_known_after_listening_has_stopped),
        with_endpoint(each_step_of_listening_can_fail),
        with_endpoint(the_first_connection_makes_the_domain),
        with_endpoint(the_domain_fails),
        with_endpoint(all_connections_use_one_device),
        with_endpoint(the_device_is_the_one_that_was_named),
        with_endpoint(memory_goes_through_the_domain),
        with_endpoint(the_memory_limit_is_checked_before_the_first_connection),
        with_endpoint(free_releases_everything),
    };

    return cmocka_run_group_tests_name("transport/verbs/endpoint", tests, NULL, NULL);
}
