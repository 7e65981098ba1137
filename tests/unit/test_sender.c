/* SPDX-License-Identifier: MIT */
#include "mock_verbs.h"
#include "transport/verbs/sender.h"
#include "transport/verbs/work_request.h"

#include <errno.h>

#define SLOTS  3u
#define WRITES 4u
#define DEPTH  10u /* send-queue entries without the reserve */
#define WINDOW 5u  /* receives of the peer */
#define INLINE 64u

static const struct transport_profile profile = {
    .send_slots = SLOTS, .send_size = 100, .writes = WRITES};
static const struct verbs_sender_peer peer = {
    .receive_slots = WINDOW, .keepalive_key = 0xcafe, .keepalive_address = 0xbeef000};
static const struct transport_write writes[WRITES] = {
    {0x10000, 0x90000, 4096, 11, 21},
    {0x20000, 0xa0000, 8192, 12, 22},
    {0x30000, 0xb0000, 4096, 13, 23},
    {0x40000, 0xc0000, 12288, 14, 24},
};

static struct verbs_sender *sender;
static struct ibv_mr *mr; /* of the slots */

static int make(void **state)
{
    struct multifd_error err;

    mock_setup(state);
    sender = verbs_sender_new(mock_pd(), &profile, DEPTH + VERBS_SENDER_RESERVE, &err);
    if (sender == NULL) {
        return -1;
    }
    mr = &mock_verbs.last_mr->mr;
    verbs_sender_start(sender, mock_qp(), INLINE);
    verbs_sender_connected(sender, &peer);
    mock_log_clear();
    return 0;
}

static int release(void **state)
{
    verbs_sender_delete(&sender);
    return mock_teardown(state);
}

/* Sends a message with so many writes; returns the post. */
static const struct mock_post *send_with(uint32_t writes_num, uint32_t length, bool more)
{
    struct multifd_error err = ERROR_UNTOUCHED;
    uint8_t *buffer = verbs_sender_buffer(sender, writes_num);

    assert_non_null(buffer);
    memset(buffer, 0x42, length);
    assert_int_equal(verbs_sender_send(sender, writes, writes_num, length, more, &err), 0);
    assert_untouched(&err);
    return &mock_verbs.sends[mock_verbs.sends_num - 1];
}

static const struct mock_post *send_message(uint32_t writes_num, uint32_t length)
{
    return send_with(writes_num, length, false);
}

/* The oldest message of those sent completes. */
static void complete(const struct mock_post *post)
{
    verbs_sender_complete(sender, post->sends[post->num - 1].wr_id);
}

static int take_credits(uint32_t released, struct multifd_error *err)
{
    const uint8_t message[] = {0x63,
                               0x72,
                               0x64,
                               0x74,
                               (uint8_t)(released >> 24),
                               (uint8_t)(released >> 16),
                               (uint8_t)(released >> 8),
                               (uint8_t)released};

    return verbs_sender_take_credits(sender, message, err);
}

static void slots_are_registered_for_reading(void **state)
{
    (void)state;
    assert_int_equal(mock_verbs.last_mr->access & ~(unsigned)IBV_ACCESS_LOCAL_WRITE, 0);
    assert_true(mr->length >= SLOTS * profile.send_size);
    assert_in_range((uintptr_t)verbs_sender_buffer(sender, 0), (uintptr_t)mr->addr,
                    (uintptr_t)mr->addr + mr->length - profile.send_size);
}

