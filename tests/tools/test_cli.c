/* SPDX-License-Identifier: MIT */
#include "cmocka_all.h"

#include "capture.h"
#include "cli.h"
#include "cli_table.h"
#include "commands.h"
#include "words.h"

#include <stdlib.h>
#include <string.h>

static char taken[128];

static int take(void *opaque, const struct cli_option *option, const char *value,
                struct multifd_error *err)
{
    (void)err;
    assert_ptr_equal(opaque, taken);
    (void)snprintf(taken + strlen(taken), sizeof(taken) - strlen(taken), "%s=%s;", option->name,
                   value != NULL ? value : "");
    return 0;
}

static const struct cli_option own[] = {
    {.name = "flag", .letter = 'f', .help = "a flag", .set = take},
    {.name = "file", .argument = "FILE", .help = "a file", .set = take},
    {.name = NULL},
};
static const char *const without[] = {"channels", NULL};
static const struct cli_command command = {
    .name = "test",
    .usage = "X",
    .summary = "A test.",
    .own = own,
    .set_library = take,
    .without = without,
};

static enum cli_result parse(const char *line, const char **operand, struct multifd_error *err)
{
    static struct words words; /* the operand points into it */

    taken[0] = '\0';
    words_split(&words, "test", line);
    return cli_parse(&command, words.argc, words.argv, taken, operand, operand != NULL, err);
}

static void takes_options_and_operand(void **state)
{
    const char *operand = NULL;
    struct multifd_error err;

    (void)state;
    assert_int_equal(parse("-f --file a rdma:x:1 --verify --page-size=8K -drxe0 -S 3 --verify=off",
                           &operand, &err),
                     CLI_RUN);
    assert_string_equal(operand, "rdma:x:1");
    assert_string_equal(taken, "flag=;file=a;verify=on;page-size=8K;ib-dev=rxe0;sl=3;verify=off;");
}

static void assert_wrong(const char *line, const char *reason)
{
    const char *operand = NULL;
    struct multifd_error err = {0};

    assert_int_equal(parse(line, &operand, &err), CLI_WRONG);
    assert_non_null(strstr(err.message, reason));
}

static void names_what_is_wrong(void **state)
{
    (void)state;
    assert_wrong("--nothing", "unknown option --nothing");
    assert_wrong("--nothing=1", "unknown option --nothing=1");
    assert_wrong("-fZ", "unknown option -Z");
    assert_wrong("--f", "--f fits several options");
    assert_wrong("--file", "--file needs a value: FILE");
    assert_wrong("-d", "--ib-dev needs a value");
    assert_wrong("--flag=x", "--flag takes no value");
    assert_wrong("a b", "unexpected argument \"b\"");
    assert_wrong("--channels 4", "unknown option --channels");
}

static void no_operand_allowed(void **state)
{
    struct multifd_error err = {0};

    (void)state;
    assert_int_equal(parse("a", NULL, &err), CLI_WRONG);
}

static void table_has_all(void **state)
{
    size_t own_count = 0;
    size_t count = 0;
    size_t library = 0;
    struct cli_option *table = cli_table_new(&command, &own_count);

    (void)state;
    assert_non_null(table);
    assert_int_equal(own_count, 2);
    while (table[count].name != NULL) {
        assert_non_null(table[count].help);
        assert_string_not_equal(table[count].name, "channels");
        for (size_t i = 0; i < count; i++) {
            assert_string_not_equal(table[count].name, table[i].name);
            assert_true(table[count].letter == 0 || table[count].letter != table[i].letter);
        }
        count++;
    }
    while (multifd_options_list()[library].name != NULL) {
        library++;
    }
    assert_int_equal(count, 2 + (library - 1) + 2);
    free(table);
}

static void help_shows_every_option(void **state)
{
    struct multifd_error err = {0};
    struct capture capture;
    const char *line;

    (void)state;
    capture_start(&capture, stdout);
    enum cli_result result = parse("--help", NULL, &err);
    capture_stop(&capture);
    assert_int_equal(result, CLI_ENDED);
    assert_non_null(strstr(capture.text, "Usage: multifd test X\n"));
    assert_non_null(strstr(capture.text, "  -f, --flag"));
    assert_non_null(strstr(capture.text, "  -d, --ib-dev NAME"));
    assert_non_null(strstr(capture.text, "--verify[=on|off]"));
    for (line = strtok(capture.text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        assert_true(strlen(line) <= 100);
    }
}

static void assert_manual_has_options(const struct cli_command *described, const char *file,
                                      const char *also)
{
    char text[32768] = "";
    size_t own_count;
    struct cli_option *table = cli_table_new(described, &own_count);
    const char *const files[] = {file, also};

    for (size_t i = 0; i < 2; i++) {
        FILE *manual = fopen(files[i], "r");
        assert_non_null(manual);
        size_t used = strlen(text);
        text[used + fread(text + used, 1, sizeof(text) - 1 - used, manual)] = '\0';
        (void)fclose(manual);
    }
    for (const struct cli_option *option = table; option->name != NULL; option++) {
        char item[64];
        (void)snprintf(item, sizeof(item), "Fl -%s", option->name);
        if (strstr(text, item) == NULL) {
            fail_msg("%s lacks --%s", file, option->name);
        }
    }
    free(table);
}

/* What only the source decides, recv must not seem to take. */
static void recv_lacks_what_the_source_decides(void **state)
{
    size_t own_count;
    struct cli_option *table = cli_table_new(&command_recv, &own_count);

    (void)state;
    for (const struct cli_option *option = table; option->name != NULL; option++) {
        if (strcmp(option->name, "page-size") != 0 && /* its own files have pages too */
            strstr(option->help, "(source)") != NULL) {
            fail_msg("recv has --%s", option->name);
        }
    }
    free(table);
}

static void manuals_have_every_option(void **state)
{
    (void)state;
    assert_manual_has_options(&command_send, MANUALS "/multifd-send.1", "/dev/null");
    assert_manual_has_options(&command_recv, MANUALS "/multifd-recv.1", MANUALS "/multifd-send.1");
    assert_manual_has_options(&command_devices, MANUALS "/multifd-devices.1", "/dev/null");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_options_and_operand),
        cmocka_unit_test(names_what_is_wrong),
        cmocka_unit_test(no_operand_allowed),
        cmocka_unit_test(table_has_all),
        cmocka_unit_test(help_shows_every_option),
        cmocka_unit_test(manuals_have_every_option),
        cmocka_unit_test(recv_lacks_what_the_source_decides),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
