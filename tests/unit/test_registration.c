/* SPDX-License-Identifier: MIT */
#include "core/base/error.h"
#include "core/registration.h"
#include "mock.h"

#include <errno.h>
#include <stdlib.h>

#define MIB UINT64_C(0x100000)
#define GIB (1024 * MIB)

static struct {
    struct transport_endpoint base;
    struct transport_limits limits;
    uint64_t checked_bytes;
    bool refuse_memory;
} endpoint;

static struct session session;

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

static const struct transport_endpoint_ops ops = {.limits = limits, .check_memory = check_memory};

static void add_block(const char *name, uint64_t length)
{
    struct multifd_error err;

    assert_non_null(ram_table_add(&session.blocks, name, NULL, length, 4096, &err));
}

/* Blocks of 10 and of 3 MiB in pieces of 4: 3 + 1. */
static int make(void **state)
{
    mock_setup(state);
    memset(&session, 0, sizeof(session));
    memset(&endpoint, 0, sizeof(endpoint));
    session.endpoint = &endpoint.base;
    session.peer = "source";
    session.options.page_size = 4096;
    session.options.piece_size = 4 * MIB;
    endpoint.base.ops = &ops;
    endpoint.limits =
        (struct transport_limits){.max_message = 1 << 30, .max_memory = 1 << 30, .max_regions = 4};
    add_block("pc.ram", 10 * MIB);
    add_block("vga", 3 * MIB);
    return 0;
}

static int release(void **state)
{
    ram_table_clear(&session.blocks);
    return mock_teardown(state);
}

static void a_piece_size_that_was_set_is_taken(void **state)
{
    (void)state;
    for (session.options.registration = 0; session.options.registration < REGISTRATION_MODES;
         session.options.registration++) {
        assert_int_equal(registration_piece_size(&session), 4 * MIB);
    }
}

static uint64_t chosen(enum registration_mode mode, uint32_t page_size)
{
    session.options.piece_size = 0;
    session.options.registration = mode;
    session.options.page_size = page_size;
    return registration_piece_size(&session);
}

static void a_piece_size_is_chosen(void **state)
{
    (void)state;
    assert_int_equal(chosen(REGISTRATION_ALL, 4096), GIB);
    assert_int_equal(chosen(REGISTRATION_ODP, 4096), GIB);
    assert_int_equal(chosen(REGISTRATION_ON_DEMAND, 4096), 4 * MIB);
    assert_int_equal(chosen(REGISTRATION_ON_DEMAND, 1 << 30), GIB); /* a page is in one piece */
    add_block("huge", 256 * GIB - 13 * MIB);
    assert_int_equal(chosen(REGISTRATION_ON_DEMAND, 4096), 4 * MIB);
    add_block("one more", 4 * MIB);
    assert_int_equal(chosen(REGISTRATION_ON_DEMAND, 4096), 8 * MIB);
    assert_int_equal(chosen(REGISTRATION_ALL, 4096), GIB);
}

static void blocks_are_split(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    assert_int_equal(registration_pieces(&session), 0);
    assert_int_equal(registration_split(&session, &err), 0);
    assert_untouched(&err);
    assert_int_equal(session.blocks.blocks[0]->pieces_num, 3);
    assert_int_equal(session.blocks.blocks[1]->pieces_num, 1);
    assert_int_equal(registration_pieces(&session), 4);
    assert_int_equal(endpoint.checked_bytes, 13 * MIB);
}

static void assert_not_split(enum multifd_error_code code, const char *part)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    assert_int_equal(registration_split(&session, &err), -1);
    assert_error(&err, code, part);
    for (uint32_t i = 0; i < session.blocks.num; i++) {
        free(session.blocks.blocks[i]->pieces);
        session.blocks.blocks[i]->pieces = NULL;
        session.blocks.blocks[i]->pieces_num = 0;
    }
}

static void limits_of_pieces_are_named(void **state)
{
    (void)state;
    endpoint.limits.max_memory = 4 * MIB - 1;
    assert_not_split(MULTIFD_ERROR_LIMIT, "piece-size 4194304");
    assert_not_split(MULTIFD_ERROR_LIMIT, "max_mr_size 4194303");
    endpoint.limits.max_memory = 4 * MIB;
    endpoint.limits.max_regions = 3;
    assert_not_split(MULTIFD_ERROR_LIMIT, "with piece-size 4194304 there are 4 pieces");
    session.options.registration = REGISTRATION_ON_DEMAND;
    assert_not_split(MULTIFD_ERROR_LIMIT, "max_mr 3");
}

static void pieces_without_memory_for_their_table(void **state)
{
    (void)state;
    for (unsigned nth = 1; nth <= 2; nth++) {
        mock_fail_nth("malloc", nth, ENOMEM);
        assert_not_split(MULTIFD_ERROR_SYSTEM, "memory");
        mock_succeed("malloc");
    }
}

/* What will be locked is known only when it is all. */
static void the_memory_limit_is_for_all(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    endpoint.refuse_memory = true;
    assert_int_equal(registration_check_memory(&session, &err), -1);
    assert_error(&err, MULTIFD_ERROR_MEMLOCK, "too much");
    assert_not_split(MULTIFD_ERROR_MEMLOCK, "too much");
    session.options.registration = REGISTRATION_ODP;
    assert_int_equal(registration_check_memory(&session, &err), 0);
    session.options.registration = REGISTRATION_ON_DEMAND;
    assert_int_equal(registration_check_memory(&session, &err), 0);
    assert_int_equal(registration_split(&session, &err), 0);
}

static void assert_device_refused(const char *part)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    assert_int_equal(registration_check_device(&session, &err), -1);
    assert_error(&err, MULTIFD_ERROR_LIMIT, part);
}

static void a_page_is_one_message(void **state)
{
    struct multifd_error err;

    (void)state;
    endpoint.limits.max_message = 2048;
    assert_device_refused("page-size 4096");
    assert_device_refused("max_msg_sz 2048");
    endpoint.limits.max_message = 4096;
    assert_int_equal(registration_check_device(&session, &err), 0);
}

static void odp_needs_the_device(void **state)
{
    struct multifd_error err;

    (void)state;
    session.options.registration = REGISTRATION_ODP;
    assert_device_refused("registration odp needs on-demand paging");
    assert_device_refused("the device of the destination");
    session.peer = "destination";
    assert_device_refused("the device of the source");
    endpoint.limits.on_demand = true;
    assert_int_equal(registration_check_device(&session, &err), 0);
    endpoint.limits.on_demand = false;
    session.options.registration = REGISTRATION_ON_DEMAND;
    assert_int_equal(registration_check_device(&session, &err), 0);
}

#define with_session(function) cmocka_unit_test_setup_teardown(function, make, release)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_session(a_piece_size_that_was_set_is_taken),
        with_session(a_piece_size_is_chosen),
        with_session(blocks_are_split),
        with_session(limits_of_pieces_are_named),
        with_session(pieces_without_memory_for_their_table),
        with_session(the_memory_limit_is_for_all),
        with_session(a_page_is_one_message),
        with_session(odp_needs_the_device),
    };

    return cmocka_run_group_tests_name("core/registration", tests, NULL, NULL);
}
