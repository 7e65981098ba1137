/* SPDX-License-Identifier: MIT */
#include "mock_verbs.h"
#include "transport/verbs/completion.h"

#include <errno.h>
#include <fcntl.h>

#define RELEASED "ibv_destroy_cq ibv_destroy_comp_channel "

static struct verbs_completion completion;

static int make(void **state)
{
    struct multifd_error err;
    int status;

    mock_setup(state);
    status = verbs_completion_init(&completion, mock_context(), 100, &err);
    mock_log_clear();
    return status;
}

static int release(void **state)
{
    verbs_completion_fini(&completion);
    return mock_teardown(state);
}

static void assert_not_made(enum multifd_error_code code, const char *part)
{
    const struct verbs_completion zeroed = {NULL, NULL};
    struct multifd_error err = ERROR_UNTOUCHED;

    completion = zeroed;
    assert_int_equal(verbs_completion_init(&completion, mock_context(), 100, &err), -1);
    assert_error(&err, code, part);
    assert_int_equal(mock_live(), 0);
    assert_memory_equal(&completion, &zeroed, sizeof(zeroed));
}

static void init_makes_a_queue_with_events(void **state)
{
    (void)state;
    assert_int_equal(mock_verbs.cqe, 100);
    assert_ptr_equal(completion.cq->channel, completion.channel);
    assert_int_equal(verbs_completion_fd(&completion), completion.channel->fd);
    assert_true((fcntl(completion.channel->fd, F_GETFL) & O_NONBLOCK) != 0);
}

static void create_comp_channel_fails(void **state)
{
    (void)state;
    mock_fail("ibv_create_comp_channel", EMFILE);
    assert_not_made(MULTIFD_ERROR_DEVICE, "ibv_create_comp_channel(mock0): Too many open files");
    assert_calls("ibv_create_comp_channel ");
}

static void nonblocking_mode_fails(void **state)
{
    (void)state;
    mock_verbs.bad_fd = true;
    assert_not_made(MULTIFD_ERROR_SYSTEM, "Bad file descriptor");
    assert_calls("ibv_create_comp_channel ibv_destroy_comp_channel ");
}

static void create_cq_fails(void **state)
{
    (void)state;
    mock_fail("ibv_create_cq", EINVAL);
    assert_not_made(MULTIFD_ERROR_DEVICE, "ibv_create_cq(mock0, 100 entries): Invalid argument");
    assert_calls("ibv_create_comp_channel ibv_create_cq ibv_destroy_comp_channel ");
}

static void create_cq_fails_and_then_destroy(void **state)
{
    (void)state;
    mock_fail("ibv_create_cq", EINVAL);
    mock_fail("ibv_destroy_comp_channel", EBUSY);
    assert_not_made(MULTIFD_ERROR_DEVICE, "ibv_create_cq(mock0, 100 entries): Invalid argument");
}

static void fini_releases_in_reverse_and_once(void **state)
{
    (void)state;
    verbs_completion_fini(&completion);
    assert_calls(RELEASED);
    verbs_completion_fini(&completion);
    assert_calls(RELEASED);
}

static void fini_runs_every_step(void **state)
{
    (void)state;
    mock_fail("ibv_destroy_cq", EBUSY);
    mock_fail("ibv_destroy_comp_channel", EBUSY);
    verbs_completion_fini(&completion);
    assert_calls(RELEASED);
    assert_null(completion.cq);
    assert_null(completion.channel);
}

static void poll_takes_at_most_what_was_asked(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;
    struct ibv_wc wc[4];

    (void)state;
    assert_int_equal(verbs_completion_poll(&completion, wc, 2, &err), 0);
    for (uint64_t i = 1; i <= 3; i++) {
        mock_complete(i, IBV_WC_SUCCESS, 0);
    }
    assert_int_equal(verbs_completion_poll(&completion, wc, 2, &err), 2);
    assert_int_equal(wc[0].wr_id, 1);
    assert_int_equal(wc[1].wr_id, 2);
    assert_int_equal(verbs_completion_poll(&completion, wc, 2, &err), 1);
    assert_int_equal(wc[0].wr_id, 3);
    assert_untouched(&err);
}

static void poll_fails(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;
    struct ibv_wc wc;

    (void)state;
    mock_fail("ibv_poll_cq", EINVAL);
    assert_int_equal(verbs_completion_poll(&completion, &wc, 1, &err), -1);
    assert_error(&err, MULTIFD_ERROR_DEVICE, "ibv_poll_cq");
}

static void arm(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    assert_int_equal(verbs_completion_arm(&completion, false, &err), 0);
    assert_calls("ibv_req_notify_cq ");
    assert_int_equal(mock_verbs.solicited_only, 0);
    assert_int_equal(verbs_completion_arm(&completion, true, &err), 0);
    assert_int_equal(mock_verbs.solicited_only, 1);
    assert_untouched(&err);
    mock_fail("ibv_req_notify_cq", ENOMEM);
    assert_int_equal(verbs_completion_arm(&completion, false, &err), -1);
    assert_error(&err, MULTIFD_ERROR_DEVICE, "ibv_req_notify_cq: Cannot allocate memory");
}

static void one_event_is_taken_and_acknowledged(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    mock_verbs.cq_events = 3;
    assert_int_equal(verbs_completion_take_event(&completion, &err), 0);
    assert_int_equal(mock_verbs.cq_events, 2); /* these keep the descriptor readable */
    assert_int_equal(mock_verbs.cq_events_acked, 1);
    assert_untouched(&err);
}

static void no_event_is_no_error(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    assert_int_equal(verbs_completion_take_event(&completion, &err), 0);
    assert_int_equal(mock_verbs.cq_events_acked, 0);
    assert_untouched(&err);
}

static void an_interrupted_read_is_no_error(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    mock_fail("ibv_get_cq_event", EINTR);
    assert_int_equal(verbs_completion_take_event(&completion, &err), 0);
    assert_untouched(&err);
}

static void get_event_fails(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    mock_fail("ibv_get_cq_event", EIO);
    assert_int_equal(verbs_completion_take_event(&completion, &err), -1);
    assert_error(&err, MULTIFD_ERROR_DEVICE, "ibv_get_cq_event: Input/output error");
    assert_int_equal(mock_verbs.cq_events_acked, 0);
}

static void an_acknowledgement_may_change_errno(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    mock_verbs.cq_events = 1;
    mock_fail("ibv_ack_cq_events", EINVAL); /* it returns nothing: all this does is to set errno */
    assert_int_equal(verbs_completion_take_event(&completion, &err), 0);
    assert_untouched(&err);
}

#define with_completion(function) cmocka_unit_test_setup_teardown(function, make, release)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_completion(init_makes_a_queue_with_events),
        mocked_test(create_comp_channel_fails),
        mocked_test(nonblocking_mode_fails),
        mocked_test(create_cq_fails),
        mocked_test(create_cq_fails_and_then_destroy),
        with_completion(fini_releases_in_reverse_and_once),
        with_completion(fini_runs_every_step),
        with_completion(poll_takes_at_most_what_was_asked),
        with_completion(poll_fails),
        with_completion(arm),
        with_completion(one_event_is_taken_and_acknowledged),
        with_completion(no_event_is_no_error),
        with_completion(an_interrupted_read_is_no_error),
        with_completion(get_event_fails),
        with_completion(an_acknowledgement_may_change_errno),
    };

    return cmocka_run_group_tests_name("transport/verbs/completion", tests, NULL, NULL);
}
