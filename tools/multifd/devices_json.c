/* SPDX-License-Identifier: MIT */
#include "devices_json.h"

#include <jansson.h>

static json_t *number(uint64_t value)
{
    /* JSON's readers agree on 63 bits; what is more than that is no limit at all. */
    return value > INT64_MAX ? json_null() : json_integer((json_int_t)value);
}

static json_t *gids_json(const struct multifd_device *device)
{
    json_t *gids = json_array();

    for (unsigned i = 0; i < device->gids_num; i++) {
        (void)json_array_append_new(gids,
                                    json_pack("{s:i, s:s}", "index", (int)device->gids[i].index,
                                              "gid", device->gids[i].text));
    }
    return gids;
}

static json_t *port_json(const struct multifd_device *device)
{
    json_t *port = json_pack("{s:s, s:s, s:i, s:b, s:s, s:s, s:b, s:o}", "device", device->name,
                             "transport", device->transport, "port", (int)device->port, "active",
                             device->active, "state", device->state, "link_layer",
                             device->link_layer, "odp", device->odp, "gids", gids_json(device));
    const struct {
        const char *name;
        uint64_t value;
    } members[] = {
        {"active_mtu", device->active_mtu}, {"max_mtu", device->max_mtu},
        {"max_qp", device->max_qp},         {"max_qp_wr", device->max_qp_wr},
        {"max_sge", device->max_sge},       {"max_cqe", device->max_cqe},
        {"max_mr", device->max_mr},         {"max_mr_size", device->max_mr_size},
        {"max_msg_sz", device->max_msg_sz},
    };

    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        (void)json_object_set_new(port, members[i].name, number(members[i].value));
    }
    return port;
}

static json_t *advice_json(const struct advice *advice)
{
    json_t *remedies = json_array();

    for (size_t i = 0; i < ADVICE_LINES && advice->remedies[i][0] != '\0'; i++) {
        (void)json_array_append_new(remedies, json_string(advice->remedies[i]));
    }
    return json_pack("{s:s, s:o}", "problem", advice->problem, "remedies", remedies);
}

char *devices_json(const struct host_facts *facts, const struct advices *advices)
{
    json_t *ports = json_array();
    json_t *problems = json_array();

    for (size_t i = 0; i < facts->count; i++) {
        (void)json_array_append_new(ports, port_json(&facts->devices[i]));
    }
    for (size_t i = 0; i < advices->count; i++) {
        (void)json_array_append_new(problems, advice_json(&advices->items[i]));
    }
    json_t *object = json_pack("{s:i, s:b, s:o, s:o, s:o}", "version", DEVICES_VERSION, "usable",
                               advices->usable, "memlock_bytes", number(facts->memlock), "ports",
                               ports, "problems", problems);
    char *text = object != NULL ? json_dumps(object, JSON_INDENT(2)) : NULL;
    json_decref(object);
    return text;
}
