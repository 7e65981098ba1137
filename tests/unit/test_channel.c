/* SPDX-License-Identifier: MIT */
/*
 * A channel composes its parts, so they are linked as they are: what is seen here is which verbs it
 * calls, and what it makes of completions and events.
 */
#include "mock_verbs.h"
#include "transport/verbs/channel.h"
#include "transport/verbs/private_data.h"
#include "transport/verbs/work_request.h"

#include <errno.h>

#define MADE                                                                                       \
    "ibv_reg_mr ibv_reg_mr ibv_create_comp_channel ibv_create_cq ibv_create_qp "                   \
    "rdma_init_qp_attr ibv_modify_qp ibv_post_recv "

/* Everything in an order in which nothing is destroyed while it is used. */
#define RELEASED                                                                                   \
    "rdma_disconnect ibv_destroy_qp rdma_destroy_id rdma_destroy_event_channel "                   \
    "ibv_destroy_cq ibv_destroy_comp_channel ibv_dereg_mr ibv_dereg_mr "

static const struct transport_profile profile = {
    .send_slots = 4, .send_size = 600, .receive_slots = 4, .receive_size = 600, .writes = 8};
static const struct transport_settings defaults = {.timeout_ms = 10000,
                                                   .gid_index = -1,
                                                   .traffic_class = -1,
                                                   .service_level = -1,
                                                   .qp_timeout = -1,
                                                   .retry_count = 6};

static struct transport_settings settings;
static struct verbs_domain domain;
static struct ibv_mr keepalive = {.rkey = 0xabcd};
static struct verbs_cm cm;
static struct verbs_channel *channel;
static struct transport_channel *base;

static int make_cm(void **state)
{
    struct multifd_error err;

    mock_setup(state);
    settings = defaults;
    domain = (struct verbs_domain){.context = mock_context(),
                                   .pd = mock_pd(),
                                   .keepalive = &keepalive,
                                   .max_qp_wr = 1024,
                                   .max_cqe = 4096};
    channel = NULL;
    return verbs_cm_init(&cm, "192.0.2.1:4444", &err);
}

/* A channel whose peer has a window of 4. */
static int make(void **state)
{
    const struct transport_greeting greeting = {.bytes = "hello", .length = 5};
    const struct verbs_sender_peer peer = {.receive_slots = 4};
    struct verbs_cm_event event = {.private_data_len = VERBS_PRIVATE_DATA_BYTES};
    struct multifd_error err;

    make_cm(state);
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
    verbs_cm_fini(&cm);
    return mock_teardown(state);
}

/* ---- Making and releasing ---- */

static void new_takes_the_identifier_over(void **state)
{
    struct rdma_cm_id *id = cm.id;
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    mock_log_clear();
    channel = verbs_channel_new(&cm, &domain, &profile, &settings, &err);
    assert_non_null(channel);
    assert_untouched(&err);
    assert_calls(MADE);
    assert_null(cm.id);
    assert_null(cm.channel);
    assert_ptr_equal(verbs_channel_cm(channel)->id, id);
    assert_string_equal(verbs_channel_cm(channel)->peer, "192.0.2.1:4444");
}

static void the_completion_queue_holds_all_that_can_be_posted(void **state)
{
    const struct ibv_qp_cap *cap = &mock_verbs.qp_attr.cap;

    (void)state;
    assert_true(cap->max_send_wr >= profile.send_slots * (profile.writes + 1));
    assert_int_equal(cap->max_recv_wr, mock_verbs.receives[0].num);
    assert_true(cap->max_recv_wr > profile.receive_slots);
    assert_true(mock_verbs.cqe >= (int)(cap->max_send_wr + cap->max_recv_wr));
}

static void assert_not_made(enum multifd_error_code code, const char *part)
{
    struct rdma_cm_id *id = cm.id;
    struct multifd_error err = ERROR_UNTOUCHED;

    mock_log_clear();
    assert_null(verbs_channel_new(&cm, &domain, &profile, &settings, &err));
    assert_error(&err, code, part);
    assert_ptr_equal(cm.id, id); /* still the caller's */
    assert_int_equal(mock_calls("rdma_destroy_id"), 0);
    assert_int_equal(mock_calls("rdma_disconnect"), 0);
    assert_int_equal(mock_live(), 2); /* the caller's identifier and its event channel */
}

