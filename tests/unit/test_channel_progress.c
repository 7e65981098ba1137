/* SPDX-License-Identifier: MIT */
/* The data path of a channel: what it makes of completions and of the connection's end. */
#include "core/base/bytes.h"
#include "mock_verbs.h"
#include "transport/verbs/channel.h"
#include "transport/verbs/private_data.h"
#include "transport/verbs/work_request.h"

#include <errno.h>

#define WINDOW 4u

static const struct transport_profile profile = {.send_slots = WINDOW,
                                                 .send_size = 600,
                                                 .receive_slots = WINDOW,
                                                 .receive_size = 600,
                                                 .writes = 8};
static const struct transport_settings settings = {.timeout_ms = 10000};
static struct ibv_mr keepalive;
static struct verbs_domain domain;
static struct verbs_channel *channel;
static struct transport_channel *base;

static int make(void **state)
{
    const struct transport_greeting greeting = {.bytes = "hello", .length = 5};
    const struct verbs_sender_peer peer = {.receive_slots = WINDOW};
    struct verbs_cm_event event = {.private_data_len = VERBS_PRIVATE_DATA_BYTES};
    struct multifd_error err;
    struct verbs_cm cm;

    mock_setup(state);
    domain = (struct verbs_domain){.context = mock_context(),
                                   .pd = mock_pd(),
                                   .keepalive = &keepalive,
                                   .max_qp_wr = 1024,
                                   .max_cqe = 4096};
    if (verbs_cm_init(&cm, "192.0.2.1:4444", &err) != 0) {
        return -1;
    }
    channel = verbs_channel_new(&cm, &domain, &profile, &settings, &err);
    if (channel == NULL) {
        return -1;
    }
    base = verbs_channel_base(channel);
    verbs_private_data_encode(&greeting, &peer, event.private_data);
    mock_log_clear();
    return verbs_channel_meet(channel, &event, &err);
}

static int release(void **state)
{
    verbs_channel_delete(&channel);
    return mock_teardown(state);
}

static void progress(void)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    if (base->ops->progress(base, &err) != 0) {
        fail_msg("%s", err.message);
    }
    assert_untouched(&err);
}

static void assert_broken(enum multifd_error_code code, const char *part)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    assert_int_equal(base->ops->progress(base, &err), -1);
    assert_error(&err, code, part);
}

/* A message of ours; the completion of its post. */
static uint64_t send_message(uint32_t length)
{
    struct multifd_error err;
    const struct mock_post *post;

    assert_non_null(base->ops->send_buffer(base, 0));
    assert_int_equal(base->ops->send(base, NULL, 0, length, false, &err), 0);
    post = &mock_verbs.sends[mock_verbs.sends_num - 1];
    return post->sends[post->num - 1].wr_id;
}

/* A message of the peer in a receive buffer. */
static void arrive(uint32_t buffer, uint32_t length)
{
    memset((void *)mock_verbs.receives[0].sges[buffer].addr, (int)(0x30 + buffer), length);
    mock_complete(work_request_id(WORK_RECEIVE, buffer), IBV_WC_SUCCESS, length);
}

static void arrive_credits(uint32_t buffer, uint32_t magic, uint32_t released)
{
    uint8_t *bytes = (void *)mock_verbs.receives[0].sges[buffer].addr;

    put_be32(bytes, magic);
    put_be32(bytes + 4, released);
    mock_complete(work_request_id(WORK_RECEIVE, buffer), IBV_WC_SUCCESS, VERBS_CREDIT_BYTES);
}

static void connection_event(enum rdma_cm_event_type type)
{
    const struct pollfd fds[2] = {{.revents = 0}, {.revents = POLLIN}};
    struct multifd_error err;

    mock_event(type, 0, NULL, 0, NULL);
    assert_int_equal(base->ops->wake(base, fds, &err), 0);
}

static void take_and_release(void)
{
    struct transport_message message;
    struct multifd_error err = ERROR_UNTOUCHED;

    assert_true(base->ops->receive(base, &message));
    assert_int_equal(base->ops->release(base, &err), 0);
    assert_untouched(&err);
}

/* Whether arm asks for every completion, not just for messages that the peer wants to be heard. */
static bool wakes_for_all(bool completions)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    assert_int_equal(base->ops->wake(base, NULL, &err), 0); /* what was asked counts no more */
    assert_int_equal(base->ops->arm(base, completions, &err), 0);
    assert_untouched(&err);
    return mock_verbs.solicited_only == 0;
}

