/* SPDX-License-Identifier: MIT */
/*
 * Whole sessions over the null device, source and destination in one process: no page arrives, but
 * both sides count the same.
 */
#include <multifd.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PAGE = 4096, PAGES = 3000, ROUNDS = 5, OLD = 0xd5 };

struct session {
    const char *channels;
    bool scattered;
    uint8_t *from;
    uint8_t *to;
    struct multifd_source *source;
    struct multifd_destination *destination;
    int rounds; /* that the destination has seen, or -1 */
    struct multifd_error err;
};

static struct multifd_options *make_options(const struct session *session)
{
    struct multifd_options *options = multifd_options_new();
    struct multifd_error err;

    assert_non_null(options);
    assert_int_equal(multifd_options_set(options, "channels", session->channels, &err), 0);
    assert_int_equal(multifd_options_set(options, "verify", "off", &err), 0);
    return options;
}

static void *receive(void *arg)
{
    struct session *session = arg;
    int status = 1;

    while (status == 1 && !multifd_recv_all_channels_created(session->destination)) {
        status = multifd_recv_new_channel(session->destination, &session->err) == 0 ? 1 : -1;
    }
    while (status == 1 &&
           (status = multifd_recv_sync_main(session->destination, &session->err)) == 1) {
        session->rounds++;
    }
    if (status != 0) {
        session->rounds = -1;
    }
    return NULL;
}

static void set_up(struct session *session)
{
    struct multifd_options *options = make_options(session);
    struct multifd_error err;
    char address[40];

    session->from = aligned_alloc(PAGE, (size_t)PAGES * PAGE);
    session->to = aligned_alloc(PAGE, (size_t)PAGES * PAGE);
    assert_non_null(session->from);
    assert_non_null(session->to);
    memset(session->from, 1, (size_t)PAGES * PAGE);
    memset(session->to, OLD, (size_t)PAGES * PAGE);
    session->destination = multifd_destination_new("rdma:127.0.0.1:0", options, &err);
    assert_non_null(session->destination);
    assert_int_equal(multifd_destination_add_block(session->destination, "ram", session->to,
                                                   (uint64_t)PAGES * PAGE, &err),
                     0);
    assert_int_equal(multifd_load_setup(session->destination, &err), 0);
    snprintf(address, sizeof(address), "rdma:127.0.0.1:%u",
             multifd_destination_port(session->destination));
    session->source = multifd_source_new(address, options, &err);
    assert_non_null(session->source);
    multifd_options_delete(&options);
}

static void tear_down(struct session *session)
{
    multifd_source_delete(&session->source);
    multifd_destination_delete(&session->destination);
    free(session->from);
    free(session->to);
}

/* Scattered: the even pages, then the odd, so that no two adjoin. */
static uint64_t page_at(const struct session *session, uint32_t i)
{
    uint32_t half = (PAGES + 1) / 2;

    if (!session->scattered) {
        return i;
    }
    return i < half ? 2 * i : 2 * (i - half) + 1;
}

static void send_rounds(struct session *session, struct multifd_ram_block *block)
{
    struct multifd_error err;

    for (int round = 0; round < ROUNDS; round++) {
        for (uint32_t i = 0; i < PAGES; i++) {
            if (multifd_queue_page(session->source, block, page_at(session, i) * PAGE, &err) != 0) {
                fail_msg("%s", err.message);
            }
        }
        if (multifd_send_sync_main(session->source, &err) != 0) {
            fail_msg("%s", err.message);
        }
    }
    if (multifd_source_finish(session->source, &err) != 0) {
        fail_msg("%s", err.message);
    }
}

static void check_totals(const struct session *session)
{
    struct multifd_statistics sent;
    struct multifd_statistics received;

    multifd_source_statistics(session->source, &sent);
    multifd_destination_statistics(session->destination, &received);
    assert_int_equal(sent.normal_pages, (uint64_t)PAGES * ROUNDS);
    assert_int_equal(received.normal_pages, sent.normal_pages);
    assert_int_equal(received.guest_bytes, sent.guest_bytes);
    assert_int_equal(received.packets, sent.packets);
    assert_int_equal(session->to[0], OLD);
    assert_memory_equal(session->to, session->to + 1, (size_t)PAGES * PAGE - 1);
}

static void run(const char *channels, bool scattered)
{
    struct session session = {.channels = channels, .scattered = scattered};
    struct multifd_ram_block *block;
    struct multifd_error err;
    pthread_t thread;

    set_up(&session);
    block =
        multifd_source_add_block(session.source, "ram", session.from, (uint64_t)PAGES * PAGE, &err);
    assert_non_null(block);
    assert_int_equal(pthread_create(&thread, NULL, receive, &session), 0);
    if (multifd_save_setup(session.source, &err) != 0) {
        fail_msg("%s", err.message);
    }
    send_rounds(&session, block);
    pthread_join(thread, NULL);
    if (session.rounds != ROUNDS) {
        fail_msg("%d rounds: %s", session.rounds, session.err.message);
    }
    check_totals(&session);
    tear_down(&session);
}

static void one_channel(void **state)
{
    (void)state;
    run("1", false);
    run("1", true);
}

static void several_channels(void **state)
{
    (void)state;
    run("4", false);
    run("4", true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_channel),
        cmocka_unit_test(several_channels),
    };

    return cmocka_run_group_tests_name("null session", tests, NULL, NULL);
}