struct step {
    const char *call;
    unsigned nth;
    const char *part;
};

static const struct step steps[] = {
    {"ibv_reg_mr", 1, "ibv_reg_mr(send slots"},
    {"ibv_reg_mr", 2, "ibv_reg_mr(receives"},
    {"ibv_create_comp_channel", 1, "ibv_create_comp_channel"},
    {"ibv_create_cq", 1, "ibv_create_cq"},
    {"ibv_create_qp", 1, "ibv_create_qp"},
    {"rdma_init_qp_attr", 1, "rdma_init_qp_attr(INIT)"},
    {"ibv_modify_qp", 1, "ibv_modify_qp(INIT)"},
    {"ibv_post_recv", 1, "ibv_post_recv"},
};

static void each_step_of_new_can_fail(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        mock_fail_nth(steps[i].call, steps[i].nth, ENOSPC);
        assert_not_made(MULTIFD_ERROR_DEVICE, steps[i].part);
        mock_succeed(steps[i].call);
    }
}

static void each_step_of_new_can_fail_and_then_every_release(void **state)
{
    static const char *const releases[] = {"ibv_destroy_qp", "ibv_destroy_cq",
                                           "ibv_destroy_comp_channel", "ibv_dereg_mr"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        for (size_t j = 0; j < COUNT_OF(releases); j++) {
            mock_fail(releases[j], EBUSY);
        }
        mock_fail_nth(steps[i].call, steps[i].nth, ENOSPC);
        assert_not_made(MULTIFD_ERROR_DEVICE, steps[i].part);
        mock_succeed(steps[i].call);
        for (size_t j = 0; j < COUNT_OF(releases); j++) {
            mock_succeed(releases[j]);
        }
    }
}

static void no_memory(void **state)
{
    (void)state;
    for (unsigned nth = 1; nth <= 11; nth++) { /* the channel, 5 for each direction */
        mock_fail_nth("malloc", nth, ENOMEM);
        assert_not_made(MULTIFD_ERROR_SYSTEM, "memory");
        mock_succeed("malloc");
    }
}

static void settings_above_a_limit_name_both(void **state)
{
    (void)state;
    settings.tx_depth = 5000;
    assert_not_made(MULTIFD_ERROR_LIMIT, "tx-depth 5000");
    assert_not_made(MULTIFD_ERROR_LIMIT, "max_qp_wr");
    settings.tx_depth = 8; /* 8 writes and the message need 9 */
    assert_not_made(MULTIFD_ERROR_LIMIT, "tx-depth 8");
    settings.tx_depth = 0;
    domain.max_cqe = 20;
    assert_not_made(MULTIFD_ERROR_LIMIT, "max_cqe 20");
    domain.max_cqe = 4096;
    domain.max_qp_wr = 7;
    assert_not_made(MULTIFD_ERROR_LIMIT, "max_qp_wr");
}

static void a_depth_that_was_named_is_obeyed(void **state)
{
    struct multifd_error err;

    (void)state;
    settings.tx_depth = 9;
    channel = verbs_channel_new(&cm, &domain, &profile, &settings, &err);
    assert_non_null(channel);
    assert_int_equal(mock_verbs.qp_attr.cap.max_send_wr, 9 + VERBS_SENDER_RESERVE);
}

static void a_depth_that_was_chosen_stays_below_the_limit(void **state)
{
    struct multifd_error err;

    (void)state;
    domain.max_qp_wr = 20;
    channel = verbs_channel_new(&cm, &domain, &profile, &settings, &err);
    assert_non_null(channel);
    assert_int_equal(mock_verbs.qp_attr.cap.max_send_wr, 20);
}

static void delete_disconnects_and_releases_in_order(void **state)
{
    (void)state;
    verbs_channel_delete(&channel);
    assert_null(channel);
    assert_calls(RELEASED);
    verbs_channel_delete(&channel);
    assert_calls(RELEASED);
}

