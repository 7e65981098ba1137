/* SPDX-License-Identifier: MIT */
#include "core/base/error.h"
#include "registrar_rig.h"

#include <errno.h>
#include <unistd.h>

/* How often exactly that memory was registered. */
static unsigned registered(uint64_t offset, uint64_t length, uint32_t access)
{
    unsigned times = 0;

    for (unsigned i = 0; i < around.calls_num; i++) {
        const struct call *call = &around.calls[i];

        times += call->address == around.host + offset && call->length == length &&
                 call->access == access;
    }
    return times;
}

static void assert_all_registered(uint32_t access)
{
    registrar_await(&around.calls_num, 4);
    assert_int_equal(registered(0, 4 * MIB, access), 1);
    assert_int_equal(registered(4 * MIB, 4 * MIB, access), 1);
    assert_int_equal(registered(8 * MIB, 2 * MIB, access), 1);
    assert_int_equal(registered(64 * MIB, 3 * MIB, access), 1);
}

static int take(enum message_type type, uint32_t block, uint32_t first, uint32_t num,
                struct multifd_error *err)
{
    struct message message = {.type = type, .pieces = {.block = block, .first = first, .num = num}};

    for (uint32_t i = 0; i < num && i < MESSAGE_MAX_PIECES; i++) {
        message.pieces.pieces[i].address = UINT64_C(0x7000000000) + first + i;
        message.pieces.pieces[i].key = 500 + first + i;
    }
    return around.handler(around.handler_opaque, &message, err);
}

static void answer(uint32_t block, uint32_t first, uint32_t num)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    assert_int_equal(take(MESSAGE_PIECES, block, first, num, &err), 0);
    assert_untouched(&err);
}

static void assert_refused(enum message_type type, uint32_t block, uint32_t first, uint32_t num,
                           const char *part)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    assert_int_equal(take(type, block, first, num, &err), -1);
    assert_error(&err, MULTIFD_ERROR_PROTOCOL, part);
}

static bool ready(uint32_t block, uint64_t offset)
{
    return registrar_ready(around.registrar, around.session.blocks.blocks[block], &offset, 1,
                           &around.waker);
}

static void want(uint32_t block, uint64_t offset)
{
    registrar_want(around.registrar, around.session.blocks.blocks[block], &offset, 1);
}

static const struct ram_piece *piece(uint32_t block, uint32_t number)
{
    return &around.session.blocks.blocks[block]->pieces[number];
}

/* ---- All ---- */

static void the_destination_registers_all_and_tells(void **state)
{
    unsigned told = 0;

    (void)state;
    registrar_start(false, REGISTRATION_ALL);
    assert_all_registered(TRANSPORT_REMOTE_WRITE);
    registrar_await(&around.sent_num, around.sent_num);
    for (unsigned i = 0; i < around.sent_num; i++) {
        const struct message_pieces *pieces = &around.sent[i].pieces;

        assert_int_equal(around.sent[i].type, MESSAGE_PIECES);
        for (uint32_t k = 0; k < pieces->num; k++) {
            uint64_t offset = 64 * MIB * pieces->block + 4 * MIB * (pieces->first + k);

            assert_int_equal(pieces->pieces[k].address, (uintptr_t)around.host + offset);
            assert_int_equal(pieces->pieces[k].key, offset + 7);
            told++;
        }
    }
    assert_int_equal(told, 4);
    assert_int_equal(counter_get(&around.session.times.registered_bytes), 13 * MIB);
    assert_int_equal(mock_calls("pthread_create"), 3);
}

static void the_source_registers_all_for_reading(void **state)
{
    (void)state;
    registrar_start(true, REGISTRATION_ALL);
    assert_all_registered(0);
    assert_int_equal(around.sent_num, 0); /* the destination needs no asking */
    assert_false(ready(0, 0));
    answer(0, 0, 3);
    assert_true(ready(0, 10 * MIB - 4096));
    assert_false(ready(1, 0));
    answer(1, 0, 1);
    assert_true(ready(1, 0));
    assert_int_equal(piece(0, 2)->remote_address, UINT64_C(0x7000000002));
    assert_int_equal(piece(0, 2)->remote_key, 502);
    assert_int_equal(piece(0, 2)->memory.local_key, 1);
}