static void messages_arrive(void **state)
{
    struct transport_message message;

    (void)state;
    progress();
    assert_false(base->ops->receive(base, &message));
    arrive(2, 320);
    arrive(0, 600);
    progress();
    assert_true(base->ops->receive(base, &message));
    assert_int_equal(message.length, 320);
    assert_int_equal(message.bytes[319], 0x32);
    assert_true(base->ops->receive(base, &message));
    assert_int_equal(message.length, 600);
    assert_false(base->ops->receive(base, &message));
}

static void messages_complete_and_credits_come_back(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 5 * WINDOW; i++) {
        mock_complete(send_message(100), IBV_WC_SUCCESS, 0);
        assert_false(base->ops->drained(base));
        progress();
        assert_true(base->ops->drained(base));
        arrive_credits(7, 0x63726474, i + 1);
        progress();
    }
}

static void more_completions_than_one_poll_takes(void **state)
{
    struct transport_message message;
    uint64_t sends[WINDOW];
    unsigned got = 0;

    (void)state;
    for (unsigned i = 0; i < WINDOW; i++) {
        sends[i] = send_message(100);
    }
    for (uint32_t i = 0; i < 8; i++) {
        arrive(i, 320);
    }
    for (uint32_t i = 0; i < WINDOW; i++) {
        mock_complete(sends[i], IBV_WC_SUCCESS, 0);
    }
    for (uint32_t i = 0; i < 8; i++) { /* writes that report themselves change nothing */
        mock_complete(work_request_id(WORK_WRITE, 0), IBV_WC_SUCCESS, 0);
    }
    progress();
    assert_int_equal(mock_verbs.completions_taken, 8 + WINDOW + 8);
    assert_true(base->ops->drained(base));
    while (base->ops->receive(base, &message)) {
        got++;
    }
    assert_int_equal(got, 8);
}

static void sending_stops_without_credits(void **state)
{
    (void)state;
    for (unsigned i = 0; i < WINDOW; i++) {
        mock_complete(send_message(100), IBV_WC_SUCCESS, 0);
        progress();
    }
    assert_null(base->ops->send_buffer(base, 0));
    assert_true(base->ops->lacks_credit(base));
    arrive_credits(3, 0x63726474, 2);
    progress();
    assert_non_null(base->ops->send_buffer(base, 0));
}

static void a_credit_message_is_no_message(void **state)
{
    struct transport_message message;

    (void)state;
    send_message(100);
    arrive_credits(3, 0x63726474, 1);
    progress();
    assert_false(base->ops->receive(base, &message));
    assert_int_equal(mock_verbs.receives_num, 2); /* its buffer is posted again */
    assert_int_equal(mock_verbs.receives[1].num, 1);
    assert_int_equal(mock_verbs.receives[1].receives[0].wr_id, work_request_id(WORK_RECEIVE, 3));
}

static void false_credits_break_the_channel(void **state)
{
    (void)state;
    arrive_credits(3, 0x63726474, 1); /* nothing was sent */
    assert_broken(MULTIFD_ERROR_PROTOCOL, "credits");
}

static void eight_other_bytes_break_the_channel(void **state)
{
    (void)state;
    arrive_credits(3, 0x12345678, 0);
    assert_broken(MULTIFD_ERROR_PROTOCOL, "magic");
}

static void a_credit_message_cannot_be_posted_again(void **state)
{
    (void)state;
    send_message(100);
    arrive_credits(3, 0x63726474, 1);
    mock_fail("ibv_post_recv", ENOMEM);
    assert_broken(MULTIFD_ERROR_DEVICE, "ibv_post_recv");
}

static void half_a_window_returns_credits(void **state)
{
    const struct mock_post *post = &mock_verbs.sends[0];

    (void)state;
    arrive(0, 320);
    arrive(1, 320);
    progress();
    take_and_release();
    assert_int_equal(mock_verbs.sends_num, 0);
    take_and_release();
    assert_int_equal(mock_verbs.sends_num, 1);
    assert_int_equal(post->sges[0].length, VERBS_CREDIT_BYTES);
    assert_int_equal(get_be32((uint8_t *)post->sges[0].addr + 4), 2);
    assert_int_equal(mock_verbs.receives[1].num, 2); /* posted before */
    assert_true(strstr(mock_log(), "ibv_post_recv ibv_post_send ") != NULL);
}

