/* SPDX-License-Identifier: MIT */
/* Over a byte stream: headers of one length, and payloads that may be longer than their pages. */
#include "core/base/bytes.h"
#include "writer_rig.h"

#include <stdlib.h>

static int make(void **state)
{
    if (rig_make(state) != 0) {
        return -1;
    }
    rig.config.stream = true;
    rig.config.slots = 1;
    rig.writer.params.stream = 1;
    rig.hook.write_flags = MULTIFD_WRITE_FLAG_STREAM;
    rig_start();
    rig.writer.remote = (struct remote_staging){0}; /* nobody says where it is */
    return 0;
}

#define with_stream(function) cmocka_unit_test_setup_teardown(function, make, rig_release_started)

static void assert_padded(uint32_t offsets_num)
{
    assert_int_equal(rig.writer.params.packet_len, packet_bytes(PAGES));
    for (size_t at = packet_bytes(offsets_num); at < packet_bytes(PAGES); at++) {
        assert_int_equal(rig.bytes[at], 0);
    }
}

static void there_is_room_for_twice_the_pages(void **state)
{
    (void)state;
    assert_int_equal(rig.writer.params.payload_max, 2 * PAGES * PAGE);
    assert_int_equal(rig.writer.params.stream, 1);
}

static void init_says_that_it_is_a_stream(void **state)
{
    struct packet_writer writer = {0};
    struct multifd_error err;

    (void)state;
    rig.config.stream = true;
    assert_int_equal(packet_writer_init(&writer, &rig.config, 1, &err), 0);
    assert_int_equal(writer.params.stream, 1);
    packet_writer_fini(&writer);
}

static void headers_have_one_length(void **state)
{
    (void)state;
    FILL(1, 2, 9);
    rig_compose();
    assert_padded(3);
    assert_int_equal(get_be64(rig.bytes + packet_bytes(2)), 9 * PAGE);
    FILL(5, 6);
    memset(rig.host + 5 * PAGE, 0, 2 * PAGE);
    rig_compose(); /* zero pages alone */
    assert_padded(2);
    rig_fill_sync(0);
    rig_compose();
    assert_padded(0);
    FILL(0, 1, 2, 3, 8, 9, 10, 11);
    rig_compose();
    assert_padded(PAGES);
}

static void a_piece_may_be_longer_than_its_pages(void **state)
{
    static const uint32_t lengths[] = {1, PAGE, PAGE + 1, 2 * PAGES * PAGE};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        rig.hook.length = lengths[i];
        FILL(1);
        rig_compose();
        assert_int_equal(rig.writer.writes_num, 1);
        assert_int_equal(rig.writer.writes[0].length, lengths[i]);
        assert_int_equal(rig.writer.writes[0].local_address, (uintptr_t)rig.writer.params.payload);
    }
}

static void no_longer_than_there_is_room(struct multifd_send_params *p)
{
    p->next_packet_size = 2 * PAGES * PAGE + 1;
    p->iov[1].iov_len = p->next_packet_size;
}

static void too_long_a_piece(void **state)
{
    struct multifd_error err;

    (void)state;
    rig.hook.length = PAGE;
    rig.hook.spoil = no_longer_than_there_is_room;
    FILL(1);
    assert_int_equal(rig_try_compose(&err), -1);
    assert_error(&err, MULTIFD_ERROR_METHOD, "or too long");
}

/* A method whose payloads are apart saves something, over a byte stream too. */
static void a_payload_that_saves_nothing(void **state)
{
    struct multifd_error err;

    (void)state;
    rig.writer.params.write_flags = 0;
    rig.hook.length = PAGE;
    FILL(1);
    assert_int_equal(rig_try_compose(&err), -1);
    assert_error(&err, MULTIFD_ERROR_METHOD, "or too long");
}

static void pages_as_they_are(void **state)
{
    (void)state;
    FILL(1, 2, 9);
    rig_compose();
    assert_padded(3);
    assert_true(rig.writer.writes_num >= 2);
    assert_int_equal(rig.writer.writes[0].local_address, (uintptr_t)(rig.host + PAGE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_stream(there_is_room_for_twice_the_pages),
        with_writer(init_says_that_it_is_a_stream),
        with_stream(headers_have_one_length),
        with_stream(a_piece_may_be_longer_than_its_pages),
        with_stream(too_long_a_piece),
        with_stream(a_payload_that_saves_nothing),
        with_stream(pages_as_they_are),
    };

    return cmocka_run_group_tests_name("core/packet_writer, streams", tests, NULL, NULL);
}