static void odp_pins_nothing(void **state)
{
    (void)state;
    registrar_start(true, REGISTRATION_ODP);
    assert_all_registered(TRANSPORT_ON_DEMAND);
    assert_int_equal(counter_get(&around.session.times.registered_bytes), 0);
}

static void odp_of_the_destination(void **state)
{
    (void)state;
    registrar_start(false, REGISTRATION_ODP);
    assert_all_registered(TRANSPORT_ON_DEMAND | TRANSPORT_REMOTE_WRITE);
}

static void no_more_threads_than_pieces(void **state)
{
    (void)state;
    around.session.options.registration_threads = 60;
    registrar_start(true, REGISTRATION_ALL);
    assert_int_equal(mock_calls("pthread_create"), 4);
}

static void some_threads_when_none_are_named(void **state)
{
    (void)state;
    around.session.options.registration_threads = 0;
    registrar_start(true, REGISTRATION_ALL);
    assert_in_range(mock_calls("pthread_create"), 1, 4);
    assert_all_registered(0);
}

/* ---- On demand ---- */

static void nothing_is_registered_before_it_is_wanted(void **state)
{
    (void)state;
    registrar_start(true, REGISTRATION_ON_DEMAND);
    usleep(5000);
    assert_int_equal(around.calls_num, 0);
    assert_false(ready(0, 0));
    want(0, 4 * MIB + 4096);
    want(0, 8 * MIB - 4096); /* the same piece */
    registrar_await(&around.calls_num, 1);
    assert_int_equal(registered(4 * MIB, 4 * MIB, 0), 1);
    assert_int_equal(around.sent_num, 1);
    assert_int_equal(around.sent[0].type, MESSAGE_PIECES_REQUEST);
    assert_int_equal(around.sent[0].pieces.block, 0);
    assert_int_equal(around.sent[0].pieces.first, 1);
    assert_int_equal(around.sent[0].pieces.num, 1);
    assert_int_equal(counter_get(&around.session.times.registered_bytes), 4 * MIB);
}

static void ready_is_registered_on_both_sides(void **state)
{
    const uint64_t both[] = {0, 4 * MIB};

    (void)state;
    around.session.options.registration_threads = 1;
    registrar_start(true, REGISTRATION_ON_DEMAND);
    atomic_store(&around.hold, true);
    want(0, 0);
    registrar_await(&around.sent_num, 1); /* asked for before this side's own is registered */
    answer(0, 0, 1);
    assert_false(ready(0, 0)); /* the destination was the faster */
    waker_arm(&around.waker);
    atomic_store(&around.hold, false);
    registrar_await(&around.live, 1);
    assert_false(atomic_load(&around.waker.armed)); /* woken */
    assert_true(ready(0, 0));
    assert_false(
        registrar_ready(around.registrar, around.session.blocks.blocks[0], both, 2, &around.waker));
    want(0, 4 * MIB);
    registrar_await(&around.live, 2);
    waker_arm(&around.waker);
    answer(0, 1, 1); /* this side was */
    assert_false(atomic_load(&around.waker.armed));
    assert_true(
        registrar_ready(around.registrar, around.session.blocks.blocks[0], both, 2, &around.waker));
}

static void small_adjacent_pieces_go_together(void **state)
{
    uint64_t offsets[10];

    (void)state;
    registrar_split(20);
    around.session.options.registration_threads = 1;
    registrar_start(true, REGISTRATION_ON_DEMAND);
    atomic_store(&around.hold, true);
    want(1, 0);
    registrar_await(&around.calls_num, 1); /* while the thread is busy, others gather */
    for (uint32_t i = 0; i < 10; i++) {
        offsets[i] = i * MIB;
    }
    registrar_want(around.registrar, around.session.blocks.blocks[0], offsets, 10);
    atomic_store(&around.hold, false);
    registrar_await(&around.calls_num, 11);
    assert_int_equal(around.sent_num, 2);
    assert_int_equal(around.sent[1].pieces.num, 10);
}