static void new_fails_without_memory(void **state)
{
    (void)state;
    for (unsigned nth = 1; nth <= 5; nth++) {
        struct multifd_error err = ERROR_UNTOUCHED;

        mock_fail_nth("malloc", nth, ENOMEM);
        assert_null(verbs_sender_new(mock_pd(), &profile, 20, &err));
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
    assert_null(verbs_sender_new(mock_pd(), &profile, 20, &err));
    assert_error(&err, MULTIFD_ERROR_DEVICE, "ibv_reg_mr(send slots");
    assert_calls("ibv_reg_mr ");
}

static void delete_releases_once_even_if_it_fails(void **state)
{
    (void)state;
    mock_fail("ibv_dereg_mr", EBUSY);
    verbs_sender_delete(&sender);
    assert_null(sender);
    assert_calls("ibv_dereg_mr ");
    verbs_sender_delete(&sender);
    assert_calls("ibv_dereg_mr ");
}

static void writes_and_message_are_one_post(void **state)
{
    const struct mock_post *post = send_message(3, 100);

    (void)state;
    assert_int_equal(mock_calls("ibv_post_send"), 1);
    assert_int_equal(post->num, 4);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(post->sends[i].opcode, IBV_WR_RDMA_WRITE);
        assert_int_equal(work_request_kind(post->sends[i].wr_id), WORK_WRITE);
        assert_int_equal(post->sends[i].send_flags, 0);
        assert_int_equal(post->sges[i].addr, writes[i].local_address);
        assert_int_equal(post->sges[i].length, writes[i].length);
        assert_int_equal(post->sges[i].lkey, writes[i].local_key);
        assert_int_equal(post->sends[i].wr.rdma.remote_addr, writes[i].remote_address);
        assert_int_equal(post->sends[i].wr.rdma.rkey, writes[i].remote_key);
    }
    assert_int_equal(post->sends[3].opcode, IBV_WR_SEND);
    assert_int_equal(work_request_kind(post->sends[3].wr_id), WORK_SEND);
    assert_int_equal(post->sends[3].send_flags, IBV_SEND_SIGNALED | IBV_SEND_SOLICITED);
    assert_int_equal(post->sges[3].length, 100);
    assert_int_equal(post->sges[3].lkey, mr->lkey);
    assert_int_equal(*(uint8_t *)post->sges[3].addr, 0x42);
}

static void a_chain_may_be_shorter_or_longer_than_the_one_before(void **state)
{
    (void)state;
    assert_int_equal(send_message(4, 100)->num, 5);
    assert_int_equal(send_message(0, 100)->num, 1);
    assert_int_equal(send_message(2, 100)->num, 3);
    assert_int_equal(mock_verbs.sends[2].sges[1].addr, writes[1].local_address);
}

static void short_messages_go_inline(void **state)
{
    (void)state;
    assert_true((send_message(0, INLINE)->sends[0].send_flags & IBV_SEND_INLINE) != 0);
    assert_true((send_message(0, INLINE + 1)->sends[0].send_flags & IBV_SEND_INLINE) == 0);
    assert_true((send_message(0, 9)->sends[0].send_flags & IBV_SEND_INLINE) != 0);
}

static void the_buffer_stays_until_it_is_sent(void **state)
{
    uint8_t *buffer = verbs_sender_buffer(sender, 1);

    (void)state;
    assert_ptr_equal(verbs_sender_buffer(sender, 1), buffer);
    assert_ptr_equal((void *)send_message(1, 70)->sges[1].addr, buffer);
    assert_ptr_not_equal(verbs_sender_buffer(sender, 1), buffer);
}

static void messages_in_flight_have_slots_of_their_own(void **state)
{
    const struct mock_post *posts[SLOTS];

    (void)state;
    for (unsigned i = 0; i < SLOTS; i++) {
        posts[i] = send_message(0, 100);
        for (unsigned j = 0; j < i; j++) {
            uint64_t a = posts[i]->sges[0].addr;
            uint64_t b = posts[j]->sges[0].addr;

            assert_true(a >= b + 100 || b >= a + 100);
        }
    }
    assert_null(verbs_sender_buffer(sender, 0));
    complete(posts[0]);
    assert_ptr_equal(verbs_sender_buffer(sender, 0), (void *)posts[0]->sges[0].addr);
}

static void entries_come_back_with_their_message(void **state)
{
    const struct mock_post *five = send_message(4, 100);
    const struct mock_post *three = send_message(2, 100);

    (void)state;
    assert_non_null(verbs_sender_buffer(sender, 1)); /* 2 of 10 entries are left */
    assert_null(verbs_sender_buffer(sender, 2));
    complete(five);
    assert_non_null(verbs_sender_buffer(sender, 4));
    complete(three);
    send_message(4, 100);
    send_message(3, 100);
    assert_non_null(verbs_sender_buffer(sender, 0)); /* 1 of 10 */
    assert_null(verbs_sender_buffer(sender, 1));
}

