/* SPDX-License-Identifier: MIT */
/* The public functions called wrongly, at a wrong time, or from another thread. */
#include "check.h"

static uint8_t memory[4 * 4096];

/* A source that nobody listens for; options stay the caller's. */
static struct multifd_source *new_source(const char *address)
{
    struct multifd_options *options = multifd_options_new();
    struct multifd_source *source;
    struct multifd_error err;

    source = multifd_source_new(address, options, &err);
    if (source == NULL) {
        fail_msg("%s", err.message);
    }
    multifd_options_delete(&options);
    return source;
}

static struct multifd_destination *new_destination(void)
{
    struct multifd_options *options = multifd_options_new();
    struct multifd_destination *destination;
    struct multifd_error err;

    destination = multifd_destination_new("rdma:127.0.0.1:0", options, &err);
    if (destination == NULL) {
        fail_msg("%s", err.message);
    }
    multifd_options_delete(&options);
    return destination;
}

/* ---- Options ---- */

static const char *const bad_values[][3] = {
    {"channels", "0", "0 is not from 1 to 255"},
    {"page-size", "3000", "a power of two"},
    {"window", "1025", "1025 is not from 1 to 1024"},
    {"method", "a name that is longer than any method's name has to be, which is a limit", "more"},
    {"zlib-level", "10", "10 is not from 0 to 9"},
    {"zstd-level", "-8", "-8 is not from -7 to 20"},
    {"zero-page-detection", "legacy", "unknown value \"legacy\""},
    {"max-bandwidth", "fast", "a size such as"},
    {"verify", "yes", "on or off"},
    {"qemu", "7.2", "not on or off"},
    {"timeout", "1x", "a time such as"},
    {"poll", "-1", "a time such as"},
    {"registration", "lazy", "unknown value \"lazy\""},
    {"piece-size", "1K", "is not from"},
    {"registration-threads", "65", "65 is not from 0 to 64"},
    {"fresh-memory", "new", "on or off"},
    {"ib-dev", "a device with a name that is longer than the sixty-three bytes it may have",
     "more"},
    {"ib-port", "256", "256 is not from 0 to 255"},
    {"gid-index", "none", "a number"},
    {"tclass", "256", "256 is not from 0 to 255"},
    {"sl", "16", "16 is not from 0 to 15"},
    {"mtu", "1000", "one of 256, 512, 1024, 2048, 4096"},
    {"qp-timeout", "0", "0 is not from 1 to 31"},
    {"retry-count", "8", "8 is not from 0 to 7"},
    {"rnr-timer", "32", "32 is not from 0 to 31"},
    {"tx-depth", "99999999999999999999", "a number"},
};

static void each_option_set_wrongly(void **state)
{
    struct multifd_options *options = multifd_options_new();
    const struct multifd_option_info *info = multifd_options_list();
    struct multifd_error err;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad_values); i++, info++) {
        assert_string_equal(info->name, bad_values[i][0]); /* every option is in the table */
        assert_int_equal(multifd_options_set(options, info->name, bad_values[i][1], &err), -1);
        assert_error(&err, MULTIFD_ERROR_INVALID, bad_values[i][2]);
        assert_error(&err, MULTIFD_ERROR_INVALID, info->name);
    }
    assert_null(info->name);
    assert_int_equal(multifd_options_set(options, "chanels", "1", &err), -1);
    assert_error(&err, MULTIFD_ERROR_INVALID, "unknown option \"chanels\"");
    multifd_options_delete(&options);
    assert_null(options);
    multifd_options_delete(&options);
}

/* What only shows when a session is made of them. */
static void options_that_contradict(void **state)
{
    static const struct {
        const char *settings[4];
        const char *words;
    } cases[] = {
        {{"page-size", "2M", "piece-size", "1M"}, "piece-size: 1048576 is below the page size"},
        {{"gid-index", "1", "poll", "0"}, "gid-index needs ib-dev"},
        {{"method", "repeat", "poll", "0"}, "unknown method \"repeat\""},
    };
    struct multifd_error err;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct multifd_options *options = multifd_options_new();

        for (size_t j = 0; j < 4; j += 2) {
            assert_int_equal(
                multifd_options_set(options, cases[i].settings[j], cases[i].settings[j + 1], NULL),
                0);
        }
        assert_null(multifd_source_new("rdma:127.0.0.1:1", options, &err));
        assert_error(&err, MULTIFD_ERROR_INVALID, cases[i].words);
        assert_null(multifd_destination_new("rdma:127.0.0.1:0", options, NULL));
        multifd_options_delete(&options);
    }
}

