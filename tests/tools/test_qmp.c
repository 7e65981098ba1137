/* SPDX-License-Identifier: MIT */
#include "cmocka_all.h"

#include "bridge/qmp.h"
#include "fake_qmp.h"
#include "scratch.h"

#include <string.h>

#define PATH     "qmp"
#define SHORT_MS 100u
#define LONG_MS  10000u

#define EVENT(name) "^{\"event\": \"" name "\", \"data\": {\"status\": \"active\"}}\n"

static int enter(void **state)
{
    (void)state;
    return scratch_enter_below("/var/tmp");
}

static int leave(void **state)
{
    (void)state;
    return scratch_leave();
}

static void assert_refused(const char *path, enum multifd_error_code code, const char *text)
{
    struct multifd_error err = {0};

    assert_null(qmp_connect(path, SHORT_MS, &err));
    if (err.code != code || strstr(err.message, text) == NULL) {
        fail_msg("%s: %s", multifd_error_name(err.code), err.message);
    }
}

static void assert_greeting_refused(const char *greeting, enum multifd_error_code code,
                                    const char *text)
{
    struct fake_qmp *fake = fake_qmp_start(PATH, greeting, NULL);

    assert_refused(PATH, code, text);
    fake_qmp_stop(&fake);
    assert_int_equal(unlink(PATH), 0);
}