/* While no credit message can be posted the credits stay due, and go out in one. */
static void credits_that_found_no_room_are_returned_later(void **state)
{
    uint32_t passed = 0;
    unsigned before;

    (void)state;
    for (unsigned i = 0; i < 2 * VERBS_SENDER_RESERVE; i++) {
        arrive(passed++ % WINDOW, 320);
        arrive(passed++ % WINDOW, 320);
        progress();
        take_and_release();
        take_and_release();
    }
    before = mock_verbs.sends_num;
    assert_true(before < 2 * VERBS_SENDER_RESERVE);
    assert_true(wakes_for_all(false)); /* for the room that a completion gives */
    progress();
    assert_int_equal(mock_verbs.sends_num, before);
    mock_complete(mock_verbs.sends[0].sends[0].wr_id, IBV_WC_SUCCESS, 0);
    progress();
    assert_int_equal(mock_verbs.sends_num, before + 1);
    assert_int_equal(get_be32((uint8_t *)mock_verbs.sends[before].sges[0].addr + 4), passed);
    mock_complete(mock_verbs.sends[1].sends[0].wr_id, IBV_WC_SUCCESS, 0);
    progress();
    assert_int_equal(mock_verbs.sends_num, before + 1); /* nothing is due any more */
}

static void returning_credits_fails(void **state)
{
    struct transport_message message;
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    arrive(0, 320);
    arrive(1, 320);
    progress();
    take_and_release();
    assert_true(base->ops->receive(base, &message));
    mock_fail("ibv_post_send", EINVAL);
    assert_int_equal(base->ops->release(base, &err), -1);
    assert_error(&err, MULTIFD_ERROR_DEVICE, "ibv_post_send(credits)");
}

static void keepalive_when_idle(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    assert_int_equal(base->ops->keepalive(base, &err), 0);
    assert_int_equal(mock_verbs.sends_num, 1);
    assert_false(base->ops->drained(base));
    mock_complete(mock_verbs.sends[0].sends[0].wr_id, IBV_WC_SUCCESS, 0);
    progress();
    assert_true(base->ops->drained(base));
    assert_untouched(&err);
}

static void an_idle_channel_wakes_for_messages(void **state)
{
    (void)state;
    assert_false(wakes_for_all(false));
    assert_true(wakes_for_all(true));
}

static void a_channel_without_room_wakes_for_completions(void **state)
{
    uint64_t sends[WINDOW];

    (void)state;
    for (unsigned i = 0; i < WINDOW; i++) {
        sends[i] = send_message(100);
    }
    assert_null(base->ops->send_buffer(base, 0));
    assert_false(base->ops->lacks_credit(base));
    assert_true(wakes_for_all(false));
    for (unsigned i = 0; i < WINDOW; i++) {
        mock_complete(sends[i], IBV_WC_SUCCESS, 0);
    }
    progress();
    assert_null(
        base->ops->send_buffer(base, 0)); /* now only for want of credits: those are heard */
    assert_false(wakes_for_all(false));
}

static void polling_fails(void **state)
{
    (void)state;
    mock_fail("ibv_poll_cq", EIO);
    assert_broken(MULTIFD_ERROR_DEVICE, "ibv_poll_cq");
}

static void a_failed_completion_names_its_cause(void **state)
{
    (void)state;
    mock_complete(send_message(100), IBV_WC_RETRY_EXC_ERR, 0);
    assert_broken(MULTIFD_ERROR_COMPLETION, "SEND with 192.0.2.1:4444");
    assert_broken(MULTIFD_ERROR_COMPLETION, "transport retry counter exceeded");
}

static void each_kind_of_work_is_named(void **state)
{
    static const struct {
        enum work_request_kind kind;
        const char *name;
    } kinds[] = {
        {WORK_WRITE, "RDMA WRITE"},    {WORK_SEND, "SEND"},       {WORK_CREDIT, "credit"},
        {WORK_KEEPALIVE, "keepalive"}, {WORK_RECEIVE, "receive"},
    };

    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        mock_complete(work_request_id(kinds[i].kind, 0), IBV_WC_REM_ACCESS_ERR, 0);
        assert_broken(MULTIFD_ERROR_COMPLETION, kinds[i].name);
        assert_int_equal(release(state), 0);
        assert_int_equal(make(state), 0);
    }
}

