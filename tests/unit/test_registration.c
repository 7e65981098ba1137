/* SPDX-License-Identifier: MIT */
#include "core/base/error.h"
#include "core/registration.h"
#include "mock.h"

#include <errno.h>

#define MIB UINT64_C(0x100000)

/*
 * The endpoint. Its functions run on several threads, so they assert nothing: they note what they
 * were given, under a lock, for the test to look at afterwards.
 */
struct call {
    void *address;
    uint64_t length;
    bool writable;
};

static struct {
    struct transport_endpoint base;
    pthread_mutex_t lock;
    struct transport_limits limits;
    uint64_t checked_bytes;
    bool refuse_memory;
    unsigned fail_from; /* the number of the first registration that fails; 0: none does */
    bool fail_deregister;
    unsigned calls_num;
    struct call calls[64];
    unsigned live;
} endpoint = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct session session;
static uint8_t host[67 * MIB]; /* never touched: only addresses count */
static unsigned logged;

static void limits(const struct transport_endpoint *base, struct transport_limits *out)
{
    (void)base;
    *out = endpoint.limits;
}

static int check_memory(const struct transport_endpoint *base, uint64_t bytes,
                        struct multifd_error *err)
{
    (void)base;
    endpoint.checked_bytes = bytes;
    return endpoint.refuse_memory ? error_set(err, MULTIFD_ERROR_MEMLOCK, "too much") : 0;
}

static int register_memory(struct transport_endpoint *base, void *address, uint64_t length,
                           uint32_t access, struct transport_memory *memory,
                           struct multifd_error *err)
{
    int status = 0;

    (void)base;
    pthread_mutex_lock(&endpoint.lock);
    endpoint.calls[endpoint.calls_num++ % 64] = (struct call){address, length, access != 0};
    if (endpoint.fail_from != 0 && endpoint.calls_num >= endpoint.fail_from) {
        status = error_set(err, MULTIFD_ERROR_DEVICE, "registration %u", endpoint.calls_num);
    } else {
        memory->handle = address;
        endpoint.live++;
    }
    pthread_mutex_unlock(&endpoint.lock);
    return status;
}

static int deregister_memory(struct transport_memory *memory, struct multifd_error *err)
{
    memory->handle = NULL;
    endpoint.live--;
    return endpoint.fail_deregister ? error_set(err, MULTIFD_ERROR_DEVICE, "deregister") : 0;
}

static const struct transport_endpoint_ops ops = {.limits = limits,
                                                  .check_memory = check_memory,
                                                  .register_memory = register_memory,
                                                  .deregister_memory = deregister_memory};

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *),
                          void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *),
                          void *arg);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *),
                          void *arg)
{
    int errnum = mock_enter("pthread_create");

    return errnum != 0 ? errnum : __real_pthread_create(thread, attr, start, arg);
}

static void count_line(void *opaque, const char *line)
{
    (void)opaque;
    (void)line;
    logged++;
}

/* Blocks of 10 and of 3 MiB in pieces of 4: 3 + 1. */
static int make(void **state)
{
    struct multifd_error err;

    mock_setup(state);
    memset(&session, 0, sizeof(session));
    session.endpoint = &endpoint.base;
    session.options.page_size = 4096;
    session.options.piece_size = 4 * MIB;
    session.options.registration_threads = 3;
    session.options.log = (struct log){count_line, NULL};
    endpoint.base.ops = &ops;
    endpoint.limits = (struct transport_limits){.max_message = 1 << 30, .max_memory = 1 << 30};
    endpoint.checked_bytes = 0;
    endpoint.refuse_memory = false;
    endpoint.fail_from = 0;
    endpoint.fail_deregister = false;
    endpoint.calls_num = 0;
    endpoint.live = 0;
    logged = 0;
    return ram_table_add(&session.blocks, "pc.ram", host, 10 * MIB, 4096, &err) == NULL ||
                   ram_table_add(&session.blocks, "vga", host + 64 * MIB, 3 * MIB, 4096, &err) ==
                       NULL
               ? -1
               : 0;
}

