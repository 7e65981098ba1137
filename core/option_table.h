/* SPDX-License-Identifier: MIT */
/* option_table - each option once: its name, help, initial value, kind, range and place. */
#ifndef MULTIFD_OPTION_TABLE_H
#define MULTIFD_OPTION_TABLE_H

#include <multifd.h>
#include <stddef.h>

enum option_kind {
    OPTION_COUNT,  /* a plain number into uint32_t */
    OPTION_AUTO,   /* a number or "auto", which is -1, into int32_t */
    OPTION_LEVEL,  /* a number into int32_t; it and `least` may be negative */
    OPTION_SIZE,   /* bytes, with K, M, G, T, into uint64_t or uint32_t */
    OPTION_TIME,   /* a time, in the entry's unit, into uint32_t */
    OPTION_FLAG,   /* on or off, into uint32_t */
    OPTION_CHOICE, /* one of a list, its index into uint32_t */
    OPTION_TEXT,   /* a string into a char array */
};

struct option_entry {
    enum option_kind kind;
    size_t offset;              /* of the value in struct multifd_options */
    size_t size;                /* of the value */
    uint64_t least;             /* smallest value (OPTION_AUTO: besides "auto") */
    uint64_t most;              /* largest value */
    uint64_t unit_ns;           /* OPTION_TIME: nanoseconds of one */
    bool power_of_two;          /* the value must be one */
    bool or_auto;               /* OPTION_SIZE: "auto" is a value too, which is 0 */
    bool not_zero;              /* OPTION_LEVEL: 0 is none */
    const char *const *choices; /* OPTION_CHOICE: ended by NULL */
};

/* The entry of an option, NULL when there is none of that name. */
const struct option_entry *option_table_find(const char *name);

#endif