static void delete_runs_every_step(void **state)
{
    static const char *const releases[] = {"rdma_disconnect",          "ibv_destroy_qp",
                                           "rdma_destroy_id",          "ibv_destroy_cq",
                                           "ibv_destroy_comp_channel", "ibv_dereg_mr"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(releases); i++) {
        mock_fail(releases[i], EINVAL);
    }
    base->ops->free(base);
    channel = NULL;
    assert_calls(RELEASED);
}

/* ---- Connecting ---- */

static void the_connection_says_who_we_are(void **state)
{
    const struct transport_greeting greeting = {.bytes = "hello", .length = 5};
    uint8_t data[VERBS_PRIVATE_DATA_MAX];
    struct rdma_conn_param param;
    struct transport_greeting seen;
    struct verbs_sender_peer self;

    (void)state;
    verbs_channel_conn_param(channel, &greeting, data, &param);
    assert_ptr_equal(param.private_data, data);
    assert_int_equal(param.private_data_len, VERBS_PRIVATE_DATA_BYTES);
    assert_int_equal(param.qp_num, 0x777);
    assert_int_equal(param.retry_count, 6);
    assert_int_equal(param.rnr_retry_count, 7);
    verbs_private_data_decode(data, param.private_data_len, &seen, &self);
    assert_int_equal(seen.length, 5);
    assert_memory_equal(seen.bytes, "hello", 5);
    assert_int_equal(self.receive_slots, profile.receive_slots);
    assert_int_equal(self.keepalive_key, 0xabcd);
    assert_int_equal(self.keepalive_address, (uintptr_t)domain.keepalive_bytes);
}

static void a_peer_that_is_not_multifd_is_refused(void **state)
{
    const struct transport_greeting greeting = {.bytes = "hello", .length = 5};
    const struct transport_greeting silent = {.length = 0};
    const struct verbs_sender_peer peer = {.receive_slots = 4};
    const struct verbs_sender_peer deaf = {.receive_slots = 0};
    struct verbs_cm_event event = {.private_data_len = 0};
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    assert_int_equal(verbs_channel_meet(channel, &event, &err), -1);
    assert_error(&err, MULTIFD_ERROR_CONNECT, "192.0.2.1:4444");
    event.private_data_len = VERBS_PRIVATE_DATA_BYTES;
    verbs_private_data_encode(&silent, &peer, event.private_data);
    assert_int_equal(verbs_channel_meet(channel, &event, &err), -1);
    verbs_private_data_encode(&greeting, &deaf, event.private_data);
    assert_int_equal(verbs_channel_meet(channel, &event, &err), -1);
    assert_error(&err, MULTIFD_ERROR_CONNECT, "not multifd");
}

static void ready_brings_the_queue_pair_up(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    assert_int_equal(verbs_channel_ready(channel, &err), 0);
    assert_calls("rdma_init_qp_attr ibv_modify_qp rdma_init_qp_attr ibv_modify_qp ");
    assert_untouched(&err);
    mock_verbs.modify_num = 0;
    mock_fail("ibv_modify_qp", EINVAL);
    assert_int_equal(verbs_channel_ready(channel, &err), -1);
    assert_error(&err, MULTIFD_ERROR_DEVICE, "ibv_modify_qp(RTR)");
}

/* ---- Waiting ---- */

static void a_channel_sleeps_on_completions_and_events(void **state)
{
    struct pollfd fds[TRANSPORT_POLLFDS] = {{.fd = -1}, {.fd = -1}};
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    assert_int_equal(base->ops->pollfds(base, fds), 2);
    assert_true(fds[0].fd >= 0 && fds[1].fd >= 0 && fds[0].fd != fds[1].fd);
    assert_int_equal(fds[0].events, POLLIN);
    assert_int_equal(fds[1].fd, verbs_cm_fd(verbs_channel_cm(channel)));
    assert_int_equal(base->ops->arm(base, true, &err), 0);
    assert_calls("ibv_req_notify_cq ");
    assert_untouched(&err);
    assert_int_equal(base->ops->wake(base, NULL, &err), 0); /* or it would not be asked again */
    mock_fail("ibv_req_notify_cq", EIO);
    assert_int_equal(base->ops->arm(base, true, &err), -1);
    assert_error(&err, MULTIFD_ERROR_DEVICE, "ibv_req_notify_cq");
}