static void nothing_is_sent_before_the_peer_is_known(void **state)
{
    struct multifd_error err;
    struct verbs_sender *unmet = verbs_sender_new(mock_pd(), &profile, 20, &err);

    (void)state;
    verbs_sender_start(unmet, mock_qp(), INLINE);
    assert_null(verbs_sender_buffer(unmet, 0));
    verbs_sender_connected(unmet, &peer);
    assert_non_null(verbs_sender_buffer(unmet, 0));
    verbs_sender_delete(&unmet);
}

/* Sends and completes so many messages. */
static void pass(unsigned messages)
{
    for (unsigned i = 0; i < messages; i++) {
        complete(send_message(0, 100));
        mock_verbs.sends_num = 0;
        memset(mock_verbs.sends, 0, sizeof(mock_verbs.sends[0]));
        mock_log_clear();
    }
}

static void credits_bound_what_is_sent(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    pass(WINDOW);
    assert_null(verbs_sender_buffer(sender, 0));
    assert_int_equal(take_credits(2, &err), 0);
    pass(2);
    assert_null(verbs_sender_buffer(sender, 0));
    assert_int_equal(take_credits(7, &err), 0);
    pass(WINDOW);
    assert_null(verbs_sender_buffer(sender, 0));
    assert_untouched(&err);
}

static void credits_that_cannot_be_true_are_refused(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    pass(4);
    assert_int_equal(take_credits(5, &err), -1);
    assert_error(&err, MULTIFD_ERROR_PROTOCOL, "credits");
    assert_int_equal(take_credits(UINT32_MAX, &err), -1);
    assert_int_equal(take_credits(3, &err), 0);
    assert_int_equal(take_credits(2, &err), -1); /* back */
    assert_error(&err, MULTIFD_ERROR_PROTOCOL, "credits");
    pass(4); /* 5 + 3 granted, 4 sent: nothing of the refused ones counts */
    assert_null(verbs_sender_buffer(sender, 0));
}

static void a_credit_message_has_its_magic(void **state)
{
    const uint8_t message[8] = {'c', 'r', 'd', 's', 0, 0, 0, 1};
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    pass(1);
    assert_int_equal(verbs_sender_take_credits(sender, message, &err), -1);
    assert_error(&err, MULTIFD_ERROR_PROTOCOL, "magic");
}

static void credits_are_returned_in_a_message(void **state)
{
    const uint8_t expected[8] = {0x63, 0x72, 0x64, 0x74, 0x01, 0x02, 0x03, 0x04};
    struct multifd_error err = ERROR_UNTOUCHED;
    const struct mock_post *post = &mock_verbs.sends[0];

    (void)state;
    assert_int_equal(verbs_sender_return_credits(sender, 0x01020304, &err), 1);
    assert_untouched(&err);
    assert_int_equal(post->num, 1);
    assert_int_equal(post->sends[0].opcode, IBV_WR_SEND);
    assert_int_equal(work_request_kind(post->sends[0].wr_id), WORK_CREDIT);
    assert_int_equal(post->sends[0].send_flags,
                     IBV_SEND_SIGNALED | IBV_SEND_SOLICITED | IBV_SEND_INLINE);
    assert_int_equal(post->sges[0].length, VERBS_CREDIT_BYTES);
    assert_int_equal(post->sges[0].lkey, mr->lkey);
    assert_memory_equal((void *)post->sges[0].addr, expected, 8);
    assert_in_range(post->sges[0].addr, (uintptr_t)mr->addr + SLOTS * profile.send_size,
                    (uintptr_t)mr->addr + mr->length - VERBS_CREDIT_BYTES);
}

static void without_inline_data_credits_are_read_by_the_device(void **state)
{
    struct multifd_error err;

    (void)state;
    verbs_sender_start(sender, mock_qp(), 0);
    assert_int_equal(verbs_sender_return_credits(sender, 1, &err), 1);
    assert_int_equal(mock_verbs.sends[0].sends[0].send_flags,
                     IBV_SEND_SIGNALED | IBV_SEND_SOLICITED);
}