static void addresses(void **state)
{
    static const char *const wrong[] = {
        "",       "rdma:",    "rdma:host", "rdma:host:", "rdma:host:65536",
        "host:1", "tcp:host", "unix:",     "rdma:::1:5", "rdma:[::1]5",
    };
    struct multifd_options *options = multifd_options_new();
    struct multifd_error err;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        assert_null(multifd_source_new(wrong[i], options, &err));
        assert_int_equal(err.code, MULTIFD_ERROR_ADDRESS);
        assert_null(multifd_destination_new(wrong[i], options, &err));
        assert_int_equal(err.code, MULTIFD_ERROR_ADDRESS);
    }
    multifd_options_delete(&options);
}

/* ---- Methods and pages, without a session ---- */

enum { HOOK_PAGES = 4, HOOK_PAGE = 4096, HOOK_HEADER = 320 + 8 * HOOK_PAGES };

static uint8_t arrived[HOOK_PAGES * HOOK_PAGE];

/* Makes a payload of the pages in `memory`, and of that the pages in `arrived`. */
static void move_packet(const struct multifd_methods *ops)
{
    static const uint64_t offsets[HOOK_PAGES] = {0, HOOK_PAGE, 2L * HOOK_PAGE, 3L * HOOK_PAGE};
    static uint8_t payload[HOOK_PAGES * HOOK_PAGE];
    uint8_t header[HOOK_HEADER] = {0};
    struct multifd_error err;
    struct multifd_send_params send = {.page_size = HOOK_PAGE,
                                       .page_count = HOOK_PAGES,
                                       .ramblock = "ram",
                                       .host = memory,
                                       .normal = offsets,
                                       .normal_num = HOOK_PAGES,
                                       .level = 1,
                                       .payload = payload,
                                       .payload_max = sizeof(payload),
                                       .packet = header};

    assert_int_equal(ops->send_setup(&send, &err), 0);
    assert_int_equal(ops->send_prepare(&send, &err), 0);
    struct multifd_recv_params recv = {.page_size = HOOK_PAGE,
                                       .page_count = HOOK_PAGES,
                                       .host = arrived,
                                       .normal = offsets,
                                       .normal_num = HOOK_PAGES,
                                       .flags = send.flags,
                                       .next_packet_size = send.next_packet_size,
                                       .payload = payload};
    ops->send_cleanup(&send);
    assert_int_equal(ops->recv_setup(&recv, &err), 0);
    assert_int_equal(ops->recv(&recv, &err), 0);
    ops->recv_cleanup(&recv);
}

static void hooks_outlive_their_options(void **state)
{
    static const char *const names[] = {"zlib", "zstd"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        struct multifd_options *options = multifd_options_new();
        const struct multifd_methods *ops = multifd_options_method(options, names[i]);

        multifd_options_delete(&options);
        assert_non_null(ops);
        memset(memory, 'm', sizeof(memory));
        memset(arrived, 0, sizeof(arrived));
        move_packet(ops);
        assert_memory_equal(memory, arrived, sizeof(arrived));
    }
}

static void pages_of_zeros(void **state)
{
    (void)state;
    memset(memory, 0, sizeof(memory));
    assert_true(multifd_buffer_is_zero(memory, sizeof(memory)));
    memory[4095] = 1;
    assert_false(multifd_buffer_is_zero(memory, 4096));
    assert_true(multifd_buffer_is_zero(memory + 4096, 128));
    assert_true(multifd_buffer_is_zero(memory, 0));
    assert_non_null(multifd_buffer_is_zero_variant());
}

/* ---- Before and after a session ---- */

