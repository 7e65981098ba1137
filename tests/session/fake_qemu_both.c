/* SPDX-License-Identifier: MIT */
/* What both halves of fake_qemu have in common: their blocks, from beginning to end. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fake_qemu_destination.h"

static const struct {
    const char *name;
    uint64_t pages;
} shapes[FAKE_BLOCKS] = {{"pc.ram", 300}, {"second", 150}, {"vga.vram", 64}};

static uint8_t *map(uint64_t pages)
{
    void *at =
        mmap(NULL, pages * FAKE_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (at == MAP_FAILED) {
        abort();
    }
    return at;
}

void fake_qemu_init(struct fake_qemu *qemu, const struct fake_plan *plan)
{
    static atomic_uint number;
    unsigned mine = atomic_fetch_add(&number, 1);

    memset(qemu, 0, sizeof(*qemu));
    qemu->plan = *plan;
    qemu->random = plan->seed;
    qemu->main = -1;
    snprintf(qemu->source_path, sizeof(qemu->source_path), "/tmp/multifd-bridge-%d-%u-s",
             (int)getpid(), mine);
    snprintf(qemu->destination_path, sizeof(qemu->destination_path), "/tmp/multifd-bridge-%d-%u-d",
             (int)getpid(), mine);
    for (unsigned i = 0; i < FAKE_CHANNELS_MAX; i++) {
        qemu->fds[i] = -1;
    }
    for (unsigned i = 0; i < FAKE_BLOCKS; i++) {
        qemu->blocks[i] = (struct fake_block){.name = shapes[i].name,
                                              .pages = shapes[i].pages,
                                              .from = map(shapes[i].pages),
                                              .to = map(shapes[i].pages)};
    }
    fake_destination_listen(qemu);
}

void fake_qemu_fini(struct fake_qemu *qemu)
{
    for (unsigned i = 0; i < FAKE_BLOCKS; i++) {
        munmap(qemu->blocks[i].from, qemu->blocks[i].pages * FAKE_PAGE);
        munmap(qemu->blocks[i].to, qemu->blocks[i].pages * FAKE_PAGE);
    }
    close(qemu->listener);
    unlink(qemu->destination_path);
}

void fake_qemu_join(struct fake_qemu *qemu)
{
    pthread_join(qemu->source, NULL);
    fake_destination_join(qemu);
}

bool fake_qemu_equal(const struct fake_qemu *qemu)
{
    for (unsigned i = 0; i < FAKE_BLOCKS && !qemu->plan.compressed; i++) {
        for (uint64_t page = 0; page < qemu->blocks[i].pages; page++) {
            if (memcmp(qemu->blocks[i].from + page * FAKE_PAGE,
                       qemu->blocks[i].to + page * FAKE_PAGE, FAKE_PAGE) != 0) {
                fprintf(stderr, "page %llu of %s differs\n", (unsigned long long)page,
                        qemu->blocks[i].name);
                return false;
            }
        }
    }
    for (unsigned i = 0; i < qemu->plan.channels; i++) {
        for (unsigned j = 0; j < qemu->receivers_num; j++) {
            if (qemu->receivers[j].id == (int)i && qemu->receivers[j].digest != qemu->digests[i]) {
                fprintf(stderr, "channel %u carried something else\n", i);
                return false;
            }
        }
    }
    return true;
}
