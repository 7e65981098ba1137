/* SPDX-License-Identifier: MIT */
#include "lowest_rate.h"

#include "fail.h"
#include "units.h"

#include <stdlib.h>

/* Looks that a stretch not yet ended may begin with; no stretch begins with the next ones. */
#define LOOKS 4096u

struct look {
    uint64_t ns;
    uint64_t bytes;
};

struct lowest_rate {
    uint64_t window;
    uint64_t before;
    double gbps;
    uint64_t first; /* of the looks that are kept, a ring */
    uint64_t end;
    struct look looks[LOOKS];
};

struct lowest_rate *lowest_rate_new(uint64_t window, uint64_t bytes, struct multifd_error *err)
{
    struct lowest_rate *rate = calloc(1, sizeof(*rate));

    if (rate == NULL) {
        (void)tool_fail(err, MULTIFD_ERROR_SYSTEM, "no memory");
        return NULL;
    }
    rate->window = window;
    rate->before = bytes;
    return rate;
}

void lowest_rate_delete(struct lowest_rate **rate)
{
    free(*rate);
    *rate = NULL;
}

static void end_stretch(struct lowest_rate *rate, const struct look *from, const struct look *to)
{
    if (to->ns == from->ns) {
        return;
    }
    double gbps = units_gigabits(to->bytes - from->bytes, to->ns - from->ns);
    if (rate->gbps == 0 || gbps < rate->gbps) {
        rate->gbps = gbps;
    }
}

static void keep(struct lowest_rate *rate, const struct look *look)
{
    if (rate->end - rate->first < LOOKS) {
        rate->looks[rate->end++ % LOOKS] = *look;
    }
}

void lowest_rate_look(struct lowest_rate *rate, uint64_t now_ns, uint64_t bytes)
{
    struct look look = {.ns = now_ns, .bytes = bytes};

    if (bytes == rate->before) {
        rate->end = 0; /* this look is the better beginning */
    }
    while (rate->first != rate->end &&
           bytes - rate->looks[rate->first % LOOKS].bytes >= rate->window) {
        end_stretch(rate, &rate->looks[rate->first % LOOKS], &look);
        rate->first++;
    }
    keep(rate, &look);
}

double lowest_rate_gbps(const struct lowest_rate *rate)
{
    return rate->gbps;
}
