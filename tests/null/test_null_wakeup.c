/* SPDX-License-Identifier: MIT */
/*
 * What the engine relies on when it sleeps: who arms, looks once more and then sleeps is woken by
 * what comes after the look.
 */
#include "null_pair.h"

#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

enum { SLEEP_MS = 10000, ROUNDS = 20000 };

static bool is_readable(const struct end *end)
{
    struct pollfd fd = {.fd = end->channel->fd, .events = POLLIN};

    return poll(&fd, 1, 0) == 1;
}

static void take_cq_event(struct end *end)
{
    struct ibv_cq *cq;
    void *context;

    assert_int_equal(ibv_get_cq_event(end->channel, &cq, &context), 0);
    assert_ptr_equal(cq, end->cq);
    ibv_ack_cq_events(cq, 1);
}

static void an_arming_gives_one_event(void **state)
{
    struct pair pair;
    struct end *passive = &pair.passive;

    (void)state;
    connect_pair(&pair);
    assert_int_equal(post_send(&pair.active, 0, "x", 0), 0);
    assert_int_equal(ibv_req_notify_cq(passive->cq, 0), 0);
    assert_false(is_readable(passive)); /* what is there already shows in the poll after arming */
    assert_int_equal(post_send(&pair.active, 0, "x", 0), 0);
    assert_int_equal(post_send(&pair.active, 0, "x", 0), 0);
    take_cq_event(passive);
    assert_false(is_readable(passive));
    disconnect_pair(&pair);
}

static void solicited_events_are_for_the_solicited(void **state)
{
    struct pair pair;
    struct end *passive = &pair.passive;

    (void)state;
    connect_pair(&pair);
    assert_int_equal(ibv_req_notify_cq(passive->cq, 1), 0);
    assert_int_equal(post_send(&pair.active, 0, "x", 0), 0);
    assert_int_equal(post_send(passive, 0, "x", IBV_SEND_SIGNALED | IBV_SEND_SOLICITED), 0);
    assert_false(is_readable(passive));
    assert_int_equal(post_send(&pair.active, 0, "x", IBV_SEND_SOLICITED), 0);
    take_cq_event(passive);
    /* Who asks for all of them keeps them, whatever is asked for after that. */
    assert_int_equal(ibv_req_notify_cq(passive->cq, 0), 0);
    assert_int_equal(ibv_req_notify_cq(passive->cq, 1), 0);
    assert_int_equal(post_send(&pair.active, 0, "x", 0), 0);
    take_cq_event(passive);
    disconnect_pair(&pair);
}

struct player {
    struct end *end;
    bool begins;
    bool solicited;
    const char *failure; /* NULL: none */
};

/* Arms, looks once more, and only then sleeps. */
static int poll_or_sleep(const struct player *player, struct ibv_wc *wc)
{
    struct end *end = player->end;
    struct pollfd fd = {.fd = end->channel->fd, .events = POLLIN};
    struct ibv_cq *cq;
    void *context;
    int got = ibv_poll_cq(end->cq, 1, wc);

    while (got == 0) {
        ibv_req_notify_cq(end->cq, player->solicited);
        got = ibv_poll_cq(end->cq, 1, wc);
        if (got == 0) {
            if (poll(&fd, 1, SLEEP_MS) != 1 || ibv_get_cq_event(end->channel, &cq, &context) != 0) {
                return -1;
            }
            got = ibv_poll_cq(end->cq, 1, wc);
        }
    }
    return got;
}

/* Waits for the other's message; its own sends complete on the same queue, before or after. */
static const char *wait_for_message(const struct player *player)
{
    struct ibv_wc wc = {.opcode = IBV_WC_SEND};

    while (wc.opcode != IBV_WC_RECV) {
        if (poll_or_sleep(player, &wc) != 1) {
            return "an event was lost";
        }
        if (wc.status != IBV_WC_SUCCESS) {
            return "a completion failed";
        }
    }
    if (strcmp((char *)player->end->bytes[wc.wr_id], "ball") != 0) {
        return "the message is another";
    }
    memset(player->end->bytes[wc.wr_id], 0, MESSAGE);
    return post_receive(player->end, wc.wr_id) == 0 ? NULL : "a receive was not taken";
}

static void *play(void *arg)
{
    struct player *player = arg;
    unsigned flags = IBV_SEND_SIGNALED | (player->solicited ? IBV_SEND_SOLICITED : 0u);

    for (int round = 0; round < ROUNDS && player->failure == NULL; round++) {
        if (player->begins && post_send(player->end, 0, "ball", flags) != 0) {
            player->failure = "a send was not taken";
        }
        if (player->failure == NULL) {
            player->failure = wait_for_message(player);
        }
        if (!player->begins && post_send(player->end, 0, "ball", flags) != 0) {
            player->failure = "a send was not taken";
        }
    }
    return NULL;
}

static void no_wake_up_is_lost(void **state)
{
    (void)state;
    for (int solicited = 0; solicited < 2; solicited++) {
        struct player players[2] = {{.begins = true}, {.begins = false}};
        pthread_t threads[2];
        struct pair pair;

        connect_pair(&pair);
        players[0].end = &pair.active;
        players[1].end = &pair.passive;
        for (int i = 0; i < 2; i++) {
            players[i].solicited = solicited != 0;
            assert_int_equal(pthread_create(&threads[i], NULL, play, &players[i]), 0);
        }
        for (int i = 0; i < 2; i++) {
            pthread_join(threads[i], NULL);
        }
        for (int i = 0; i < 2; i++) {
            if (players[i].failure != NULL) {
                fail_msg("%s", players[i].failure);
            }
        }
        disconnect_pair(&pair);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_arming_gives_one_event),
        cmocka_unit_test(solicited_events_are_for_the_solicited),
        cmocka_unit_test(no_wake_up_is_lost),
    };

    return cmocka_run_group_tests_name("null wake-up", tests, NULL, NULL);
}
