/* SPDX-License-Identifier: MIT */
/* Sessions with a method that is not the library's. */
#include "check.h"
#include "third_party.h"

static const struct pair_setting with_third[] = {
    {"method", THIRD_PARTY_NAME}, {"channels", "3"}, {"timeout", "5s"}, {NULL, NULL}};

static void use_ops(const struct multifd_methods *ops, struct multifd_options *options)
{
    struct multifd_error err;

    if (multifd_register_ops(options, THIRD_PARTY_FLAG, THIRD_PARTY_NAME, ops, &err) != 0) {
        fail_msg("%s", err.message);
    }
}

static void configure(struct session_pair *pair, struct multifd_options *options, bool source)
{
    (void)pair;
    (void)source;
    use_ops(&third_party_ops, options);
}

static void configure_least(struct session_pair *pair, struct multifd_options *options, bool source)
{
    (void)pair;
    (void)source;
    use_ops(&third_party_least_ops, options);
}

static void configure_source_only(struct session_pair *pair, struct multifd_options *options,
                                  bool source)
{
    (void)pair;
    if (source) {
        use_ops(&third_party_ops, options);
    }
}

static const struct pair_plan third_plan = {.name = "a third party's method",
                                            .source_settings = with_third,
                                            .configure = configure,
                                            .rounds = 3,
                                            .blocks = {{"a", 5 << 20}, {"b", 300 * 4096}}};

static struct session_pair *run(const struct pair_plan *plan, enum third_party_hook fails,
                                enum third_party_fault fault)
{
    struct session_pair *pair;

    fabric_reset(NULL);
    third_party_reset(fails, fault);
    pair = pair_new(plan);
    pair_run(pair);
    return pair;
}

/* Each setup has had its cleanup, whatever happened between them. */
static void check_hooks(struct session_pair *pair)
{
    for (unsigned i = 0; i < THIRD_PARTY_CHANNELS; i++) {
        const struct third_party_channel *channel = &third_party_channels[i];

        CHECK(pair, channel->send_disorders == 0 && channel->recv_disorders == 0);
        CHECK(pair, channel->send_setups == channel->send_cleanups && channel->send_setups <= 1);
        CHECK(pair, channel->recv_setups == channel->recv_cleanups && channel->recv_setups <= 1);
    }
}

static void hooks_in_order(void **state)
{
    struct session_pair *pair = run(&third_plan, THIRD_NONE, THIRD_SOUND);

    (void)state;
    check_finished(pair);
    CHECK(pair, pair_equal(pair));
    check_hooks(pair);
    for (unsigned i = 0; i < THIRD_PARTY_CHANNELS; i++) {
        const struct third_party_channel *channel = &third_party_channels[i];
        unsigned wanted = i < 3 ? 1 : 0;
        uint64_t packets = pair->source_side.channels[i].packets;

        CHECK(pair, channel->send_setups == wanted && channel->recv_setups == wanted);
        CHECK(pair, channel->send_prepares == channel->recvs);
        /* At most three are SYNCs without pages. */
        CHECK(pair, channel->send_prepares <= packets && packets <= channel->send_prepares + 3);
    }
    pair_delete(&pair);
}

static void without_optional_hooks(void **state)
{
    struct pair_plan plan = third_plan;
    struct session_pair *pair;

    (void)state;
    plan.configure = configure_least;
    pair = run(&plan, THIRD_NONE, THIRD_SOUND);
    check_finished(pair);
    CHECK(pair, pair_equal(pair));
    check_hooks(pair);
    pair_delete(&pair);
}

static void check_failed(struct session_pair *pair, const struct pair_side *failed,
                         const struct pair_side *other, enum multifd_error_code code,
                         const char *words)
{
    CHECK(pair, failed->status != 0 && other->status != 0);
    CHECK(pair, failed->err.code == code && strstr(failed->err.message, words) != NULL);
    /* While channels are made the other side may see a connection end before it hears why. */
    CHECK(pair, other->rounds == 0 || other->err.code == MULTIFD_ERROR_PEER);
    CHECK(pair, other->err.code != MULTIFD_ERROR_PEER || strstr(other->err.message, words) != NULL);
    CHECK(pair, fabric_live_objects() == 0);
    CHECK(pair, pair_pages_old_or_new(pair) && pair_source_untouched(pair));
    check_hooks(pair);
}

static const struct {
    enum third_party_hook hook;
    bool source;
    const char *words;
} failures[] = {
    {THIRD_SEND_SETUP, true, "channel 1: the third party's send_setup does not want to"},
    {THIRD_SEND_PREPARE, true, "channel 1: the third party's send_prepare does not want to"},
    {THIRD_RECV_SETUP, false, "channel 1: the third party's recv_setup does not want to"},
    {THIRD_RECV, false, "channel 1: the third party's recv does not want to"},
};