static void the_destination_registers_what_is_asked_for(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    registrar_start(false, REGISTRATION_ON_DEMAND);
    usleep(5000);
    assert_int_equal(around.calls_num, 0);
    assert_int_equal(take(MESSAGE_PIECES_REQUEST, 0, 2, 1, &err), 0);
    registrar_await(&around.sent_num, 1);
    assert_int_equal(registered(8 * MIB, 2 * MIB, TRANSPORT_REMOTE_WRITE), 1);
    assert_int_equal(around.sent[0].type, MESSAGE_PIECES);
    assert_int_equal(around.sent[0].pieces.first, 2);
    assert_int_equal(around.sent[0].pieces.pieces[0].address, (uintptr_t)around.host + 8 * MIB);
}

/* ---- Hostile ---- */

static void requests_are_refused(void **state)
{
    struct multifd_error err;

    (void)state;
    registrar_start(false, REGISTRATION_ON_DEMAND);
    assert_refused(MESSAGE_PIECES_REQUEST, 2, 0, 1, "pieces that are none");
    assert_refused(MESSAGE_PIECES_REQUEST, 0, 3, 1, "pieces that are none");
    assert_refused(MESSAGE_PIECES_REQUEST, 0, 0, 4, "pieces that are none");
    assert_refused(MESSAGE_PIECES_REQUEST, 0, UINT32_MAX, 1, "pieces that are none");
    assert_refused(MESSAGE_PIECES, 0, 0, 1, "unexpected");
    assert_int_equal(take(MESSAGE_PIECES_REQUEST, 0, 1, 1, &err), 0);
    assert_refused(MESSAGE_PIECES_REQUEST, 0, 1, 1, "a piece twice");
    assert_refused(MESSAGE_PIECES_REQUEST, 0, 0, 2, "a piece twice");
    registrar_await(&around.calls_num, 1); /* nothing of a request that was refused */
}

static void requests_where_all_is_registered(void **state)
{
    (void)state;
    registrar_start(false, REGISTRATION_ALL);
    assert_refused(MESSAGE_PIECES_REQUEST, 0, 0, 1, "pieces that are none");
}

static void answers_are_refused(void **state)
{
    (void)state;
    registrar_start(true, REGISTRATION_ON_DEMAND);
    assert_refused(MESSAGE_PIECES, 0, 0, 1, "for other pieces"); /* not asked for */
    want(0, 0);
    registrar_await(&around.sent_num, 1);
    assert_refused(MESSAGE_PIECES, 0, 0, 2, "for other pieces");
    assert_refused(MESSAGE_PIECES, 0, 1, 1, "for other pieces");
    assert_refused(MESSAGE_PIECES, 1, 0, 1, "for other pieces");
    assert_refused(MESSAGE_PIECES, 2, 0, 1, "for other pieces");
    assert_refused(MESSAGE_PIECES, 0, 3, 1, "for other pieces");
    assert_refused(MESSAGE_PIECES_REQUEST, 0, 0, 1, "unexpected");
    assert_int_equal(piece(0, 0)->remote_key, 0); /* nothing changed */
    answer(0, 0, 1);
    assert_refused(MESSAGE_PIECES, 0, 0, 1, "for other pieces"); /* twice */
    assert_true(ready(0, 0));
}

/* ---- Failing ---- */

static void each_registration_can_fail(void **state)
{
    for (unsigned nth = 1; nth <= 4; nth++) {
        around.fail_from = nth; /* and all after it */
        around.session.options.registration_threads = 1;
        registrar_start(true, REGISTRATION_ALL);
        registrar_await(&around.calls_num, nth); /* and then no more */
        registrar_await(&around.live, nth - 1);
        assert_int_equal(around.error.code, MULTIFD_ERROR_DEVICE);
        assert_int_equal(counter_get(&around.session.times.registered_bytes),
                         (nth - 1) * 4 * MIB - (nth == 4 ? 2 * MIB : 0));
        assert_int_equal(registrar_release(state), 0); /* what was registered is released */
        assert_int_equal(registrar_make(state), 0);
    }
}

