/* SPDX-License-Identifier: MIT */
#include "results.h"

#include "cli_table.h"
#include "fail.h"

#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* A file's name as a text of gnuplot's: in single quotes, which double inside. */
static void print_quoted(FILE *gnuplot, const char *text)
{
    (void)fputc('\'', gnuplot);
    for (; *text != '\0'; text++) {
        (void)fputs(*text == '\'' ? "''" : (char[]){*text, '\0'}, gnuplot);
    }
    (void)fputs("'\n", gnuplot);
}

static void print_head(FILE *gnuplot, const struct measurement *what, const char *file)
{
    (void)fprintf(gnuplot, "set terminal svg size 900,560 dynamic background 'white'\nset output ");
    print_quoted(gnuplot, file);
    (void)fprintf(gnuplot, "set title 'multifd bench %s'\nset grid\nset key outside bottom\n",
                  what->name);
}

/* ---- Titles ---- */

static void print_option(FILE *plot, const json_t *row, const char *name)
{
    const json_t *option = json_object_get(json_object_get(row, "options"), name);

    if (option != NULL) { /* a level is of one method only */
        (void)fprintf(plot, ", %s %s", name, json_string_value(option));
    }
}

/* The options that tell a row from others, apart from the message size and from those in `told`. */
static void print_swept(FILE *plot, const json_t *row, const json_t *values,
                        const char *const *told)
{
    const char *name;
    json_t *tried;

    json_object_foreach((json_t *)(uintptr_t)values, name, tried)
    {
        if (results_is_swept(name, tried) && !cli_is_among(told, name)) {
            print_option(plot, row, name);
        }
    }
}

/* ---- Bandwidth over message size ---- */

static void print_label(FILE *plot, const json_t *row, const json_t *values, const char *kind)
{
    static const char *const always[] = {"channels", "window", "method", NULL};

    (void)fprintf(plot, "%s", kind);
    for (size_t i = 0; always[i] != NULL; i++) {
        print_option(plot, row, always[i]);
    }
    print_swept(plot, row, values, always);
}

static bool same_line(const json_t *left, const json_t *right)
{
    json_t *a = json_copy(json_object_get(left, "options"));
    json_t *b = json_copy(json_object_get(right, "options"));

    (void)json_object_del(a, "size");
    (void)json_object_del(b, "size");
    bool same = json_equal(a, b) != 0;
    json_decref(a);
    json_decref(b);
    return same;
}

/* The points of the line that the row with this number begins; false when it begins none. */
static bool print_points(FILE *gnuplot, const json_t *rows, size_t first, const char *path)
{
    const json_t *begin = json_array_get(rows, first);

    if (results_member(begin, path) == NULL) {
        return false;
    }
    for (size_t i = 0; i < first; i++) {
        if (same_line(json_array_get(rows, i), begin)) {
            return false;
        }
    }
    (void)fprintf(gnuplot, "$points_%zu_%c << END\n", first, path[0]);
    for (size_t i = first; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        if (same_line(row, begin)) {
            (void)fprintf(gnuplot, "%lld %f\n",
                          (long long)json_integer_value(results_member(row, "message_bytes")),
                          json_number_value(results_member(row, path)));
        }
    }
    (void)fprintf(gnuplot, "END\n");
    return true;
}

static void plot_bandwidth(FILE *gnuplot, const json_t *rows, const json_t *values)
{
    static const struct {
        const char *path;
        const char *kind;
    } kinds[] = {{"session_gbps.median", "session"}, {"raw_gbps.median", "raw"}};
    char *lines = NULL;
    size_t length;
    FILE *plot = open_memstream(&lines, &length);

    (void)fprintf(gnuplot, "set logscale x 2\nset format x '%%.0b%%B'\nset xlabel 'message, "
                           "bytes'\nset ylabel 'Gb/s'\nset yrange [0:*]\n");
    for (size_t i = 0; plot != NULL && i < json_array_size(rows); i++) {
        for (size_t kind = 0; kind < 2; kind++) {
            if (print_points(gnuplot, rows, i, kinds[kind].path)) {
                (void)fprintf(plot, "%s $points_%zu_%c with linespoints title '",
                              ftell(plot) == 0 ? "plot" : ",", i, kinds[kind].path[0]);
                print_label(plot, json_array_get(rows, i), values, kinds[kind].kind);
                (void)fputc('\'', plot);
            }
        }
    }
    if (plot != NULL) {
        (void)fclose(plot);
        (void)fprintf(gnuplot, "%s\n", lines);
    }
    free(lines);
}

