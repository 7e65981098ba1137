/*
 * SPDX-License-Identifier: MIT
 *
 * Memory regions, their keys, and the copy.
 */
#include <stdlib.h>

#include "fabric_internal.h"

#undef ibv_reg_mr

enum { MAX_REGIONS = 1 << 16 };

/* A key is kind, slot and generation, so that a stale key and a key of the wrong kind are told
 * apart. */
#define LOCAL_KEY  0x01000000U
#define REMOTE_KEY 0x02000000U

struct fabric_mr {
    struct ibv_mr mr;
    struct fabric_object object;
    uint64_t iova;
    int access;
    uint64_t locked; /* bytes that count against the limit */
    unsigned int epoch;
};

pthread_rwlock_t fabric_tables = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;

static struct fabric_mr *regions[MAX_REGIONS];
static uint8_t generations[MAX_REGIONS];
static uint64_t locked; /* bytes, of this epoch */
static unsigned int epoch;

void fabric_mr_reset(void)
{
    pthread_rwlock_wrlock(&fabric_tables);
    locked = 0;
    epoch++;
    pthread_rwlock_unlock(&fabric_tables);
}

static struct fabric_mr *lookup(uint32_t key, uint32_t kind)
{
    struct fabric_mr *mr = regions[(key >> 8) & (MAX_REGIONS - 1)];

    if (!mr || (kind == LOCAL_KEY ? mr->mr.lkey : mr->mr.rkey) != key) {
        return NULL;
    }
    return mr;
}

static void *memory(struct ibv_pd *pd, uint64_t address, uint64_t length, struct fabric_mr *mr,
                    int access)
{
    if (!mr || mr->mr.pd != pd || (mr->access & access) != access) {
        return NULL;
    }
    if (address < mr->iova || address - mr->iova > mr->mr.length ||
        length > mr->mr.length - (address - mr->iova)) {
        return NULL;
    }
    return (char *)mr->mr.addr + (address - mr->iova);
}

void *fabric_local_memory(struct ibv_pd *pd, const struct ibv_sge *sge, int access)
{
    return memory(pd, sge->addr, sge->length, lookup(sge->lkey, LOCAL_KEY), access);
}

void *fabric_remote_memory(struct ibv_pd *pd, uint64_t address, uint64_t length, uint32_t rkey,
                           int access)
{
    return memory(pd, address, length, lookup(rkey, REMOTE_KEY), access);
}

__attribute__((noinline, no_sanitize("thread"))) void fabric_copy(void *to, const void *from,
                                                                  size_t length)
{
    volatile uint8_t *to8 = to;
    const volatile uint8_t *from8 = from;
    size_t done = 0;

    if (((uintptr_t)to % 8 | (uintptr_t)from % 8) == 0) {
        volatile uint64_t *to64 = to;
        const volatile uint64_t *from64 = from;
        for (; done + 8 <= length; done += 8) {
            to64[done / 8] = from64[done / 8];
        }
    }
    for (; done < length; done++) {
        to8[done] = from8[done];
    }
}

static int check_registration(const void *addr, size_t length, unsigned int access)
{
    const struct fabric_options *options = fabric_opts();

    if ((access & (IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_ATOMIC)) &&
        !(access & IBV_ACCESS_LOCAL_WRITE)) {
        return EINVAL;
    }
    if ((access & IBV_ACCESS_ON_DEMAND) && !options->odp) {
        return EOPNOTSUPP;
    }
    if (!addr || length == 0 || length > options->max_mr_size) {
        return EINVAL;
    }
    return 0;
}

/* 0, or ENOMEM when there is no slot or no memory to lock; the tables are write-locked. */
static int insert(struct fabric_mr *mr)
{
    uint64_t limit = fabric_opts()->memlock;
    static uint32_t next;

    mr->locked = (mr->access & IBV_ACCESS_ON_DEMAND) ? 0 : mr->mr.length;
    mr->epoch = epoch;
    if (limit && mr->locked > 0 && locked + mr->locked > limit) {
        return ENOMEM;
    }
    for (uint32_t tried = 0; tried < MAX_REGIONS; tried++) {
        uint32_t slot = next++ % MAX_REGIONS;
        if (!regions[slot]) {
            uint32_t key = slot << 8 | ++generations[slot];
            mr->mr.lkey = LOCAL_KEY | key;
            mr->mr.rkey = REMOTE_KEY | key;
            regions[slot] = mr;
            locked += mr->locked;
            return 0;
        }
    }
    return ENOMEM;
}

static struct ibv_mr *register_memory(struct ibv_pd *pd, void *addr, size_t length, uint64_t iova,
                                      unsigned int access)
{
    int error = fabric_fault(FABRIC_CALL, "ibv_reg_mr");
    struct fabric_mr *mr;

    error = error ? error : check_registration(addr, length, access);
    if (error) {
        errno = error;
        return NULL;
    }
    mr = fabric_calloc(1, sizeof(*mr));
    mr->mr.context = pd->context;
    mr->mr.pd = pd;
    mr->mr.addr = addr;
    mr->mr.length = length;
    mr->iova = iova;
    mr->access = (int)access;

    pthread_rwlock_wrlock(&fabric_tables);
    error = insert(mr);
    pthread_rwlock_unlock(&fabric_tables);
    if (error) {
        free(mr);
        errno = error;
        return NULL;
    }
    fabric_object_use(fabric_pd_object(pd));
    fabric_object_add(&mr->object, FABRIC_MR);
    return &mr->mr;
}

struct ibv_mr *ibv_reg_mr(struct ibv_pd *pd, void *addr, size_t length, int access)
{
    return register_memory(pd, addr, length, (uintptr_t)addr, (unsigned int)access);
}

struct ibv_mr *ibv_reg_mr_iova2(struct ibv_pd *pd, void *addr, size_t length, uint64_t iova,
                                unsigned int access)
{
    return register_memory(pd, addr, length, iova,
                           access & ~(unsigned int)IBV_ACCESS_OPTIONAL_RANGE);
}

int ibv_dereg_mr(struct ibv_mr *mr)
{
    int injected = fabric_fault(FABRIC_CLEANUP, "ibv_dereg_mr");
    struct fabric_mr *own = container_of(mr, struct fabric_mr, mr);
    uint32_t slot = (mr->lkey >> 8) & (MAX_REGIONS - 1);

    /* Waits for copies under way: once this has returned the device does not touch the memory
     * again. */
    pthread_rwlock_wrlock(&fabric_tables);
    if (regions[slot] != own) {
        fabric_misuse("ibv_dereg_mr of a region that is not registered");
    }
    regions[slot] = NULL;
    locked -= own->epoch == epoch ? own->locked : 0;
    pthread_rwlock_unlock(&fabric_tables);

    fabric_object_unuse(fabric_pd_object(mr->pd));
    fabric_object_remove(&own->object);
    free(own);
    return injected;
}
