/* SPDX-License-Identifier: MIT */
/* Which port a client goes to; nobody waits at any of these. */
#include "cmocka_all.h"

#include "bench/client.h"
#include "words.h"

#include <string.h>

static void assert_client_says(const char *line, const char *said)
{
    struct multifd_error err = {0};
    json_t *results = json_pack("{s:[]}", "rows");
    struct bench_args args;
    struct words words;

    words_split(&words, "sync", line);
    assert_int_equal(
        bench_args_parse(&args, measurement_find("sync"), words.argc, words.argv, &err), CLI_RUN);
    json_t *cases = bench_args_cases(&args);
    assert_int_equal(client_measure(&args, cases, results, &err), -1);
    if (strstr(err.message, said) == NULL) {
        fail_msg("%s: \"%s\" lacks \"%s\"", line, err.message, said);
    }
    json_decref(cases);
    json_decref(results);
    bench_args_clear(&args);
}

static void the_port_that_was_told(void **state)
{
    (void)state;
    assert_client_says("tcp:127.0.0.1", "waits at TCP port 18515 of 127.0.0.1");
    assert_client_says("tcp:127.0.0.1:2", "waits at TCP port 2 of");
    assert_client_says("tcp:127.0.0.1 -p 3", "waits at TCP port 3 of");
    assert_client_says("tcp:127.0.0.1:2 -p 2", "waits at TCP port 2 of");
}

static void ports_that_differ(void **state)
{
    (void)state;
    assert_client_says("tcp:127.0.0.1:2 -p 3", "port: 3, but the address says 2");
    assert_client_says("tcp:127.0.0.1:18515 -p 3", "port: 3, but the address says 18515");
    assert_client_says("tcp:127.0.0.1:3 -p 18515", "port: 18515, but the address says 3");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_port_that_was_told),
        cmocka_unit_test(ports_that_differ),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
