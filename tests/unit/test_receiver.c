/* SPDX-License-Identifier: MIT */
#include "mock_verbs.h"
#include "transport/verbs/receiver.h"
#include "transport/verbs/work_request.h"

#include <errno.h>

#define WINDOW  6u
#define BUFFERS (WINDOW + VERBS_RECEIVER_RESERVE)

static const struct transport_profile profile = {.receive_slots = WINDOW, .receive_size = 100};
static struct verbs_receiver *receiver;

static struct verbs_receiver *new_receiver(uint32_t window)
{
    const struct transport_profile other = {.receive_slots = window, .receive_size = 100};
    struct multifd_error err = ERROR_UNTOUCHED;
    struct verbs_receiver *made = verbs_receiver_new(mock_pd(), &other, &err);

    assert_non_null(made);
    assert_int_equal(verbs_receiver_start(made, mock_qp(), &err), 0);
    assert_untouched(&err);
    return made;
}

static int make(void **state)
{
    mock_setup(state);
    receiver = new_receiver(WINDOW);
    mock_log_clear();
    return 0;
}

static int release(void **state)
{
    verbs_receiver_delete(&receiver);
    return mock_teardown(state);
}

static void take(struct verbs_receiver *from, struct transport_message *message)
{
    assert_true(verbs_receiver_pending(from));
    assert_true(verbs_receiver_take(from, message));
}

static void all_receives_are_one_post(void **state)
{
    const struct mock_post *post = &mock_verbs.receives[0];
    const struct ibv_mr *mr = &mock_verbs.last_mr->mr;

    (void)state;
    assert_int_equal(verbs_receiver_entries(&profile), BUFFERS);
    assert_int_equal(mock_verbs.receives_num, 1);
    assert_int_equal(post->num, BUFFERS);
    for (uint32_t i = 0; i < BUFFERS; i++) {
        assert_int_equal(post->receives[i].wr_id, work_request_id(WORK_RECEIVE, i));
        assert_int_equal(post->sges[i].addr, (uintptr_t)verbs_receiver_bytes(receiver, i));
        assert_true(post->sges[i].length >= profile.receive_size);
        assert_int_equal(post->sges[i].lkey, mr->lkey);
        assert_true(post->sges[i].addr >= (uintptr_t)mr->addr);
        assert_true(post->sges[i].addr + post->sges[i].length <= (uintptr_t)mr->addr + mr->length);
        assert_true(i == 0 || post->sges[i].addr >= post->sges[i - 1].addr + post->sges[i].length);
    }
    assert_int_equal(mock_verbs.last_mr->access, IBV_ACCESS_LOCAL_WRITE);
}

static void new_fails_without_memory(void **state)
{
    (void)state;
    for (unsigned nth = 1; nth <= 5; nth++) {
        struct multifd_error err = ERROR_UNTOUCHED;

        mock_fail_nth("malloc", nth, ENOMEM);
        assert_null(verbs_receiver_new(mock_pd(), &profile, &err));
        assert_error(&err, MULTIFD_ERROR_SYSTEM, "memory");
        mock_succeed("malloc");
    }
    assert_calls("");
}

static void new_fails_without_a_registration(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    mock_fail("ibv_reg_mr", ENOMEM);
    assert_null(verbs_receiver_new(mock_pd(), &profile, &err));
    assert_error(&err, MULTIFD_ERROR_DEVICE, "ibv_reg_mr(receives");
    assert_calls("ibv_reg_mr ");
}

static void delete_releases_once_even_if_it_fails(void **state)
{
    (void)state;
    mock_fail("ibv_dereg_mr", EBUSY);
    verbs_receiver_delete(&receiver);
    assert_null(receiver);
    assert_calls("ibv_dereg_mr ");
    verbs_receiver_delete(&receiver);
    assert_calls("ibv_dereg_mr ");
}

static void start_fails(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    mock_fail("ibv_post_recv", ENOMEM);
    assert_int_equal(verbs_receiver_start(receiver, mock_qp(), &err), -1);
    assert_error(&err, MULTIFD_ERROR_DEVICE, "ibv_post_recv");
}

static void messages_are_taken_in_order(void **state)
{
    struct transport_message message;

    (void)state;
    assert_false(verbs_receiver_pending(receiver));
    assert_false(verbs_receiver_take(receiver, &message));
    verbs_receiver_arrived(receiver, 4, 100);
    verbs_receiver_arrived(receiver, 0, 20);
    take(receiver, &message);
    assert_ptr_equal(message.bytes, verbs_receiver_bytes(receiver, 4));
    assert_int_equal(message.length, 100);
    take(receiver, &message);
    assert_ptr_equal(message.bytes, verbs_receiver_bytes(receiver, 0));
    assert_int_equal(message.length, 20);
    assert_false(verbs_receiver_pending(receiver));
    assert_false(verbs_receiver_take(receiver, &message));
}

