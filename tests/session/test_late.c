/* SPDX-License-Identifier: MIT */
/*
 * The source's calling thread gets no processor time just when the session ends: the destination
 * has said its last word and left long before that thread hears of it. No failure, on either side.
 */
#include "check.h"

#include <poll.h>
#include <unistd.h>

enum {
    LATE_MS = 700, /* more than an end without a reason is held back for */
    TRIES = 20,    /* a source that was slow before finds the last word there, and does not sleep */
};

/* The session whose last round has been synced; of the source's thread alone. */
static _Thread_local struct session_pair *ending;

int __real_poll(struct pollfd *fds, nfds_t num, int timeout);
int __wrap_poll(struct pollfd *fds, nfds_t num, int timeout);
ssize_t __real_read(int fd, void *to, size_t room);
ssize_t __wrap_read(int fd, void *to, size_t room);

/* The thread has slept, and goes on when everybody else is done. */
static void be_late(void)
{
    if (ending == NULL) {
        return;
    }
    pthread_mutex_lock(&ending->lock);
    while (!ending->destination_ended) {
        pthread_cond_wait(&ending->changed, &ending->lock);
    }
    pthread_mutex_unlock(&ending->lock);
    ending = NULL;
    usleep(LATE_MS * 1000);
}

int __wrap_poll(struct pollfd *fds, nfds_t num, int timeout)
{
    int status = __real_poll(fds, num, timeout);

    be_late();
    return status;
}

/* A thread with nothing else to wait for sleeps in it; see waker_sleep. */
ssize_t __wrap_read(int fd, void *to, size_t room)
{
    ssize_t got = __real_read(fd, to, room);

    be_late();
    return got;
}

static void note_end(struct session_pair *pair, uint32_t round)
{
    (void)round;
    ending = pair;
}

/* Returns whether the source's thread was late. */
static bool run_once(const struct pair_setting *settings)
{
    const struct pair_plan plan = {
        .name = "a late source", .settings = settings, .synced = note_end};
    struct session_pair *pair;
    bool was_late;

    fabric_reset(NULL);
    watchdog_start(30, plan.name);
    pair = pair_new(&plan);
    pair_run(pair);
    was_late = ending == NULL;
    ending = NULL;
    check_finished(pair);
    CHECK(pair, pair_equal(pair));
    pair_delete(&pair);
    watchdog_stop();
    return was_late;
}

static void run_late(const struct pair_setting *settings)
{
    bool was_late = false;

    for (int i = 0; i < TRIES && !was_late; i++) {
        was_late = run_once(settings);
    }
    assert_true(was_late);
}

static void last_word_is_heard_late(void **state)
{
    static const struct pair_setting verify[] = {{"verify", "on"}, {NULL, NULL}};

    (void)state;
    run_late(NULL);
    run_late(verify);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(last_word_is_heard_late)};
    int failed = cmocka_run_group_tests_name("late", tests, NULL, NULL);

    pair_transport = PAIR_TCP;
    failed += cmocka_run_group_tests_name("late, tcp", tests, NULL, NULL);
    pair_transport = PAIR_UNIX;
    return failed + cmocka_run_group_tests_name("late, unix", tests, NULL, NULL);
}
