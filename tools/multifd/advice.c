/* SPDX-License-Identifier: MIT */
#include "advice.h"

#include "units.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static struct advice *add(struct advices *advices, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void remedy(struct advice *advice, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* There are fewer checks than items, so there is always room. */
static struct advice *add(struct advices *advices, const char *format, ...)
{
    struct advice *advice = &advices->items[advices->count++];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(advice->problem, sizeof(advice->problem), format, arguments);
    va_end(arguments);
    return advice;
}

static void remedy(struct advice *advice, const char *format, ...)
{
    va_list arguments;
    size_t line = 0;

    while (advice->remedies[line][0] != '\0') {
        line++;
    }
    va_start(arguments, format);
    (void)vsnprintf(advice->remedies[line], ADVICE_LINE, format, arguments);
    va_end(arguments);
}

static void check_present(const struct host_facts *facts, struct advices *out)
{
    if (facts->count > 0) {
        return;
    }
    if (facts->kernel_has_devices) {
        struct advice *advice =
            add(out, "the kernel has an RDMA device, but this process cannot open it");
        remedy(advice, "modprobe ib_uverbs; apt install ibverbs-providers");
        remedy(advice, "look at the permissions: ls -l /dev/infiniband");
        return;
    }
    struct advice *advice = add(out, "there is no RDMA device on this host");
    remedy(advice, "with an RDMA adapter: load its driver, then look at: rdma link");
    remedy(advice,
           "without one, soft-RoCE: modprobe rdma_rxe; rdma link add rxe0 type rxe netdev %s",
           facts->netdev);
    remedy(advice,
           "where no kernel module can be loaded: tools/lab COMMAND (from the source tree)");
}

static void check_ports(const struct host_facts *facts, struct advices *out)
{
    bool active = false;
    bool addressed = false;

    for (size_t i = 0; i < facts->count; i++) {
        active = active || facts->devices[i].active;
        addressed = addressed || (facts->devices[i].active && facts->devices[i].gids_num > 0);
    }
    out->usable = out->usable && addressed;
    if (facts->count > 0 && !active) {
        struct advice *advice = add(out, "no port of any RDMA device is active");
        remedy(advice, "see which network interface it has: rdma link");
        remedy(advice, "bring that up: ip link set %s up (InfiniBand: look for the subnet manager)",
               facts->netdev);
    } else if (active && !addressed) {
        struct advice *advice = add(out, "no active port has an address (GID)");
        remedy(advice, "give its network interface one: ip addr add ADDRESS/24 dev %s",
               facts->netdev);
    }
}

static void check_connections(const struct host_facts *facts, struct advices *out)
{
    out->usable = out->usable && facts->rdma_cm;
    if (facts->count > 0 && !facts->rdma_cm) {
        struct advice *advice =
            add(out, "connections cannot be made: /dev/infiniband/rdma_cm cannot be opened");
        remedy(advice, "modprobe rdma_ucm; ls -l /dev/infiniband/rdma_cm");
    }
}

static void check_memlock(const struct host_facts *facts, struct advices *out)
{
    char text[UNITS_TEXT];

    if (facts->memlock == UINT64_MAX || facts->memlock >= facts->memory) {
        return;
    }
    units_format_size(text, facts->memlock);
    struct advice *advice = add(
        out, "at most %s of memory can be locked, and a session locks the guest's memory", text);
    remedy(advice, "in this shell: ulimit -l unlimited");
    remedy(advice, "for a user, in /etc/security/limits.d/rdma.conf: USER - memlock unlimited");
    remedy(advice, "for a systemd service: LimitMEMLOCK=infinity");
}

void advice_give(const struct host_facts *facts, struct advices *out)
{
    memset(out, 0, sizeof(*out));
    out->usable = true;
    check_present(facts, out);
    check_ports(facts, out);
    check_connections(facts, out);
    check_memlock(facts, out);
}
