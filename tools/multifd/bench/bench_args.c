/* SPDX-License-Identifier: MIT */
#include "bench_args.h"

#include "cli_table.h"
#include "fail.h"
#include "units.h"

#include <stdlib.h>
#include <string.h>

/* Library options that are no business of a measurement. */
static const char *const without[] = {"qemu", "fresh-memory", NULL};

/* Library options that each row of results names. */
static const char *const named[] = {"channels", "window", "page-size", "method"};

/* ---- Values ---- */

/* Sets the values of an option: `text` is one, or several joined by commas. */
static int set_values(struct bench_args *args, const char *name, const char *text,
                      struct multifd_error *err)
{
    json_t *values = json_array();
    int status = 0;

    for (const char *at = text; at != NULL;) {
        const char *comma = strchr(at, ',');
        size_t length = comma != NULL ? (size_t)(comma - at) : strlen(at);

        status |= json_array_append_new(values, json_stringn(at, length));
        at = comma != NULL ? comma + 1 : NULL;
    }
    status |= json_object_set_new(args->values, name, values);
    return status == 0
               ? 0
               : tool_fail(err, MULTIFD_ERROR_SYSTEM, "no memory, or no UTF-8 in --%s", name);
}

static bool takes(const struct measurement *what, const char *name)
{
    return cli_is_among(what->options, name);
}

static int set_initials(struct bench_args *args, struct multifd_error *err)
{
    const struct measurement *what = args->what;
    int status = 0;

    for (const struct case_option *option = case_options; option->name != NULL; option++) {
        if (takes(what, option->name)) {
            status |= set_values(args, option->name,
                                 cli_initial(what->initials, option->name, option->initial), err);
        }
    }
    for (const struct multifd_option_info *info = multifd_options_list();
         what->session && info->name != NULL; info++) {
        const char *value = cli_initial(what->initials, info->name, NULL);

        for (size_t i = 0; i < sizeof(named) / sizeof(named[0]); i++) {
            value = value == NULL && strcmp(named[i], info->name) == 0 &&
                            (what->library == NULL || cli_is_among(what->library, info->name))
                        ? info->initial
                        : value;
        }
        status |= value != NULL ? set_values(args, info->name, value, err) : 0;
    }
    return status;
}

/* Whether the sides of this measurement may be two processes. */
static bool has_server(const struct measurement *what)
{
    return what->serve != NULL && !what->null_device;
}

/* ---- Options ---- */

static int set_value(void *opaque, const struct cli_option *option, const char *value,
                     struct multifd_error *err)
{
    return set_values(opaque, option->name, value == NULL ? "on" : value, err);
}

static int set_port(struct bench_args *args, const char *value, struct multifd_error *err)
{
    return units_parse_count(value, &args->port) == 0 && args->port != 0 && args->port <= UINT16_MAX
               ? 0
               : tool_fail(err, MULTIFD_ERROR_INVALID, "port: \"%s\" is no port", value);
}

static int set_front(void *opaque, const struct cli_option *option, const char *value,
                     struct multifd_error *err)
{
    struct bench_args *args = opaque;

    if (strcmp(option->name, "all") == 0) {
        return set_values(args, "size", args->what->sweep->sizes, err);
    }
    if (strcmp(option->name, "port") == 0) {
        return set_port(args, value, err);
    }
    if (strcmp(option->name, "plot") == 0) {
        args->plot = value;
        return 0;
    }
    *(strcmp(option->name, "json") == 0 ? &args->json : &args->loopback) = true;
    return 0;
}

/* What concerns no case, or all of them. */
static const struct {
    struct cli_option option;
    bool two_sides; /* only of a measurement whose sides may be two processes */
    bool sizes;     /* only of one that takes a message size, whose sweep has the help */
    bool plots;     /* only of one that can be drawn */
} front[] = {
    {.option = {.name = "all", .letter = 'a', .set = set_front}, .sizes = true},
    {.option = {.name = "loopback",
                .help = "both sides in this process, over this host's own device",
                .set = set_front},
     .two_sides = true},
    {.option = {.name = "port",
                .letter = 'p',
                .argument = "PORT",
                .initial = "18515",
                .help = "where the server waits",
                .set = set_front},
     .two_sides = true},
    {.option = {.name = "json", .help = "print the results as one JSON object", .set = set_front}},
    {.option = {.name = "plot",
                .argument = "FILE.svg",
                .help = "draw the results, with gnuplot",
                .set = set_front},
     .plots = true},
};

#define FRONT (sizeof(front) / sizeof(front[0]))

/* The measurement's own options, ended by a NULL name; the caller frees it. */
static struct cli_option *own_options(const struct measurement *what)
{
    size_t used = 0;
    size_t room = FRONT + 1;