static void credits_in_flight_stay_within_the_reserve(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;
    unsigned posted = 0;

    (void)state;
    while (verbs_sender_return_credits(sender, posted, &err) == 1) {
        posted++;
        for (unsigned j = 0; j + 1 < posted; j++) { /* none overwrites one that is in flight */
            assert_int_not_equal(mock_verbs.sends[j].sges[0].addr,
                                 mock_verbs.sends[posted - 1].sges[0].addr);
        }
        assert_true(posted < VERBS_SENDER_RESERVE); /* the keepalive has its entry too */
    }
    assert_true(posted > 0);
    assert_int_equal(mock_calls("ibv_post_send"), posted);
    complete(&mock_verbs.sends[0]);
    assert_int_equal(verbs_sender_return_credits(sender, 9, &err), 1);
    assert_int_equal(verbs_sender_return_credits(sender, 9, &err), 0);
    assert_untouched(&err);
    assert_non_null(verbs_sender_buffer(sender, 4)); /* messages have entries of their own */
}

static bool solicited(const struct mock_post *post)
{
    return (post->sends[post->num - 1].send_flags & IBV_SEND_SOLICITED) != 0;
}

/* The peer gives credits back for every half of its window, so it must have been woken by then. */
static void a_peer_is_woken_when_nothing_follows_or_half_a_window_is_used(void **state)
{
    struct multifd_error err;

    (void)state;
    for (uint32_t i = 1; i <= 4 * WINDOW; i++) {
        const struct mock_post *post = send_with(2, 100, true);

        assert_int_equal(solicited(post), i % (WINDOW / 2) == 0);
        complete(post);
        assert_int_equal(take_credits(i, &err), 0);
        post = send_with(0, 100, false);
        assert_true(solicited(post));
        complete(post);
        assert_int_equal(take_credits(++i, &err), 0);
    }
}

static void a_window_of_one_wakes_the_peer_each_time(void **state)
{
    const struct verbs_sender_peer narrow = {.receive_slots = 1};

    (void)state;
    verbs_sender_connected(sender, &narrow);
    assert_true(solicited(send_with(0, 100, true)));
}

static void what_a_completion_gives_back_is_told_from_credits(void **state)
{
    (void)state;
    assert_non_null(verbs_sender_buffer(sender, 4));
    assert_false(verbs_sender_needs_completion(sender));
    assert_null(verbs_sender_buffer(sender, DEPTH)); /* entries */
    assert_true(verbs_sender_needs_completion(sender));
    assert_non_null(verbs_sender_buffer(sender, 4));
    assert_false(verbs_sender_needs_completion(sender));
    for (unsigned i = 0; i < SLOTS; i++) {
        send_message(0, 100);
    }
    assert_null(verbs_sender_buffer(sender, 0)); /* slots */
    assert_true(verbs_sender_needs_completion(sender));
    for (unsigned i = 0; i < SLOTS; i++) {
        complete(&mock_verbs.sends[i]);
    }
    pass(WINDOW - SLOTS);
    assert_null(verbs_sender_buffer(sender, 0)); /* credits */
    assert_false(verbs_sender_needs_completion(sender));
}

static void drained_when_all_has_completed(void **state)
{
    struct multifd_error err;
    const struct mock_post *message;
    const struct mock_post *credits;

    (void)state;
    assert_true(verbs_sender_drained(sender));
    message = send_message(1, 100);
    assert_false(verbs_sender_drained(sender));
    verbs_sender_return_credits(sender, 1, &err);
    credits = &mock_verbs.sends[1];
    complete(message);
    assert_false(verbs_sender_drained(sender));
    complete(credits);
    assert_true(verbs_sender_drained(sender));
}