/* ---- Distributions ---- */

static void print_distribution(FILE *gnuplot, FILE *plot, const char *name, const json_t *member,
                               size_t *count)
{
    const json_t *classes = json_object_get(member, "histogram");
    double all = json_number_value(json_object_get(member, "count"));
    double below = 0;

    (void)fprintf(gnuplot, "$values_%zu << END\n", *count);
    for (size_t i = 0; i < json_array_size(classes); i++) {
        const json_t *pair = json_array_get(classes, i);

        below += json_number_value(json_array_get(pair, 1));
        (void)fprintf(gnuplot, "%f %f\n", json_number_value(json_array_get(pair, 0)) / 1e3,
                      below / all * 100);
    }
    (void)fprintf(gnuplot, "END\n");
    (void)fprintf(plot, "%s $values_%zu with steps title '%s", *count == 0 ? "plot" : ",", *count,
                  name);
    (*count)++;
}

static void print_message(FILE *plot, const json_t *row)
{
    const json_t *bytes = results_member(row, "message_bytes");

    if (bytes != NULL) {
        (void)fprintf(plot, ", %lld bytes", (long long)json_integer_value(bytes));
    }
}

static void plot_distributions(FILE *gnuplot, const json_t *rows, const json_t *values)
{
    static const char *const paths[] = {"acknowledged", "destination.applied", "latency", "sync"};
    char *lines = NULL;
    size_t length;
    FILE *plot = open_memstream(&lines, &length);
    size_t count = 0;

    (void)fprintf(gnuplot, "set logscale x\nset xlabel 'microseconds'\nset ylabel 'share that took "
                           "no longer, %%'\nset yrange [0:100]\n");
    for (size_t i = 0; plot != NULL && i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        for (size_t path = 0; path < sizeof(paths) / sizeof(paths[0]); path++) {
            const json_t *member = results_member(row, paths[path]);
            if (member != NULL) {
                print_distribution(gnuplot, plot, paths[path], member, &count);
                print_message(plot, row);
                print_swept(plot, row, values, NULL);
                (void)fputc('\'', plot);
            }
        }
    }
    if (plot != NULL) {
        (void)fclose(plot);
        (void)fprintf(gnuplot, "%s\n", lines);
    }
    free(lines);
}

/* ---- Running gnuplot ---- */

static char *make_script(const json_t *rows, const struct measurement *what, const json_t *values,
                         const char *file)
{
    char *script = NULL;
    size_t length;
    FILE *gnuplot = open_memstream(&script, &length);

    if (gnuplot == NULL) {
        return NULL;
    }
    print_head(gnuplot, what, file);
    if (what->plot == PLOT_BANDWIDTH) {
        plot_bandwidth(gnuplot, rows, values);
    } else {
        plot_distributions(gnuplot, rows, values);
    }
    return fclose(gnuplot) == 0 ? script : NULL;
}

/* A file without a name that holds the script, to be read from its beginning. */
static FILE *open_script(const char *script)
{
    FILE *file = tmpfile();

    if (file != NULL &&
        (fputs(script, file) < 0 || fflush(file) != 0 || fseek(file, 0, SEEK_SET) != 0)) {
        (void)fclose(file);
        return NULL;
    }
    return file;
}

/* Gnuplot's exit status, or -1 when it could not be started. */
static int run_gnuplot(const char *script)
{
    char name[] = "gnuplot";
    char *const words[] = {name, NULL};
    posix_spawn_file_actions_t actions;
    FILE *file = open_script(script);
    int status = -1;
    pid_t child;

    if (file == NULL || posix_spawn_file_actions_init(&actions) != 0) {
        return -1;
    }
    if (posix_spawn_file_actions_adddup2(&actions, fileno(file), STDIN_FILENO) == 0 &&
        posix_spawnp(&child, name, &actions, NULL, words, environ) == 0 &&
        (waitpid(child, &status, 0) != child || !WIFEXITED(status))) {
        status = -1;
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)fclose(file);
    return status == -1 ? -1 : WEXITSTATUS(status);
}

int results_plot(const json_t *results, const struct measurement *what, const json_t *values,
                 const char *file, struct multifd_error *err)
{
    char *script = make_script(json_object_get(results, "rows"), what, values, file);
    int status = script == NULL ? -1 : run_gnuplot(script);

    free(script);
    if (status == 0) {
        return 0;
    }
    return tool_fail(err, MULTIFD_ERROR_SYSTEM, "%s was not drawn: gnuplot %s", file,
                     status < 0 ? "could not be started (Debian: gnuplot-nox)" : "failed");
}