static int release(void **state)
{
    registration_release(&session);
    ram_table_clear(&session.blocks);
    return endpoint.live != 0 ? -1 : mock_teardown(state);
}

static int run(bool writable, struct multifd_error *err)
{
    struct registration *registration = registration_start(&session, writable, err);
    int status;

    assert_non_null(registration);
    status = registration_finish(&registration, err);
    assert_null(registration);
    return status;
}

/* How often exactly that memory was registered. */
static unsigned registered(uint64_t offset, uint64_t length, bool writable)
{
    unsigned times = 0;

    for (unsigned i = 0; i < endpoint.calls_num; i++) {
        const struct call *call = &endpoint.calls[i];

        times +=
            call->address == host + offset && call->length == length && call->writable == writable;
    }
    return times;
}

static void every_piece_is_registered_once(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    assert_int_equal(run(true, &err), 0);
    assert_untouched(&err);
    assert_int_equal(endpoint.calls_num, 4);
    assert_int_equal(registered(0, 4 * MIB, true), 1);
    assert_int_equal(registered(4 * MIB, 4 * MIB, true), 1);
    assert_int_equal(registered(8 * MIB, 2 * MIB, true), 1);
    assert_int_equal(registered(64 * MIB, 3 * MIB, true), 1);
    assert_ptr_equal(session.blocks.blocks[0]->pieces[2].memory.handle, host + 8 * MIB);
    assert_int_equal(endpoint.checked_bytes, 13 * MIB);
    assert_int_equal(counter_get(&session.times.registered_bytes), 13 * MIB);
    assert_int_equal(mock_calls("pthread_create"), 3);
}

static void the_source_registers_for_reading(void **state)
{
    struct multifd_error err;

    (void)state;
    assert_int_equal(run(false, &err), 0);
    assert_int_equal(registered(0, 4 * MIB, false), 1);
    assert_int_equal(registered(0, 4 * MIB, true), 0);
}

static void no_more_threads_than_pieces(void **state)
{
    struct multifd_error err;

    (void)state;
    session.options.registration_threads = 60;
    assert_int_equal(run(true, &err), 0);
    assert_int_equal(mock_calls("pthread_create"), 4);
}

static void some_threads_when_none_are_named(void **state)
{
    struct multifd_error err;

    (void)state;
    session.options.registration_threads = 0;
    assert_int_equal(run(true, &err), 0);
    assert_in_range(mock_calls("pthread_create"), 1, 4);
    assert_int_equal(endpoint.calls_num, 4);
}

static void assert_not_started(enum multifd_error_code code, const char *part)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    assert_null(registration_start(&session, true, &err));
    assert_error(&err, code, part);
}

static void limits_of_the_device_are_named(void **state)
{
    (void)state;
    endpoint.limits.max_message = 2048;
    assert_not_started(MULTIFD_ERROR_LIMIT, "page-size 4096");
    assert_not_started(MULTIFD_ERROR_LIMIT, "max_msg_sz 2048");
    endpoint.limits.max_message = 4096;
    endpoint.limits.max_memory = 4 * MIB - 1;
    assert_not_started(MULTIFD_ERROR_LIMIT, "max_mr_size 4194303");
    assert_int_equal(endpoint.calls_num, 0);
}

static void a_piece_that_just_fits(void **state)
{
    struct multifd_error err;

    (void)state;
    endpoint.limits = (struct transport_limits){.max_message = 4096, .max_memory = 4 * MIB};
    assert_int_equal(run(true, &err), 0);
}

static void the_memory_limit_comes_first(void **state)
{
    (void)state;
    endpoint.refuse_memory = true;
    assert_not_started(MULTIFD_ERROR_MEMLOCK, "too much");
    assert_int_equal(endpoint.calls_num, 0);
    assert_calls("");
}

