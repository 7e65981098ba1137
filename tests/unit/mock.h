/* SPDX-License-Identifier: MIT */
/*
 * mock - what all mocks share: a log of calls, switches that make calls fail, a count of live
 * objects.
 *
 * A mocked function calls mock_enter first. Tests run between mock_setup and mock_teardown; the
 * latter fails a test that leaves objects behind, or whose switch was never reached.
 */
#ifndef MULTIFD_UNIT_MOCK_H
#define MULTIFD_UNIT_MOCK_H

#include "test.h"

/* A cmocka test with the mocks reset before and checked after it. */
#define mocked_test(function) cmocka_unit_test_setup_teardown(function, mock_setup, mock_teardown)

int mock_setup(void **state);
int mock_teardown(void **state);

/* Every call of `call` from now on fails with that errno. */
void mock_fail(const char *call, int errnum);

/* Only the nth call (1: the next) fails. */
void mock_fail_nth(const char *call, unsigned nth, int errnum);

/* Withdraws the switch for `call`, whether it was reached or not. */
void mock_succeed(const char *call);

/* The names of the calls so far, each followed by a space. */
const char *mock_log(void);
void mock_log_clear(void);
#define assert_calls(expected) assert_string_equal(mock_log(), expected)

/* How often `call` is in the log. */
unsigned mock_calls(const char *call);

/* For mocks: logs the call; 0, or the errno that it is to fail with (also put into errno). */
int mock_enter(const char *call);

/* For mocks: the same for calls that are not logged. */
int mock_check(const char *call);

/* For mocks: an object of `size` zeroed bytes that is counted until it is freed. */
void *mock_object(size_t size);
void mock_object_free(void *object);

/* Objects that exist now. */
unsigned mock_live(void);

#endif
