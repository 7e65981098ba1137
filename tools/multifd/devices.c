/* SPDX-License-Identifier: MIT */
#include "commands.h"

#include "advice.h"
#include "console.h"
#include "devices_json.h"
#include "fail.h"
#include "units.h"

#include <stdio.h>
#include <stdlib.h>

static int set_json(void *opaque, const struct cli_option *option, const char *value,
                    struct multifd_error *err)
{
    (void)option;
    (void)value;
    (void)err;
    *(bool *)opaque = true;
    return 0;
}

static const struct cli_option own_options[] = {
    {.name = "json", .help = "print one JSON object", .set = set_json},
    {.name = NULL},
};

static void print_limits(const struct multifd_device *device)
{
    char region[UNITS_TEXT] = "any size";
    char message[UNITS_TEXT];

    if (device->max_mr_size <= INT64_MAX) {
        units_format_size(region, device->max_mr_size);
    }
    units_format_size(message, device->max_msg_sz);
    printf(
        "    limits  %u queue pairs, %u work requests and %u SGEs each, %u completions a queue\n",
        device->max_qp, device->max_qp_wr, device->max_sge, device->max_cqe);
    printf("            %u memory regions of up to %s each, messages of up to %s\n", device->max_mr,
           region, message);
}

static void print_port(const struct multifd_device *device)
{
    printf("%s port %u: %s, %s (%s), MTU %u of at most %u%s\n", device->name, device->port,
           device->state, device->transport, device->link_layer, device->active_mtu,
           device->max_mtu, device->odp ? ", on-demand paging" : "");
    for (unsigned i = 0; i < device->gids_num; i++) {
        printf("    GID %-3u %s\n", device->gids[i].index, device->gids[i].text);
    }
    print_limits(device);
}

static void print_table(const struct host_facts *facts, const struct advices *advices)
{
    char memlock[UNITS_TEXT] = "no limit";

    for (size_t i = 0; i < facts->count; i++) {
        print_port(&facts->devices[i]);
    }
    if (facts->memlock != UINT64_MAX) {
        units_format_size(memlock, facts->memlock);
    }
    printf("locked memory: %s\n", memlock);
    for (size_t i = 0; i < advices->count; i++) {
        printf("\n%s\n", advices->items[i].problem);
        for (size_t line = 0; line < ADVICE_LINES; line++) {
            if (advices->items[i].remedies[line][0] != '\0') {
                printf("    %s\n", advices->items[i].remedies[line]);
            }
        }
    }
}

static int list(const struct cli_command *command, bool json)
{
    struct multifd_error err = {0};
    struct multifd_device *devices = NULL;
    struct host_facts facts = {0};
    struct advices advices;

    if (multifd_devices_list(&devices, &facts.count, &err) != 0) {
        console_line(command->name, "%s", err.message);
        return CLI_EXIT_FAILED;
    }
    facts.devices = devices;
    host_facts_gather(&facts);
    advice_give(&facts, &advices);
    if (json) {
        char *text = devices_json(&facts, &advices);
        (void)puts(text != NULL ? text : "");
        free(text);
    } else {
        print_table(&facts, &advices);
    }
    multifd_devices_free(&devices);
    return advices.usable ? CLI_EXIT_DONE : CLI_EXIT_FAILED;
}

static int run(const struct cli_command *command, int argc, char **argv)
{
    struct multifd_error err = {0};
    bool json = false;

    switch (cli_parse(command, argc, argv, &json, NULL, 0, &err)) {
    case CLI_RUN:
        return list(command, json);
    case CLI_ENDED:
        return CLI_EXIT_DONE;
    case CLI_WRONG:
        break;
    }
    console_line(command->name, "%s", err.message);
    return CLI_EXIT_WRONG;
}

const struct cli_command command_devices = {
    .name = "devices",
    .usage = "[OPTION]...",
    .summary = "Lists this host's RDMA devices, and says what to type when none is usable.",
    .text = "Fails (status 1) when no session can be made on this host.\n",
    .own = own_options,
    .run = run,
};