    for (const struct case_option *option = case_options; option->name != NULL; option++) {
        room++;
    }
    struct cli_option *own = calloc(room, sizeof(*own));
    for (const struct case_option *option = case_options; own != NULL && option->name != NULL;
         option++) {
        if (takes(what, option->name)) {
            own[used++] = (struct cli_option){
                .name = option->name,
                .letter = option->letter,
                .argument = option->argument,
                .no_value = option->kind == CASE_FLAG && option->argument != NULL ? "on" : NULL,
                .initial = option->argument != NULL
                               ? cli_initial(what->initials, option->name, option->initial)
                               : NULL,
                .help = option->help,
                .set = set_value,
            };
        }
    }
    for (size_t i = 0; own != NULL && i < FRONT; i++) {
        if ((!front[i].two_sides || has_server(what)) && (!front[i].sizes || what->sweep != NULL) &&
            (!front[i].plots || what->plot != PLOT_NONE)) {
            own[used] = front[i].option;
            own[used].help = front[i].sizes ? what->sweep->help : own[used].help;
            used++;
        }
    }
    return own;
}

/* ---- Parsing ---- */

static enum cli_result parse(struct bench_args *args, const struct cli_option *own, int argc,
                             char **argv, struct multifd_error *err)
{
    char name[64];
    struct cli_command command = {
        .name = name,
        .usage = has_server(args->what) ? "[rdma|tcp:HOST[:PORT]] [OPTION]..." : "[OPTION]...",
        .summary = args->what->summary,
        .text = args->what->text,
        .own = own,
        .set_library = args->what->session ? set_value : NULL,
        .without = without,
        .only = args->what->library,
        .initials = args->what->initials,
    };

    (void)snprintf(name, sizeof(name), "bench %s", args->what->name);
    return cli_parse(&command, argc, argv, args, &args->address, has_server(args->what) ? 1 : 0,
                     err);
}

enum cli_result bench_args_parse(struct bench_args *args, const struct measurement *what, int argc,
                                 char **argv, struct multifd_error *err)
{
    struct cli_option *own = own_options(what);
    enum cli_result result = CLI_WRONG;

    *args = (struct bench_args){.what = what, .values = json_object()};
    if (what->null_device) {
        args->address = "rdma:127.0.0.1";
        args->loopback = true;
    }
    if (own == NULL || args->values == NULL) {
        (void)tool_fail(err, MULTIFD_ERROR_SYSTEM, "no memory");
    } else if (set_initials(args, err) == 0) {
        result = parse(args, own, argc, argv, err);
    }
    free(own);
    return result;
}

void bench_args_clear(struct bench_args *args)
{
    json_decref(args->values);
    args->values = NULL;
}

/* ---- Cases ---- */

/* A level of another method than the case's says nothing. */
static void drop_other_levels(json_t *choices)
{
    static const char suffix[] = "-level";
    const char *method = json_string_value(json_object_get(choices, "method"));
    const char *name;
    json_t *value;
    void *next;

    json_object_foreach_safe(choices, next, name, value)
    {
        size_t length = strlen(name);
        size_t stem = length > strlen(suffix) ? length - strlen(suffix) : 0;

        if (method != NULL && stem != 0 && strcmp(name + stem, suffix) == 0 &&
            (strlen(method) != stem || strncmp(name, method, stem) != 0)) {
            (void)json_object_del(choices, name);
        }
    }
}

static bool contains(const json_t *cases, const json_t *choices)
{
    for (size_t i = 0; i < json_array_size(cases); i++) {
        if (json_equal(json_array_get(cases, i), choices)) {
            return true;
        }
    }
    return false;
}

/* The combination with this number, counted with the last option changing fastest. */
static json_t *make_case(const json_t *values, size_t number, size_t combinations)
{
    json_t *choices = json_object();
    size_t rest = combinations;
    const char *name;
    json_t *tried;

    json_object_foreach((json_t *)(uintptr_t)values, name, tried)
    {
        rest /= json_array_size(tried);
        (void)json_object_set(choices, name,
                              json_array_get(tried, number / rest % json_array_size(tried)));
    }
    return choices;
}

json_t *bench_args_cases(const struct bench_args *args)
{
    json_t *cases = json_array();
    size_t combinations = 1;
    const char *name;
    json_t *tried;

    json_object_foreach(args->values, name, tried)
    {
        combinations *= json_array_size(tried);
    }
    for (size_t i = 0; i < combinations; i++) {
        json_t *choices = make_case(args->values, i, combinations);

        drop_other_levels(choices);
        if (!contains(cases, choices)) {
            (void)json_array_append(cases, choices);
        }
        json_decref(choices);
    }
    return cases;
}