static void needs_a_monitor(void **state)
{
    char path[200];

    (void)state;
    memset(path, 'x', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    assert_refused("none", MULTIFD_ERROR_CONNECT, "--qmp none: cannot be connected to: No such");
    assert_refused("", MULTIFD_ERROR_ADDRESS, "path");
    assert_refused(path, MULTIFD_ERROR_ADDRESS, "path");
    assert_greeting_refused("", MULTIFD_ERROR_TIMEOUT, "serves one at a time");
    assert_greeting_refused("hello\n", MULTIFD_ERROR_PROTOCOL, "no JSON");
    assert_greeting_refused("[]\n", MULTIFD_ERROR_PROTOCOL, "no JSON object");
    assert_greeting_refused("{\"x\": 1}\n", MULTIFD_ERROR_PROTOCOL, "not QEMU's QMP monitor");
}

/* Some monitors print objects on many lines (QEMU's pretty=on). */
static void takes_every_layout(void **state)
{
    static const char pretty[] = "\r\n{\n  \"QMP\": {\n \"version\": {\"qemu\":\n {\"micro\": 1,\n"
                                 "\"minor\": 0, \"major\": 10}}, \"capabilities\": [true]}}\n\n";
    struct fake_qmp *fake = fake_qmp_start(PATH, pretty, NULL);
    struct multifd_error err = {0};
    struct qmp *qmp = qmp_connect(PATH, LONG_MS, &err);

    (void)state;
    assert_non_null(qmp);
    assert_string_equal(qmp_version(qmp), "10.0.1");
    assert_int_equal(qmp_process(qmp), getpid());
    assert_true(fake_qmp_heard(fake, "qmp_capabilities"));
    qmp_delete(&qmp);
    assert_null(qmp);
    qmp_delete(&qmp);
    fake_qmp_stop(&fake);
}

static void refuses_when_capabilities_are_refused(void **state)
{
    static const struct fake_answer answers[] = {{"qmp_capabilities", "!no"}, {NULL, NULL}};
    struct fake_qmp *fake = fake_qmp_start(PATH, FAKE_QMP_GREETING, answers);

    (void)state;
    assert_refused(PATH, MULTIFD_ERROR_REFUSED, "QEMU refuses qmp_capabilities: no");
    fake_qmp_stop(&fake);
}

static void executes(void **state)
{
    static const struct fake_answer answers[] = {
        {"one", "{\"value\": 1}"}, {"text", "\"a\\nb\""}, {"bad", "!it is bad"}, {NULL, NULL}};
    struct fake_qmp *fake = fake_qmp_start(PATH, FAKE_QMP_GREETING, answers);
    struct multifd_error err = {0};
    struct qmp *qmp = qmp_connect(PATH, LONG_MS, &err);
    json_t *result = NULL;

    (void)state;
    assert_int_equal(qmp_execute(qmp, "one", json_pack("{s:i}", "x", 5), &result, &err), 0);
    assert_int_equal(json_integer_value(json_object_get(result, "value")), 1);
    json_decref(result);
    assert_true(fake_qmp_heard(fake, "\"arguments\":{\"x\":5}"));
    assert_int_equal(qmp_execute(qmp, "text", NULL, &result, &err), 0);
    assert_string_equal(json_string_value(result), "a\nb");
    json_decref(result);
    assert_int_equal(qmp_execute(qmp, "bad", NULL, &result, &err), -1);
    assert_int_equal(err.code, MULTIFD_ERROR_REFUSED);
    assert_string_equal(err.message, "QEMU refuses bad: it is bad");
    assert_int_equal(qmp_execute(qmp, "unknown", NULL, NULL, &err), 0);
    qmp_delete(&qmp);
    fake_qmp_stop(&fake);
}

/* The answer to a command that was given up must not be taken for another one's. */
static void answers_are_matched(void **state)
{
    static const struct fake_answer answers[] = {
        {"late", FAKE_QMP_SILENT},
        {"other", "^{\"return\": \"late\", \"id\": 2}\n\"mine\""},
        {NULL, NULL}};
    struct fake_qmp *fake = fake_qmp_start(PATH, FAKE_QMP_GREETING, answers);
    struct multifd_error err = {0};
    struct qmp *qmp = qmp_connect(PATH, LONG_MS, &err);
    json_t *result = NULL;

    (void)state;
    qmp_set_timeout(qmp, SHORT_MS);
    assert_int_equal(qmp_execute(qmp, "late", NULL, NULL, &err), -1);
    assert_int_equal(err.code, MULTIFD_ERROR_TIMEOUT);
    assert_string_equal(err.message, "QEMU has not answered late within 100 ms");
    qmp_set_timeout(qmp, LONG_MS);
    assert_int_equal(qmp_execute(qmp, "other", NULL, &result, &err), 0);
    assert_string_equal(json_string_value(result), "mine");
    json_decref(result);
    qmp_delete(&qmp);
    fake_qmp_stop(&fake);
}

static void assert_event(struct qmp *qmp, const char *name)
{
    struct multifd_error err = {0};
    json_t *event = NULL;

    assert_int_equal(qmp_event(qmp, LONG_MS, &event, &err), 1);
    assert_string_equal(json_string_value(json_object_get(event, "event")), name);
    json_decref(event);
}

static void events_are_kept(void **state)
{
    static const struct fake_answer answers[] = {
        {"one", EVENT("A") "{}"}, {"two", EVENT("B") ""}, {NULL, NULL}};
    struct fake_qmp *fake = fake_qmp_start(PATH, FAKE_QMP_GREETING, answers);
    struct multifd_error err = {0};
    struct qmp *qmp = qmp_connect(PATH, LONG_MS, &err);
    json_t *event = NULL;

    (void)state;
    assert_int_equal(qmp_execute(qmp, "one", NULL, NULL, &err), 0);
    qmp_set_timeout(qmp, SHORT_MS);
    assert_int_equal(qmp_execute(qmp, "two", NULL, NULL, &err), -1);
    assert_event(qmp, "A");
    assert_event(qmp, "B");
    assert_int_equal(qmp_event(qmp, 10, &event, &err), 0);
    qmp_delete(&qmp);
    fake_qmp_stop(&fake);
}

/* A monitor that has ended, while it is asked and while nobody asks. */
static void tells_that_it_has_closed(void **state)
{
    static const struct fake_answer answers[] = {{"end", FAKE_QMP_CLOSE}, {NULL, NULL}};
    struct fake_qmp *fake = fake_qmp_start(PATH, FAKE_QMP_GREETING, answers);
    struct multifd_error err = {0};
    struct qmp *qmp = qmp_connect(PATH, LONG_MS, &err);
    json_t *event = NULL;

    (void)state;
    assert_int_equal(qmp_execute(qmp, "end", NULL, NULL, &err), -1);
    assert_int_equal(err.code, MULTIFD_ERROR_DISCONNECTED);
    assert_int_equal(qmp_event(qmp, LONG_MS, &event, &err), -1);
    assert_int_equal(err.code, MULTIFD_ERROR_DISCONNECTED);
    assert_int_equal(qmp_execute(qmp, "more", NULL, NULL, &err), -1);
    assert_int_equal(err.code, MULTIFD_ERROR_DISCONNECTED);
    qmp_delete(&qmp);
    fake_qmp_stop(&fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(needs_a_monitor, enter, leave),
        cmocka_unit_test_setup_teardown(takes_every_layout, enter, leave),
        cmocka_unit_test_setup_teardown(refuses_when_capabilities_are_refused, enter, leave),
        cmocka_unit_test_setup_teardown(executes, enter, leave),
        cmocka_unit_test_setup_teardown(answers_are_matched, enter, leave),
        cmocka_unit_test_setup_teardown(events_are_kept, enter, leave),
        cmocka_unit_test_setup_teardown(tells_that_it_has_closed, enter, leave),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
