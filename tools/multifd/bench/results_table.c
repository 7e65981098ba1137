/* SPDX-License-Identifier: MIT */
#include "results.h"

#include "units.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CELL_MAX    48
#define COLUMNS_MAX 32
#define BAR_WIDTH   50

struct table {
    struct column columns[COLUMNS_MAX];
    char paths[COLUMNS_MAX][CELL_MAX]; /* of the columns that were added */
    size_t num;
    int widths[COLUMNS_MAX];
};

/* ---- Cells ---- */

static void format_number(char cell[CELL_MAX], double value, enum column_format format)
{
    switch (format) {
    case COLUMN_GBPS:
    case COLUMN_RATIO:
        (void)snprintf(cell, CELL_MAX, "%.2f", value);
        break;
    case COLUMN_MICROSECONDS:
        (void)snprintf(cell, CELL_MAX, "%.1f", value / 1e3);
        break;
    case COLUMN_MICROSECONDS_2:
        (void)snprintf(cell, CELL_MAX, "%.2f", value / 1e3);
        break;
    case COLUMN_NANOSECONDS:
        (void)snprintf(cell, CELL_MAX, "%.1f", value);
        break;
    case COLUMN_SECONDS:
        (void)snprintf(cell, CELL_MAX, "%.3f", value);
        break;
    case COLUMN_SIZE:
        units_format_size(cell, (uint64_t)value);
        break;
    default:
        (void)snprintf(cell, CELL_MAX, "%.0f", value);
        break;
    }
}

static void format_cell(char cell[CELL_MAX], const json_t *row, const struct column *column)
{
    const json_t *value = results_member(row, column->path);

    if (json_is_string(value)) {
        (void)snprintf(cell, CELL_MAX, "%s", json_string_value(value));
    } else if (json_is_number(value)) {
        format_number(cell, json_number_value(value), column->format);
    } else {
        (void)snprintf(cell, CELL_MAX, "-");
    }
}

/* ---- The table ---- */

static bool has_path(const struct table *table, const char *path)
{
    for (size_t i = 0; i < table->num; i++) {
        if (strcmp(table->columns[i].path, path) == 0) {
            return true;
        }
    }
    return false;
}

/* A column for each option that was tried with several values and has none. */
static void add_swept(struct table *table, const json_t *values)
{
    const char *name;
    json_t *tried;

    json_object_foreach((json_t *)(uintptr_t)values, name, tried)
    {
        char *path = table->paths[table->num];

        (void)snprintf(path, CELL_MAX, "options.%s", name);
        if (results_is_swept(name, tried) && table->num < COLUMNS_MAX - 1 &&
            !has_path(table, path)) {
            table->columns[table->num++] = (struct column){name, path, COLUMN_TEXT};
        }
    }
}

static void measure(struct table *table, const json_t *rows)
{
    size_t index;
    json_t *row;
    char cell[CELL_MAX];

    for (size_t i = 0; i < table->num; i++) {
        table->widths[i] = (int)strlen(table->columns[i].heading);
        json_array_foreach((json_t *)(uintptr_t)rows, index, row)
        {
            format_cell(cell, row, &table->columns[i]);
            int width = (int)strlen(cell);
            table->widths[i] = width > table->widths[i] ? width : table->widths[i];
        }
    }
}

static void print_line(const struct table *table, const json_t *row)
{
    char cell[CELL_MAX];

    for (size_t i = 0; i < table->num; i++) {
        if (row == NULL) {
            (void)snprintf(cell, sizeof(cell), "%s", table->columns[i].heading);
        } else {
            format_cell(cell, row, &table->columns[i]);
        }
        printf("%s%*s", i == 0 ? "" : "  ", table->widths[i], cell);
    }
    putchar('\n');
}

static void print_system(const json_t *system)
{
    size_t index;
    json_t *device;

    printf("%s %s, processors: %d", json_string_value(json_object_get(system, "kernel")),
           json_string_value(json_object_get(system, "release")),
           (int)json_integer_value(json_object_get(system, "processors")));
    json_array_foreach(json_object_get(system, "devices"), index, device)
    {
        printf(", %s port %d MTU %d", json_string_value(json_object_get(device, "name")),
               (int)json_integer_value(json_object_get(device, "port")),
               (int)json_integer_value(json_object_get(device, "mtu")));
    }
    putchar('\n');
}

static void print_systems(const json_t *results)
{
    const json_t *server = json_object_get(results, "server");

    printf("multifd %s, ", json_string_value(json_object_get(results, "multifd")));
    print_system(json_object_get(results, "system"));
    if (server != NULL) {
        printf("server: ");
        print_system(server);
    }
}

/* ---- Histograms ---- */

static json_int_t at(const json_t *pair, size_t index)
{
    return json_integer_value(json_array_get(pair, index));
}

static void print_histogram(const char *name, const json_t *classes, double count)
{
    size_t index;
    json_t *pair;

    printf("\n%s, microseconds up to, share of all\n", name);
    json_array_foreach((json_t *)(uintptr_t)classes, index, pair)
    {
        double share = (double)at(pair, 1) / count;
        int bar = (int)(share * BAR_WIDTH + 0.5);

        if (share >= 0.001) {
            printf("%10.1f  %5.1f %%  %.*s\n", (double)at(pair, 0) / 1e3, share * 100, bar,
                   "##################################################");
        }
    }
}

/* Of each distribution that these results hold. */
static void print_histograms(const json_t *results)
{
    const char *name;
    json_t *member;

    json_object_foreach((json_t *)(uintptr_t)results, name, member)
    {
        const json_t *classes = json_object_get(member, "histogram");

        if (classes != NULL) {
            print_histogram(name, classes, json_number_value(json_object_get(member, "count")));
        }
    }
}

void results_print(const json_t *results, const struct measurement *what, const json_t *values)
{
    const json_t *rows = json_object_get(results, "rows");
    struct table table = {0};
    size_t index;
    json_t *row;

    while (what->columns[table.num].heading != NULL) {
        table.columns[table.num] = what->columns[table.num];
        table.num++;
    }
    add_swept(&table, values);
    measure(&table, rows);
    print_systems(results);
    print_line(&table, NULL);
    json_array_foreach((json_t *)(uintptr_t)rows, index, row)
    {
        print_line(&table, row);
    }
    if (json_array_size(rows) == 1) { /* of several there would be too many */
        print_histograms(json_array_get(rows, 0));
        print_histograms(json_object_get(json_array_get(rows, 0), "destination"));
    }
}