static void every_buffer_may_wait_at_once(void **state)
{
    struct transport_message message;

    (void)state;
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < BUFFERS; i++) {
            verbs_receiver_arrived(receiver, i, 10 + i);
        }
        for (uint32_t i = 0; i < BUFFERS; i++) {
            take(receiver, &message);
            assert_int_equal(message.length, 10 + i);
        }
        assert_false(verbs_receiver_pending(receiver));
    }
}

/* A message arrives in a buffer, is taken and given back. */
static int pass(struct verbs_receiver *through, uint32_t buffer, struct multifd_error *err)
{
    struct transport_message message;

    verbs_receiver_arrived(through, buffer, 50);
    take(through, &message);
    return verbs_receiver_release(through, err);
}

static void buffers_are_given_back_in_batches_of_half_the_window(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;
    const struct mock_post *post = &mock_verbs.receives[1];

    (void)state;
    assert_int_equal(pass(receiver, 5, &err), 0);
    assert_int_equal(pass(receiver, 2, &err), 0);
    assert_int_equal(mock_verbs.receives_num, 1);
    assert_int_equal(verbs_receiver_released(receiver), 0);
    assert_int_equal(pass(receiver, 7, &err), 1);
    assert_int_equal(verbs_receiver_released(receiver), 3);
    assert_int_equal(post->num, 3);
    assert_int_equal(work_request_index(post->receives[0].wr_id), 5);
    assert_int_equal(work_request_index(post->receives[1].wr_id), 2);
    assert_int_equal(work_request_index(post->receives[2].wr_id), 7);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(pass(receiver, i, &err), i == 2);
    }
    assert_int_equal(verbs_receiver_released(receiver), 6);
    assert_int_equal(mock_verbs.receives[2].num, 3);
    assert_untouched(&err);
}

static void the_message_taken_last_is_given_back(void **state)
{
    struct multifd_error err;
    struct transport_message message;

    (void)state;
    verbs_receiver_arrived(receiver, 1, 50);
    verbs_receiver_arrived(receiver, 2, 50);
    verbs_receiver_arrived(receiver, 3, 50);
    for (uint32_t i = 0; i < 3; i++) {
        take(receiver, &message);
        assert_int_equal(verbs_receiver_release(receiver, &err), i == 2);
    }
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(work_request_index(mock_verbs.receives[1].receives[i].wr_id), i + 1);
    }
}

static void a_window_of_one_has_batches_of_one(void **state)
{
    struct verbs_receiver *narrow = new_receiver(1);
    struct multifd_error err;

    (void)state;
    assert_int_equal(pass(narrow, 0, &err), 1);
    assert_int_equal(pass(narrow, 1, &err), 1);
    assert_int_equal(verbs_receiver_released(narrow), 2);
    verbs_receiver_delete(&narrow);
}

static void a_message_that_cost_no_credit_is_posted_at_once(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    assert_int_equal(verbs_receiver_repost(receiver, 8, &err), 0);
    assert_int_equal(mock_verbs.receives[1].num, 1);
    assert_int_equal(work_request_index(mock_verbs.receives[1].receives[0].wr_id), 8);
    assert_int_equal(verbs_receiver_released(receiver), 0);
    assert_untouched(&err);
}

/* The chain of what is to be given back goes through the work requests themselves. */
static void a_repost_leaves_the_batch_alone(void **state)
{
    struct multifd_error err;

    (void)state;
    pass(receiver, 1, &err);
    pass(receiver, 2, &err);
    assert_int_equal(verbs_receiver_repost(receiver, 8, &err), 0);
    assert_int_equal(pass(receiver, 3, &err), 1);
    assert_int_equal(mock_verbs.receives[2].num, 3);
}

static void giving_back_fails(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    assert_int_equal(pass(receiver, 1, &err), 0);
    assert_int_equal(pass(receiver, 2, &err), 0);
    mock_fail("ibv_post_recv", EINVAL);
    assert_int_equal(pass(receiver, 3, &err), -1);
    assert_error(&err, MULTIFD_ERROR_DEVICE, "ibv_post_recv");
    assert_int_equal(verbs_receiver_released(receiver), 0); /* no credit for what is not posted */
    assert_int_equal(verbs_receiver_repost(receiver, 4, &err), -1);
    assert_error(&err, MULTIFD_ERROR_DEVICE, "Invalid argument");
}

#define with_receiver(function) cmocka_unit_test_setup_teardown(function, make, release)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_receiver(all_receives_are_one_post),
        mocked_test(new_fails_without_memory),
        mocked_test(new_fails_without_a_registration),
        with_receiver(delete_releases_once_even_if_it_fails),
        with_receiver(start_fails),
        with_receiver(messages_are_taken_in_order),
        with_receiver(every_buffer_may_wait_at_once),
        with_receiver(buffers_are_given_back_in_batches_of_half_the_window),
        with_receiver(the_message_taken_last_is_given_back),
        mocked_test(a_window_of_one_has_batches_of_one),
        with_receiver(a_message_that_cost_no_credit_is_posted_at_once),
        with_receiver(a_repost_leaves_the_batch_alone),
        with_receiver(giving_back_fails),
    };

    return cmocka_run_group_tests_name("transport/verbs/receiver", tests, NULL, NULL);
}