static int wake(short completions, short events, struct multifd_error *err)
{
    const struct pollfd fds[2] = {{.revents = completions}, {.revents = events}};

    return base->ops->wake(base, fds, err);
}

enum { ASKS_NOTHING = -1 };

/* What arm asks the device for: mock_verbs.solicited_only, if it asks. */
static int arm(bool completions)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    mock_verbs.solicited_only = ASKS_NOTHING;
    assert_int_equal(base->ops->arm(base, completions, &err), 0);
    assert_untouched(&err);
    return mock_verbs.solicited_only;
}

static void what_is_asked_is_asked_once(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    assert_int_equal(arm(false), 1);
    assert_int_equal(arm(false), ASKS_NOTHING);
    assert_int_equal(arm(true), 0); /* that is more */
    assert_int_equal(arm(true), ASKS_NOTHING);
    assert_int_equal(arm(false), ASKS_NOTHING);
    assert_int_equal(wake(0, 0, &err), 0); /* by something else */
    assert_int_equal(arm(true), ASKS_NOTHING);
    mock_verbs.cq_events = 1;
    assert_int_equal(wake(POLLIN, 0, &err), 0);
    assert_int_equal(arm(true), 0);
    assert_int_equal(base->ops->wake(base, NULL, &err), 0); /* by nothing */
    assert_int_equal(arm(false), 1);
    assert_untouched(&err);
}

static void wake_takes_only_what_poll_reported(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    mock_verbs.cq_events = 2;
    assert_int_equal(wake(0, 0, &err), 0);
    assert_calls("");
    assert_int_equal(wake(POLLIN, 0, &err), 0);
    assert_int_equal(mock_verbs.cq_events_acked, 1);
    assert_int_equal(mock_calls("rdma_get_cm_event"), 0);
    mock_log_clear();
    assert_int_equal(wake(0, POLLIN, &err), 0);
    assert_calls("rdma_get_cm_event ");
    assert_untouched(&err);
}

static void wake_fails(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    mock_fail("ibv_get_cq_event", EIO);
    assert_int_equal(wake(POLLIN, POLLIN, &err), -1);
    assert_error(&err, MULTIFD_ERROR_DEVICE, "ibv_get_cq_event");
    mock_fail("rdma_get_cm_event", EIO);
    assert_int_equal(wake(0, POLLIN, &err), -1);
    assert_error(&err, MULTIFD_ERROR_DEVICE, "rdma_get_cm_event");
}

#define with_cm(function)      cmocka_unit_test_setup_teardown(function, make_cm, release)
#define with_channel(function) cmocka_unit_test_setup_teardown(function, make, release)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_cm(new_takes_the_identifier_over),
        with_channel(the_completion_queue_holds_all_that_can_be_posted),
        with_cm(each_step_of_new_can_fail),
        with_cm(each_step_of_new_can_fail_and_then_every_release),
        with_cm(no_memory),
        with_cm(settings_above_a_limit_name_both),
        with_cm(a_depth_that_was_named_is_obeyed),
        with_cm(a_depth_that_was_chosen_stays_below_the_limit),
        with_channel(delete_disconnects_and_releases_in_order),
        with_channel(delete_runs_every_step),
        with_channel(the_connection_says_who_we_are),
        with_channel(a_peer_that_is_not_multifd_is_refused),
        with_channel(ready_brings_the_queue_pair_up),
        with_channel(a_channel_sleeps_on_completions_and_events),
        with_channel(what_is_asked_is_asked_once),
        with_channel(wake_takes_only_what_poll_reported),
        with_channel(wake_fails),
    };

    return cmocka_run_group_tests_name("transport/verbs/channel", tests, NULL, NULL);
}