static void an_answer_cannot_be_sent(void **state)
{
    (void)state;
    around.fail_send = true;
    around.session.options.registration_threads = 1;
    registrar_start(false, REGISTRATION_ALL);
    registrar_await(&around.calls_num, 3);           /* the run of 16 MiB, then no more */
    assert_int_equal(around.error.code, MULTIFD_OK); /* it is not the registrar's failure */
}

static void a_request_cannot_be_sent(void **state)
{
    (void)state;
    around.fail_send = true;
    registrar_start(true, REGISTRATION_ON_DEMAND);
    want(0, 0);
    usleep(20000);
    registrar_await(&around.calls_num, 0);
    assert_int_equal(around.error.code, MULTIFD_OK); /* it is not the registrar's failure */
}

static void assert_not_started(enum multifd_error_code code, const char *part)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    assert_null(registrar_new(&around.session, NULL, true, &err));
    assert_error(&err, code, part);
    assert_null(around.handler);
    assert_int_equal(around.live, 0);
}

static void each_thread_can_fail_to_start(void **state)
{
    for (unsigned nth = 1; nth <= 3; nth++) {
        mock_fail_nth("pthread_create", nth, EAGAIN);
        assert_not_started(MULTIFD_ERROR_SYSTEM, "pthread_create");
        assert_int_equal(mock_calls("pthread_create"), nth);
        assert_int_equal(registrar_release(state), 0);
        assert_int_equal(registrar_make(state), 0);
    }
}

static void no_memory(void **state)
{
    for (unsigned nth = 1; nth <= 3; nth++) { /* the object, its queue, its threads */
        mock_fail_nth("malloc", nth, ENOMEM);
        assert_not_started(MULTIFD_ERROR_SYSTEM, "memory");
        mock_succeed("malloc");
        assert_int_equal(registrar_release(state), 0);
        assert_int_equal(registrar_make(state), 0);
    }
}

static void stopping_leaves_the_rest(void **state)
{
    (void)state;
    registrar_split(23);
    around.session.options.registration_threads = 1;
    atomic_store(&around.hold, true);
    registrar_start(true, REGISTRATION_ALL);
    registrar_await(&around.calls_num, 1);
    session_fail(&around.session, &(struct multifd_error){.code = MULTIFD_ERROR_CANCELLED});
    atomic_store(&around.hold, false);
    registrar_stop(around.registrar);
    assert_in_range(around.calls_num, 1, 2); /* the run that was begun */
}

static void deregistering_goes_on_after_a_failure(void **state)
{
    (void)state;
    registrar_start(true, REGISTRATION_ALL);
    registrar_await(&around.live, 4);
    around.fail_deregister = true;
    registrar_stop(around.registrar);
    assert_int_equal(around.live, 4); /* channels may still use it */
    registrar_delete(&around.registrar);
    assert_null(around.registrar);
    assert_int_equal(around.live, 0);
    assert_int_equal(around.logged, 4);
}

static void nothing_to_stop(void **state)
{
    (void)state;
    registrar_stop(around.registrar);
    registrar_delete(&around.registrar);
    assert_null(around.registrar);
}

#define with_session(function)                                                                     \
    cmocka_unit_test_setup_teardown(function, registrar_make, registrar_release)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_session(the_destination_registers_all_and_tells),
        with_session(the_source_registers_all_for_reading),
        with_session(odp_pins_nothing),
        with_session(odp_of_the_destination),
        with_session(no_more_threads_than_pieces),
        with_session(some_threads_when_none_are_named),
        with_session(nothing_is_registered_before_it_is_wanted),
        with_session(ready_is_registered_on_both_sides),
        with_session(small_adjacent_pieces_go_together),
        with_session(the_destination_registers_what_is_asked_for),
        with_session(requests_are_refused),
        with_session(requests_where_all_is_registered),
        with_session(answers_are_refused),
        with_session(each_registration_can_fail),
        with_session(an_answer_cannot_be_sent),
        with_session(a_request_cannot_be_sent),
        with_session(each_thread_can_fail_to_start),
        with_session(no_memory),
        with_session(stopping_leaves_the_rest),
        with_session(deregistering_goes_on_after_a_failure),
        with_session(nothing_to_stop),
    };

    return cmocka_run_group_tests_name("core/registrar", tests, NULL, NULL);
}
