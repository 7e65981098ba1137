/* SPDX-License-Identifier: MIT */
#include "json_parts.h"

#include <stdlib.h>
#include <string.h>

json_t *json_parts_number(uint64_t value)
{
    return json_integer((json_int_t)value);
}

json_t *json_parts_text(const char *text)
{
    json_t *string = json_string(text);

    if (string == NULL) {
        char *copy = strdup(text);
        for (char *c = copy; c != NULL && *c != '\0'; c++) {
            if ((unsigned char)*c >= 128) {
                *c = '?';
            }
        }
        string = copy != NULL ? json_string(copy) : NULL;
        free(copy);
    }
    return string;
}

json_t *json_parts_error(const struct multifd_error *error)
{
    if (error == NULL) {
        return json_null();
    }
    /* A channel's number, or null when it is no single channel's fault. */
    return json_pack("{s:s, s:o, s:o}", "code", multifd_error_name(error->code), "channel",
                     error->channel >= 0 ? json_integer(error->channel) : json_null(), "message",
                     json_parts_text(error->message));
}

char *json_parts_dump(json_t *object, size_t layout)
{
    char *text = json_dumps(object, layout | JSON_REAL_PRECISION(9));

    json_decref(object);
    return text;
}
