/* SPDX-License-Identifier: MIT */
#include "host_facts.h"

#include <dirent.h>
#include <ifaddrs.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static bool directory_has_entries(const char *path)
{
    DIR *directory = opendir(path);
    bool found = false;

    if (directory == NULL) {
        return false;
    }
    for (const struct dirent *entry = readdir(directory); entry != NULL && !found;
         entry = readdir(directory)) {
        found = entry->d_name[0] != '.';
    }
    (void)closedir(directory);
    return found;
}

/* The first interface that is up and has an address, but loopback: soft-RoCE does not work there.
 */
static void choose_netdev(char name[IF_NAMESIZE])
{
    const unsigned wanted = IFF_UP | IFF_RUNNING;
    struct ifaddrs *addresses = NULL;

    (void)snprintf(name, IF_NAMESIZE, "IF");
    (void)getifaddrs(&addresses);
    for (const struct ifaddrs *address = addresses; address != NULL; address = address->ifa_next) {
        if (address->ifa_addr != NULL && address->ifa_addr->sa_family == AF_INET &&
            (address->ifa_flags & (wanted | IFF_LOOPBACK)) == wanted) {
            (void)snprintf(name, IF_NAMESIZE, "%s", address->ifa_name);
            break;
        }
    }
    freeifaddrs(addresses);
}

void host_facts_gather(struct host_facts *facts)
{
    long pages = sysconf(_SC_PHYS_PAGES);
    long page_size = sysconf(_SC_PAGESIZE);

    facts->memlock = multifd_devices_memlock_limit();
    facts->memory = pages > 0 && page_size > 0 ? (uint64_t)pages * (uint64_t)page_size : 0;
    facts->kernel_has_devices = directory_has_entries("/sys/class/infiniband");
    facts->rdma_cm = access("/dev/infiniband/rdma_cm", R_OK | W_OK) == 0;
    choose_netdev(facts->netdev);
}