static void each_registration_can_fail(void **state)
{
    for (unsigned nth = 1; nth <= 4; nth++) {
        struct multifd_error err = ERROR_UNTOUCHED;
        char part[32] = "registration ";

        endpoint.fail_from = nth; /* and all after it: the first counts */
        part[strlen(part)] = (char)('0' + nth);
        assert_int_equal(run(true, &err), -1);
        assert_error(&err, MULTIFD_ERROR_DEVICE, nth == 4 ? part : "registration ");
        assert_int_equal(endpoint.live, nth - 1);
        assert_int_equal(counter_get(&session.times.registered_bytes), 0);
        assert_int_equal(release(state), 0); /* what was registered is released */
        assert_int_equal(make(state), 0);
    }
}

static void one_thread_stops_at_the_first_failure(void **state)
{
    struct multifd_error err;

    (void)state;
    session.options.registration_threads = 1;
    endpoint.fail_from = 2;
    assert_int_equal(run(true, &err), -1);
    assert_error(&err, MULTIFD_ERROR_DEVICE, "registration 2");
    assert_int_equal(endpoint.calls_num, 2);
}

static void each_thread_can_fail_to_start(void **state)
{
    for (unsigned nth = 1; nth <= 3; nth++) {
        mock_fail_nth("pthread_create", nth, EAGAIN);
        assert_not_started(MULTIFD_ERROR_SYSTEM, "pthread_create");
        assert_int_equal(mock_calls("pthread_create"), nth);
        assert_int_equal(release(state), 0);
        assert_int_equal(make(state), 0);
    }
}

/* A thread cannot be started, and those that were fail too: either may come first, but one is told.
 */
static void threads_fail_to_start_and_then_registrations(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    mock_fail_nth("pthread_create", 3, EAGAIN);
    endpoint.fail_from = 1;
    assert_null(registration_start(&session, true, &err));
    assert_true(err.code == MULTIFD_ERROR_SYSTEM || err.code == MULTIFD_ERROR_DEVICE);
    assert_int_equal(endpoint.live, 0);
}

static void no_memory(void **state)
{
    for (unsigned nth = 1; nth <= 4; nth++) { /* two blocks' pieces, the object, its threads */
        mock_fail_nth("malloc", nth, ENOMEM);
        assert_not_started(MULTIFD_ERROR_SYSTEM, "memory");
        assert_int_equal(endpoint.calls_num, 0);
        mock_succeed("malloc");
        assert_int_equal(release(state), 0);
        assert_int_equal(make(state), 0);
    }
}

static void releasing_goes_on_after_a_failure(void **state)
{
    struct multifd_error err;

    (void)state;
    assert_int_equal(run(true, &err), 0);
    endpoint.fail_deregister = true;
    registration_release(&session);
    assert_int_equal(endpoint.live, 0);
    assert_int_equal(logged, 4);
    registration_release(&session);
    assert_int_equal(logged, 4); /* once each */
}

static void releasing_before_there_are_pieces(void **state)
{
    (void)state;
    registration_release(&session);
    assert_int_equal(endpoint.live, 0);
}

#define with_session(function) cmocka_unit_test_setup_teardown(function, make, release)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_session(every_piece_is_registered_once),
        with_session(the_source_registers_for_reading),
        with_session(no_more_threads_than_pieces),
        with_session(some_threads_when_none_are_named),
        with_session(limits_of_the_device_are_named),
        with_session(a_piece_that_just_fits),
        with_session(the_memory_limit_comes_first),
        with_session(each_registration_can_fail),
        with_session(one_thread_stops_at_the_first_failure),
        with_session(each_thread_can_fail_to_start),
        with_session(threads_fail_to_start_and_then_registrations),
        with_session(no_memory),
        with_session(releasing_goes_on_after_a_failure),
        with_session(releasing_before_there_are_pieces),
    };

    return cmocka_run_group_tests_name("core/registration", tests, NULL, NULL);
}