static void hooks_that_fail(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(failures); i++) {
        struct session_pair *pair = run(&third_plan, failures[i].hook, THIRD_SOUND);
        bool source = failures[i].source;

        check_failed(pair, source ? &pair->source_side : &pair->destination_side,
                     source ? &pair->destination_side : &pair->source_side, MULTIFD_ERROR_METHOD,
                     failures[i].words);
        CHECK(pair, (source ? &pair->source_side : &pair->destination_side)->err.channel == 1);
        pair_delete(&pair);
    }
}

static const struct {
    enum third_party_fault fault;
    bool source;
    enum multifd_error_code code;
    const char *words;
} faults[] = {
    {THIRD_NOT_IN_PLACE, true, MULTIFD_ERROR_METHOD, "is not in its place, or too long"},
    {THIRD_ELSEWHERE, true, MULTIFD_ERROR_METHOD, "iov is not made of the packet's pages"},
    {THIRD_BEHIND_END, true, MULTIFD_ERROR_METHOD, "iov is not made of the packet's pages"},
    {THIRD_TOO_MUCH, true, MULTIFD_ERROR_METHOD, "iov is not made of the packet's pages"},
    {THIRD_HALF_A_PAGE, true, MULTIFD_ERROR_METHOD, "iov is not made of the packet's pages"},
    {THIRD_WRONG_LENGTH, true, MULTIFD_ERROR_METHOD, "iov is not made of the packet's pages"},
    {THIRD_WRONG_METHOD, false, MULTIFD_ERROR_PROTOCOL, "the third party refuses flags 2"},
};

static void methods_that_are_wrong(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(faults); i++) {
        struct session_pair *pair = run(&third_plan, THIRD_NONE, faults[i].fault);
        bool source = faults[i].source;

        check_failed(pair, source ? &pair->source_side : &pair->destination_side,
                     source ? &pair->destination_side : &pair->source_side, faults[i].code,
                     faults[i].words);
        pair_delete(&pair);
    }
}

static void a_method_the_destination_lacks(void **state)
{
    struct pair_plan plan = third_plan;
    struct session_pair *pair;

    (void)state;
    plan.configure = configure_source_only;
    pair = run(&plan, THIRD_NONE, THIRD_SOUND);
    check_failed(pair, &pair->destination_side, &pair->source_side, MULTIFD_ERROR_INVALID,
                 "the source wants method 0x6, which this side does not have");
    CHECK(pair, third_party_channels[0].send_setups == 0);
    pair_delete(&pair);
}

/* ---- Registering ---- */

static void lacks(struct multifd_options *options, size_t hook)
{
    struct multifd_methods ops = third_party_ops;
    struct multifd_error err;

    memset((char *)&ops + hook, 0, sizeof(ops.recv));
    assert_int_equal(multifd_register_ops(options, THIRD_PARTY_FLAG, "less", &ops, &err), -1);
    assert_error(&err, MULTIFD_ERROR_INVALID, "\"less\" lacks one of");
}

static void registering(void **state)
{
    struct multifd_options *options = multifd_options_new();
    struct multifd_error err;

    (void)state;
    assert_int_equal(multifd_register_ops(options, 1, "odd", &third_party_ops, &err), -1);
    assert_error(&err, MULTIFD_ERROR_INVALID, "bits outside the compression mask");
    assert_int_equal(multifd_register_ops(options, 16, "high", &third_party_ops, &err), -1);
    assert_error(&err, MULTIFD_ERROR_INVALID, "bits outside the compression mask");
    assert_int_equal(
        multifd_register_ops(options, MULTIFD_FLAG_NOCOMP, "zero", &third_party_ops, &err), -1);
    assert_error(&err, MULTIFD_ERROR_INVALID, "registered already");
    assert_int_equal(
        multifd_register_ops(options, THIRD_PARTY_FLAG, "nocomp", &third_party_ops, &err), -1);
    assert_error(&err, MULTIFD_ERROR_INVALID, "\"nocomp\" (0x6) is registered already");
    lacks(options, offsetof(struct multifd_methods, send_setup));
    lacks(options, offsetof(struct multifd_methods, send_cleanup));
    lacks(options, offsetof(struct multifd_methods, send_prepare));
    lacks(options, offsetof(struct multifd_methods, recv));
    assert_int_equal(multifd_register_ops(options, THIRD_PARTY_FLAG, "one", &third_party_ops, NULL),
                     0);
    assert_int_equal(multifd_register_ops(options, THIRD_PARTY_FLAG, "two", &third_party_ops, NULL),
                     -1);
    multifd_options_delete(&options);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(hooks_in_order),
        cmocka_unit_test(without_optional_hooks),
        cmocka_unit_test(hooks_that_fail),
        cmocka_unit_test(methods_that_are_wrong),
        cmocka_unit_test(a_method_the_destination_lacks),
        cmocka_unit_test(registering),
    };

    return cmocka_run_group_tests_name("methods", tests, NULL, NULL);
}