static void the_first_failure_is_kept(void **state)
{
    (void)state;
    mock_complete(work_request_id(WORK_WRITE, 0), IBV_WC_REM_ACCESS_ERR, 0);
    mock_complete(send_message(100), IBV_WC_WR_FLUSH_ERR, 0);
    assert_broken(MULTIFD_ERROR_COMPLETION, "RDMA WRITE");
    mock_complete(work_request_id(WORK_RECEIVE, 0), IBV_WC_LOC_PROT_ERR, 0);
    connection_event(RDMA_CM_EVENT_DISCONNECTED);
    assert_broken(MULTIFD_ERROR_COMPLETION, "RDMA WRITE");
}

static void flushed_work_means_disconnected(void **state)
{
    (void)state;
    mock_complete(work_request_id(WORK_RECEIVE, 0), IBV_WC_WR_FLUSH_ERR, 0);
    assert_broken(MULTIFD_ERROR_DISCONNECTED, "192.0.2.1:4444");
}

static void the_end_of_the_connection_is_reported(void **state)
{
    (void)state;
    connection_event(RDMA_CM_EVENT_DISCONNECTED);
    assert_broken(MULTIFD_ERROR_DISCONNECTED, "192.0.2.1:4444 closed");
}

static void the_end_of_the_device_is_reported(void **state)
{
    (void)state;
    connection_event(RDMA_CM_EVENT_DEVICE_REMOVAL);
    assert_broken(MULTIFD_ERROR_DEVICE, "mock0");
}

static void other_events_change_nothing(void **state)
{
    (void)state;
    connection_event(RDMA_CM_EVENT_TIMEWAIT_EXIT);
    connection_event(RDMA_CM_EVENT_ADDR_CHANGE);
    progress();
}

/* The event may overtake the completion that says why (see progress in transport.h). */
static void a_cause_wins_over_the_end_of_the_connection(void **state)
{
    (void)state;
    connection_event(RDMA_CM_EVENT_DISCONNECTED);
    mock_complete(send_message(100), IBV_WC_REM_ACCESS_ERR, 0);
    assert_broken(MULTIFD_ERROR_COMPLETION, "SEND with 192.0.2.1:4444");
}

static void a_cause_wins_over_flushed_work(void **state)
{
    (void)state;
    mock_complete(work_request_id(WORK_RECEIVE, 0), IBV_WC_WR_FLUSH_ERR, 0);
    mock_complete(send_message(100), IBV_WC_RETRY_EXC_ERR, 0);
    assert_broken(MULTIFD_ERROR_COMPLETION, "retry counter");
}

static void what_arrived_before_the_end_can_be_read(void **state)
{
    (void)state;
    arrive(0, 320);
    arrive(1, 320);
    mock_complete(work_request_id(WORK_RECEIVE, 2), IBV_WC_WR_FLUSH_ERR, 0);
    progress();
    take_and_release();
    progress();
    take_and_release();
    assert_int_equal(mock_verbs.receives_num, 1); /* nothing is posted on what is broken */
    assert_int_equal(mock_verbs.sends_num, 0);
    assert_broken(MULTIFD_ERROR_DISCONNECTED, "192.0.2.1:4444");
}

#define with_channel(function) cmocka_unit_test_setup_teardown(function, make, release)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_channel(messages_arrive),
        with_channel(messages_complete_and_credits_come_back),
        with_channel(more_completions_than_one_poll_takes),
        with_channel(sending_stops_without_credits),
        with_channel(a_credit_message_is_no_message),
        with_channel(false_credits_break_the_channel),
        with_channel(eight_other_bytes_break_the_channel),
        with_channel(a_credit_message_cannot_be_posted_again),
        with_channel(half_a_window_returns_credits),
        with_channel(credits_that_found_no_room_are_returned_later),
        with_channel(returning_credits_fails),
        with_channel(keepalive_when_idle),
        with_channel(an_idle_channel_wakes_for_messages),
        with_channel(a_channel_without_room_wakes_for_completions),
        with_channel(polling_fails),
        with_channel(a_failed_completion_names_its_cause),
        with_channel(each_kind_of_work_is_named),
        with_channel(the_first_failure_is_kept),
        with_channel(flushed_work_means_disconnected),
        with_channel(the_end_of_the_connection_is_reported),
        with_channel(the_end_of_the_device_is_reported),
        with_channel(other_events_change_nothing),
        with_channel(a_cause_wins_over_the_end_of_the_connection),
        with_channel(a_cause_wins_over_flushed_work),
        with_channel(what_arrived_before_the_end_can_be_read),
    };

    return cmocka_run_group_tests_name("transport/verbs/channel, data path", tests, NULL, NULL);
}
