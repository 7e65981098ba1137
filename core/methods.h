/* SPDX-License-Identifier: MIT */
/* methods - the compression methods that a session knows, by their bits in a packet's flags. */
#ifndef MULTIFD_METHODS_H
#define MULTIFD_METHODS_H

#include <multifd_method.h>

/* Values that the compression bits can have. */
#define METHODS_MAX 8u

struct method {
    const char *name;
    const struct multifd_methods *ops;
};

struct method_table {
    struct method methods[METHODS_MAX];
};

/* Fills a table with the methods of this library. */
void method_table_init(struct method_table *table);

/* See multifd_register_ops. */
int method_table_register(struct method_table *table, uint32_t flag, const char *name,
                          const struct multifd_methods *ops, struct multifd_error *err);

/* The hooks behind compression bits, NULL when there are none. */
const struct multifd_methods *method_table_get(const struct method_table *table, uint32_t flag);

/* The name behind compression bits, "?" when there is none. */
const char *method_table_name(const struct method_table *table, uint32_t flag);

/* The compression bits of a name. 0, or -1 with *err. */
int method_table_find(const struct method_table *table, const char *name, uint32_t *flag,
                      struct multifd_error *err);

#endif