static void source_before_setup(void **state)
{
    struct multifd_source *source = new_source("rdma:127.0.0.1:1");
    char long_name[MULTIFD_BLOCK_NAME_MAX + 2];
    struct multifd_channel_statistics channel;
    struct multifd_statistics statistics;
    struct multifd_ram_block *block;
    struct multifd_error err;

    (void)state;
    memset(long_name, 'n', sizeof(long_name) - 1);
    long_name[sizeof(long_name) - 1] = '\0';
    assert_int_equal(multifd_save_setup(source, &err), -1);
    assert_error(&err, MULTIFD_ERROR_STATE, "without a RAM block");
    assert_null(multifd_source_add_block(source, "", memory, 4096, &err));
    assert_error(&err, MULTIFD_ERROR_INVALID, "name has 1 to 255 bytes, not 0");
    assert_null(multifd_source_add_block(source, long_name, memory, 4096, &err));
    assert_error(&err, MULTIFD_ERROR_INVALID, "not 256");
    assert_null(multifd_source_add_block(source, "ram", memory, 0, &err));
    assert_error(&err, MULTIFD_ERROR_INVALID, "not a multiple of the page size");
    assert_null(multifd_source_add_block(source, "ram", memory, 4097, NULL));
    block = multifd_source_add_block(source, "ram", memory, sizeof(memory), NULL);
    assert_non_null(block);
    assert_null(multifd_source_add_block(source, "ram", memory, sizeof(memory), &err));
    assert_error(&err, MULTIFD_ERROR_INVALID, "exists already");
    assert_int_equal(multifd_queue_page(source, block, 0, &err), -1);
    assert_error(&err, MULTIFD_ERROR_STATE, "not set up");
    assert_int_equal(multifd_send_sync_main(source, &err), -1);
    assert_error(&err, MULTIFD_ERROR_STATE, "not set up");
    assert_int_equal(multifd_source_finish(source, NULL), -1);
    multifd_source_statistics(source, &statistics);
    assert_int_equal(
        statistics.packets + statistics.total_ns + statistics.channels + statistics.cpu_ns, 0);
    assert_int_equal(multifd_source_channel_statistics(source, 0, &channel), -1);
    multifd_source_delete(&source);
    assert_null(source);
    multifd_source_delete(&source);
    assert_int_equal(fabric_live_objects(), 0);
}

static void destination_before_a_source(void **state)
{
    struct multifd_destination *destination = new_destination();
    struct multifd_channel_statistics channel;
    struct multifd_statistics statistics;
    struct multifd_error err;

    (void)state;
    assert_int_equal(multifd_destination_port(destination), 0);
    assert_false(multifd_recv_all_channels_created(destination));
    assert_int_equal(multifd_recv_new_channel(destination, &err), -1);
    assert_error(&err, MULTIFD_ERROR_STATE, "not listening");
    assert_int_equal(multifd_recv_sync_main(destination, &err), -1);
    assert_error(&err, MULTIFD_ERROR_STATE, "not all channels are there");
    assert_int_equal(multifd_destination_add_block(destination, "", memory, 4096, NULL), -1);
    assert_int_equal(multifd_destination_add_block(destination, "a", memory, 4096, &err), 0);
    assert_int_equal(multifd_load_setup(destination, &err), 0);
    assert_int_not_equal(multifd_destination_port(destination), 0);
    assert_int_equal(multifd_load_setup(destination, &err), -1);
    assert_error(&err, MULTIFD_ERROR_STATE, "was called before");
    assert_int_equal(multifd_destination_add_block(destination, "b", memory, 4096, &err), 0);
    assert_int_equal(multifd_recv_sync_main(destination, NULL), -1);
    multifd_destination_statistics(destination, &statistics);
    assert_int_equal(
        statistics.packets + statistics.total_ns + statistics.channels + statistics.cpu_ns, 0);
    assert_int_equal(multifd_destination_channel_statistics(destination, 0, &channel), -1);
    multifd_load_cleanup(destination);
    multifd_load_cleanup(destination);
    assert_int_equal(multifd_destination_add_block(destination, "c", memory, 4096, NULL), -1);
    assert_int_equal(multifd_recv_new_channel(destination, &err), -1);
    assert_error(&err, MULTIFD_ERROR_CANCELLED, "ended the session before its finish");
    multifd_destination_delete(&destination);
    assert_null(destination);
    multifd_destination_delete(&destination);
    assert_int_equal(fabric_live_objects(), 0);
}

/* ---- In a session ---- */

