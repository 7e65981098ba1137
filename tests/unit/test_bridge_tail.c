/* SPDX-License-Identifier: MIT */
#include "core/bridge/tail.h"

#include "core/bridge/answers.h"
#include "mock.h"
#include "test.h"

#include <errno.h>

#define FOOTER "\x7e\0\0\0\5"
#define END    FOOTER "\0\6\0\0\0\10{\"a\":[]}"

static struct bridge_tail tail;

static int forget(void **state)
{
    (void)state;
    bridge_tail_fini(&tail);
    return 0;
}

static void add(const char *bytes, size_t length)
{
    struct multifd_error err;

    assert_int_equal(bridge_tail_add(&tail, (const uint8_t *)bytes, length, &err), 0);
}

/* What may be handed over now is that, and is. */
static void assert_ready(const char *bytes, size_t length)
{
    const uint8_t *at;

    assert_int_equal(bridge_tail_ready(&tail, &at), length);
    if (length != 0) {
        assert_memory_equal(at, bytes, length);
    }
    bridge_tail_take(&tail, length);
}

static void before_it_watches_all_passes(void **state)
{
    (void)state;
    assert_ready("", 0);
    add(END, sizeof(END) - 1);
    assert_ready(END, sizeof(END) - 1);
    assert_false(bridge_tail_is_complete(&tail));
}

/* However the bytes come, the end stays, from its footer on. */
static void the_end_is_kept_back(void **state)
{
    static const char all[] = "state of a device" END;
    const size_t length = sizeof(all) - 1;

    (void)state;
    for (size_t step = 1; step <= length; step++) {
        const uint8_t *at;
        size_t passed = 0;

        forget(NULL);
        bridge_tail_watch(&tail);
        for (size_t i = 0; i < length; i += step) {
            size_t ready;

            assert_false(bridge_tail_is_complete(&tail));
            add(all + i, length - i < step ? length - i : step);
            ready = bridge_tail_ready(&tail, &at);
            assert_memory_equal(at, all + passed, ready);
            bridge_tail_take(&tail, ready);
            passed += ready;
            assert_true(passed <= 17);
        }
        assert_int_equal(passed, 17);
        assert_true(bridge_tail_is_complete(&tail));
        bridge_tail_open(&tail);
        assert_ready(END, sizeof(END) - 1);
    }
}

static void what_only_looks_so_passes(void **state)
{
    static const char footer[] = FOOTER "\4";
    static const char other[] = FOOTER "\0\7";
    static const char no_text[] = FOOTER "\0\6\0\0\0\10[\"a\":[]}";
    static const char longer[] = END " and more";
    static const char huge[] = FOOTER "\0\6\x7f\0\0\0{";

    (void)state;
    bridge_tail_watch(&tail);
    add(footer, sizeof(footer) - 1);
    assert_ready(footer, sizeof(footer) - 1);
    add(other, sizeof(other) - 1);
    assert_ready(other, sizeof(other) - 1);
    add(no_text, sizeof(no_text) - 1);
    assert_ready(no_text, sizeof(no_text) - 1);
    add(longer, sizeof(longer) - 1);
    assert_ready(longer, sizeof(longer) - 1);
    add(huge, sizeof(huge) - 1);
    assert_ready(huge, sizeof(huge) - 1);
}

/* One that looks so is disproved by what comes, in which the true one lies. */
static void the_true_end_is_found_behind_others(void **state)
{
    static const char false_one[] = FOOTER "\0\6\0\0\0\4{no}";

    (void)state;
    bridge_tail_watch(&tail);
    add(false_one, sizeof(false_one) - 1);
    assert_ready("", 0);
    assert_true(bridge_tail_is_complete(&tail)); /* for all that is known */
    add("\x7e\x7e" END, sizeof(END) + 1);
    assert_ready("\x7e\0\0\0\5\0\6\0\0\0\4{no}\x7e\x7e", sizeof(false_one) + 1);
    assert_true(bridge_tail_is_complete(&tail));
}

static void without_a_description_silence_tells(void **state)
{
    (void)state;
    bridge_tail_watch(&tail);
    add("x" FOOTER, 6);
    assert_ready("x", 1);
    assert_false(bridge_tail_may_be_complete(&tail));
    add("\0", 1);
    assert_ready("", 0);
    assert_true(bridge_tail_may_be_complete(&tail));
    assert_false(bridge_tail_is_complete(&tail));
    bridge_tail_open(&tail);
    assert_ready(FOOTER "\0", 6);
}

static void no_memory_is_an_error(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    (void)state;
    mock_fail("malloc", ENOMEM);
    assert_int_equal(bridge_tail_add(&tail, (const uint8_t *)"x", 1, &err), -1);
    assert_error(&err, MULTIFD_ERROR_SYSTEM, "memory");
}

/* ---- Answers ----------------------------------------------------------------------------- */

static void the_last_answer_is_found(void **state)
{
    static const uint8_t all[] = {0,   2, 0, 4, 0, 0, 0, 1, 0, 5, 0, 3, 'a', 'b',
                                  'c', 0, 7, 0, 0, 0, 1, 0, 4, 0, 0, 0, 9};

    (void)state;
    for (uint32_t step = 1; step <= sizeof(all); step++) {
        struct bridge_answers answers = {.have = 0};
        struct multifd_error err = ERROR_UNTOUCHED;

        for (uint32_t i = 0; i < sizeof(all); i += step) {
            uint32_t left = (uint32_t)sizeof(all) - i;

            assert_false(answers.shut);
            assert_int_equal(
                bridge_answers_look(&answers, all + i, left < step ? left : step, &err), 0);
        }
        assert_true(answers.shut);
        assert_int_equal(answers.value, 9);
        assert_int_equal(bridge_answers_look(&answers, all, 4, &err), -1);
        assert_error(&err, MULTIFD_ERROR_PROTOCOL, "behind the last one");
    }
}

static void wrong_answers_are_refused(void **state)
{
    static const uint8_t wrong[][4] = {{0, 0, 0, 4}, {0, 8, 0, 4}, {0, 1, 0, 3}, {0, 2, 2, 1}};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        struct bridge_answers answers = {.have = 0};
        struct multifd_error err = ERROR_UNTOUCHED;

        assert_int_equal(bridge_answers_look(&answers, wrong[i], 4, &err), -1);
        assert_error(&err, MULTIFD_ERROR_PROTOCOL, "return path refused");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(before_it_watches_all_passes, forget),
        cmocka_unit_test_teardown(the_end_is_kept_back, forget),
        cmocka_unit_test_teardown(what_only_looks_so_passes, forget),
        cmocka_unit_test_teardown(the_true_end_is_found_behind_others, forget),
        cmocka_unit_test_teardown(without_a_description_silence_tells, forget),
        mocked_test(no_memory_is_an_error),
        cmocka_unit_test(the_last_answer_is_found),
        cmocka_unit_test(wrong_answers_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