static void keepalive_writes_nothing_and_wants_an_answer(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;
    const struct mock_post *post = &mock_verbs.sends[0];

    (void)state;
    assert_int_equal(verbs_sender_keepalive(sender, &err), 0);
    assert_int_equal(post->num, 1);
    assert_int_equal(post->sends[0].opcode, IBV_WR_RDMA_WRITE);
    assert_int_equal(work_request_kind(post->sends[0].wr_id), WORK_KEEPALIVE);
    assert_int_equal(post->sends[0].num_sge, 0);
    assert_int_equal(post->sends[0].send_flags, IBV_SEND_SIGNALED);
    assert_int_equal(post->sends[0].wr.rdma.remote_addr, 0xbeef000);
    assert_int_equal(post->sends[0].wr.rdma.rkey, 0xcafe);
    assert_false(verbs_sender_drained(sender));
    assert_int_equal(verbs_sender_keepalive(sender, &err), 0);
    assert_int_equal(mock_calls("ibv_post_send"), 1); /* one at a time */
    complete(post);
    assert_true(verbs_sender_drained(sender));
    assert_int_equal(verbs_sender_keepalive(sender, &err), 0);
    assert_int_equal(mock_calls("ibv_post_send"), 2);
    assert_untouched(&err);
}

static void keepalive_is_not_needed_while_something_is_under_way(void **state)
{
    struct multifd_error err;

    (void)state;
    send_message(0, 100);
    assert_int_equal(verbs_sender_keepalive(sender, &err), 0);
    assert_int_equal(mock_calls("ibv_post_send"), 1);
}

static void each_post_can_fail_and_changes_nothing(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;
    uint8_t *buffer = verbs_sender_buffer(sender, 4);

    (void)state;
    mock_fail("ibv_post_send", ENOMEM);
    assert_int_equal(verbs_sender_send(sender, writes, 4, 100, false, &err), -1);
    assert_error(&err, MULTIFD_ERROR_DEVICE,
                 "ibv_post_send(4 RDMA WRITEs and a SEND of 100 bytes)");
    assert_int_equal(verbs_sender_return_credits(sender, 1, &err), -1);
    assert_error(&err, MULTIFD_ERROR_DEVICE, "ibv_post_send(credits): Cannot allocate memory");
    assert_int_equal(verbs_sender_keepalive(sender, &err), -1);
    assert_error(&err, MULTIFD_ERROR_DEVICE, "ibv_post_send(keepalive): Cannot allocate memory");
    assert_true(verbs_sender_drained(sender));
    assert_ptr_equal(verbs_sender_buffer(sender, 4), buffer);
}

#define with_sender(function) cmocka_unit_test_setup_teardown(function, make, release)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_sender(slots_are_registered_for_reading),
        mocked_test(new_fails_without_memory),
        mocked_test(new_fails_without_a_registration),
        with_sender(delete_releases_once_even_if_it_fails),
        with_sender(writes_and_message_are_one_post),
        with_sender(a_chain_may_be_shorter_or_longer_than_the_one_before),
        with_sender(short_messages_go_inline),
        with_sender(the_buffer_stays_until_it_is_sent),
        with_sender(messages_in_flight_have_slots_of_their_own),
        with_sender(entries_come_back_with_their_message),
        mocked_test(nothing_is_sent_before_the_peer_is_known),
        with_sender(credits_bound_what_is_sent),
        with_sender(credits_that_cannot_be_true_are_refused),
        with_sender(a_credit_message_has_its_magic),
        with_sender(credits_are_returned_in_a_message),
        with_sender(without_inline_data_credits_are_read_by_the_device),
        with_sender(credits_in_flight_stay_within_the_reserve),
        with_sender(a_peer_is_woken_when_nothing_follows_or_half_a_window_is_used),
        with_sender(a_window_of_one_wakes_the_peer_each_time),
        with_sender(what_a_completion_gives_back_is_told_from_credits),
        with_sender(drained_when_all_has_completed),
        with_sender(keepalive_writes_nothing_and_wants_an_answer),
        with_sender(keepalive_is_not_needed_while_something_is_under_way),
        with_sender(each_post_can_fail_and_changes_nothing),
    };

    return cmocka_run_group_tests_name("transport/verbs/sender", tests, NULL, NULL);
}
