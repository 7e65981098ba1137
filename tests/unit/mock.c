/* SPDX-License-Identifier: MIT */
#include "mock.h"

#include "mock_verbs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define FAILURES_MAX 8

/* The allocator without switches (see mock_memory.c). */
void *__real_calloc(size_t num, size_t size);

struct failure {
    const char *call;
    unsigned nth; /* 0: each */
    unsigned seen;
    bool reached;
    int errnum;
};

static struct failure failures[FAILURES_MAX];
static unsigned failures_num;
static char call_log[16384];
static unsigned live;

int mock_setup(void **state)
{
    (void)state;
    failures_num = 0;
    live = 0;
    mock_log_clear();
    mock_verbs_reset();
    mock_rdmacm_reset();
    return 0;
}

int mock_teardown(void **state)
{
    (void)state;
    mock_rdmacm_check();
    for (unsigned i = 0; i < failures_num; i++) {
        if (!failures[i].reached) {
            print_error("%s was to fail and was never called\n", failures[i].call);
            return -1;
        }
    }
    if (live != 0) {
        print_error("%u objects left behind\n", live);
        return -1;
    }
    return 0;
}

void mock_fail_nth(const char *call, unsigned nth, int errnum)
{
    assert_true(failures_num < FAILURES_MAX);
    failures[failures_num++] = (struct failure){.call = call, .nth = nth, .errnum = errnum};
}

void mock_fail(const char *call, int errnum)
{
    mock_fail_nth(call, 0, errnum);
}

void mock_succeed(const char *call)
{
    for (unsigned i = 0; i < failures_num; i++) {
        if (strcmp(failures[i].call, call) == 0) {
            failures[i] = failures[--failures_num];
            i--;
        }
    }
}

const char *mock_log(void)
{
    return call_log;
}

void mock_log_clear(void)
{
    call_log[0] = '\0';
}

unsigned mock_calls(const char *call)
{
    size_t length = strlen(call);
    unsigned found = 0;

    for (const char *at = call_log; *at != '\0'; at = strchr(at, ' ') + 1) {
        found += strncmp(at, call, length) == 0 && at[length] == ' ';
    }
    return found;
}

int mock_check(const char *call)
{
    for (unsigned i = 0; i < failures_num; i++) {
        struct failure *failure = &failures[i];

        if (strcmp(failure->call, call) != 0) {
            continue;
        }
        failure->seen++;
        if (failure->nth == 0 || failure->nth == failure->seen) {
            failure->reached = true;
            errno = failure->errnum;
            return failure->errnum;
        }
    }
    return 0;
}

int mock_enter(const char *call)
{
    size_t used = strlen(call_log);

    assert_true(used + strlen(call) + 2 < sizeof(call_log));
    sprintf(call_log + used, "%s ", call);
    return mock_check(call);
}

void *mock_object(size_t size)
{
    void *object = __real_calloc(1, size);

    assert_non_null(object);
    live++;
    return object;
}

void mock_object_free(void *object)
{
    assert_true(live > 0);
    live--;
    free(object);
}

unsigned mock_live(void)
{
    return live;
}