/* All that a source may not do between its setup and its finish. */
static int queue_wrongly(struct session_pair *pair, uint32_t round, struct multifd_error *err)
{
    static const uint64_t wrong[] = {1, 4095, 1 << 20, UINT64_MAX, UINT64_MAX - 4095};
    struct multifd_ram_block *block = pair->blocks[0].block;
    struct multifd_channel_statistics channel;
    struct multifd_error refused;

    (void)round;
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        CHECK(pair, multifd_queue_page(pair->source, block, wrong[i], &refused) == -1);
        assert_error(&refused, MULTIFD_ERROR_INVALID, "is no page of RAM block \"ram\"");
    }
    CHECK(pair, multifd_save_setup(pair->source, &refused) == -1);
    assert_error(&refused, MULTIFD_ERROR_STATE, "was called before");
    CHECK(pair, multifd_source_add_block(pair->source, "b", memory, 4096, &refused) == NULL);
    assert_error(&refused, MULTIFD_ERROR_STATE, "before multifd_save_setup");
    CHECK(pair, multifd_source_channel_statistics(pair->source, 1, &channel) == 0);
    CHECK(pair, multifd_source_channel_statistics(pair->source, 2, &channel) == -1);
    return pair_queue_all(pair, err);
}

/* None of it harms the session. */
static void source_in_a_session(void **state)
{
    const struct pair_plan plan = {.name = "wrong calls", .queue = queue_wrongly, .rounds = 2};
    struct session_pair *pair = pair_new(&plan);

    (void)state;
    pair_run(pair);
    check_finished(pair);
    CHECK(pair, pair_equal(pair));
    pair_delete(&pair);
}

/* Makes the calls of a whole source and looks at it until it is deleted. */
static void source_after_the_finish(void **state)
{
    const struct pair_plan plan = {.name = "after the finish"};
    struct session_pair *pair = pair_new(&plan);
    struct multifd_statistics before;
    struct multifd_statistics after;
    struct multifd_error err;
    char address[64];

    (void)state;
    watchdog_start(20, plan.name);
    pair_start_destination(pair);
    pair_address(pair, address);
    pair->source = new_source(address);
    pair_add_source_blocks(pair, pair->source);
    assert_int_equal(multifd_save_setup(pair->source, NULL), 0);
    assert_int_equal(pair_queue_all(pair, &err), 0);
    assert_int_equal(multifd_source_finish(pair->source, NULL), 0); /* syncs by itself */
    multifd_source_cancel(pair->source, "too late");
    assert_int_equal(multifd_send_sync_main(pair->source, &err), -1);
    assert_error(&err, MULTIFD_ERROR_STATE, "has ended");
    assert_int_equal(multifd_source_finish(pair->source, &err), -1);
    assert_int_equal(multifd_queue_page(pair->source, pair->blocks[0].block, 0, &err), -1);
    assert_error(&err, MULTIFD_ERROR_STATE, "has ended");
    multifd_source_statistics(pair->source, &before);
    assert_int_equal(before.guest_bytes, 1 << 20);
    assert_int_equal(before.syncs, 1);
    multifd_save_cleanup(pair->source);
    multifd_save_cleanup(pair->source);
    multifd_source_statistics(pair->source, &after);
    assert_true(after.cpu_ns > before.cpu_ns); /* to end took its threads some */
    before.cpu_ns = after.cpu_ns;
    assert_memory_equal(&before, &after, sizeof(before));
    assert_int_equal(multifd_save_setup(pair->source, &err), -1);
    assert_error(&err, MULTIFD_ERROR_STATE, "was called before");
    multifd_source_delete(&pair->source);
    pair_join_destination(pair);
    watchdog_stop();
    CHECK(pair, pair->destination_side.status == 0 && pair_equal(pair));
    CHECK(pair, fabric_live_objects() == 0);
    pair_delete(&pair);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_option_set_wrongly),
        cmocka_unit_test_setup(options_that_contradict, fresh_fabric),
        cmocka_unit_test_setup(addresses, fresh_fabric),
        cmocka_unit_test(hooks_outlive_their_options),
        cmocka_unit_test(pages_of_zeros),
        cmocka_unit_test_setup(source_before_setup, fresh_fabric),
        cmocka_unit_test_setup(destination_before_a_source, fresh_fabric),
        cmocka_unit_test_setup(source_in_a_session, fresh_fabric),
        cmocka_unit_test_setup(source_after_the_finish, fresh_fabric),
    };

    return cmocka_run_group_tests_name("api", tests, NULL, NULL);
}
