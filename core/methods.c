/* SPDX-License-Identifier: MIT */
#include "core/methods.h"

#include "compress/nocomp.h"
#include "compress/zlib.h"
#include "compress/zstd.h"
#include "core/base/error.h"

#include <string.h>

static uint32_t slot_of(uint32_t flag)
{
    return flag >> 1;
}

void method_table_init(struct method_table *table)
{
    memset(table, 0, sizeof(*table));
    table->methods[slot_of(MULTIFD_FLAG_NOCOMP)] = (struct method){"nocomp", &multifd_nocomp_ops};
    table->methods[slot_of(MULTIFD_FLAG_ZLIB)] = (struct method){"zlib", &multifd_zlib_ops};
    table->methods[slot_of(MULTIFD_FLAG_ZSTD)] = (struct method){"zstd", &multifd_zstd_ops};
}

int method_table_register(struct method_table *table, uint32_t flag, const char *name,
                          const struct multifd_methods *ops, struct multifd_error *err)
{
    struct multifd_error unused;
    uint32_t used;

    if ((flag & ~MULTIFD_FLAG_COMPRESSION_MASK) != 0) {
        return error_set(err, MULTIFD_ERROR_INVALID,
                         "method 0x%x has bits outside the compression mask 0x%x", flag,
                         MULTIFD_FLAG_COMPRESSION_MASK);
    }
    if (ops->send_setup == NULL || ops->send_cleanup == NULL || ops->send_prepare == NULL ||
        ops->recv == NULL) {
        return error_set(err, MULTIFD_ERROR_INVALID,
                         "method \"%s\" lacks one of send_setup, send_cleanup, send_prepare, recv",
                         name);
    }
    if (table->methods[slot_of(flag)].ops != NULL ||
        method_table_find(table, name, &used, &unused) == 0) {
        return error_set(err, MULTIFD_ERROR_INVALID, "method \"%s\" (0x%x) is registered already",
                         name, flag);
    }
    table->methods[slot_of(flag)].name = name;
    table->methods[slot_of(flag)].ops = ops;
    return 0;
}

const struct multifd_methods *method_table_get(const struct method_table *table, uint32_t flag)
{
    return (flag & ~MULTIFD_FLAG_COMPRESSION_MASK) == 0 ? table->methods[slot_of(flag)].ops : NULL;
}

const char *method_table_name(const struct method_table *table, uint32_t flag)
{
    return method_table_get(table, flag) == NULL ? "?" : table->methods[slot_of(flag)].name;
}

int method_table_find(const struct method_table *table, const char *name, uint32_t *flag,
                      struct multifd_error *err)
{
    for (uint32_t i = 0; i < METHODS_MAX; i++) {
        if (table->methods[i].ops != NULL && strcmp(table->methods[i].name, name) == 0) {
            *flag = i << 1;
            return 0;
        }
    }
    return error_set(err, MULTIFD_ERROR_INVALID, "unknown method \"%s\"", name);
}
