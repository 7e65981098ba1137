/* SPDX-License-Identifier: MIT */
#include "registration.h"

#include "clocks.h"
#include "fail.h"
#include "samples.h"
#include "verbs_device.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct registration {
    const struct bench_case *bench;
    struct verbs_device device;
    uint8_t *bytes;
    uint64_t piece;
    uint64_t pieces;
    struct ibv_mr **regions; /* of each piece; NULL while it is not registered */
    struct worker *workers;
    pthread_mutex_t gate; /* held while the threads are started */
    bool given_up;        /* not all of them could be */
    double *registering;  /* s/GB of each repetition */
    double *deregistering;
    double *fresh;
};

/* Does one piece; 0, or an errno. */
typedef int piece_fn(struct registration *registration, uint64_t index);

struct worker {
    struct registration *registration;
    piece_fn *work;
    pthread_t thread;
    uint64_t index;
    uint64_t start_ns;
    uint64_t end_ns;
    int errnum; /* of the first piece that failed */
};

/* ---- Pieces ---- */

static uint64_t length_of(const struct registration *registration, uint64_t index)
{
    uint64_t left = registration->bench->memory - index * registration->piece;

    return left < registration->piece ? left : registration->piece;
}

static int register_piece(struct registration *registration, uint64_t index)
{
    registration->regions[index] =
        ibv_reg_mr(registration->device.pd, registration->bytes + index * registration->piece,
                   length_of(registration, index),
                   IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ);
    return registration->regions[index] != NULL ? 0 : errno;
}

static int deregister_piece(struct registration *registration, uint64_t index)
{
    struct ibv_mr *region = registration->regions[index];

    registration->regions[index] = NULL;
    return region != NULL ? ibv_dereg_mr(region) : 0;
}

/* ---- Threads ---- */

static void *work(void *arg)
{
    struct worker *worker = arg;
    struct registration *registration = worker->registration;

    (void)pthread_mutex_lock(&registration->gate);
    bool given_up = registration->given_up;
    (void)pthread_mutex_unlock(&registration->gate);
    worker->start_ns = now_ns();
    for (uint64_t i = worker->index; !given_up && worker->errnum == 0 && i < registration->pieces;
         i += registration->bench->threads) {
        worker->errnum = worker->work(registration, i);
    }
    worker->end_ns = now_ns();
    return NULL;
}

/* Starts all of them, or none; they begin together. Returns how many. */
static uint64_t start_workers(struct registration *registration, piece_fn *piece,
                              struct multifd_error *err)
{
    uint64_t started = 0;

    (void)pthread_mutex_lock(&registration->gate);
    while (started < registration->bench->threads) {
        struct worker *worker = &registration->workers[started];

        *worker = (struct worker){.registration = registration, .work = piece, .index = started};
        if (pthread_create(&worker->thread, NULL, work, worker) != 0) {
            registration->given_up = true;
            (void)tool_fail(err, MULTIFD_ERROR_SYSTEM, "no thread");
            break;
        }
        started++;
    }
    (void)pthread_mutex_unlock(&registration->gate);
    return started;
}

/* Does all pieces and tells how long that took, from the first thread's start to the last's end. */
static int do_pieces(struct registration *registration, piece_fn *piece, double *s_per_gb,
                     struct multifd_error *err)
{
    uint64_t started = start_workers(registration, piece, err);
    uint64_t start_ns = UINT64_MAX;
    uint64_t end_ns = 0;
    int errnum = 0;

    for (uint64_t i = 0; i < started; i++) {
        struct worker *worker = &registration->workers[i];

        (void)pthread_join(worker->thread, NULL);
        start_ns = worker->start_ns < start_ns ? worker->start_ns : start_ns;
        end_ns = worker->end_ns > end_ns ? worker->end_ns : end_ns;
        errnum = errnum == 0 ? worker->errnum : errnum;
    }
    if (errnum != 0) {
        return tool_fail(err, MULTIFD_ERROR_DEVICE, "%s of %llu bytes: %s%s",
                         piece == register_piece ? "ibv_reg_mr" : "ibv_dereg_mr",
                         (unsigned long long)registration->piece, strerror(errnum),
                         errnum == ENOMEM ? " (ulimit -l limits locked memory)" : "");
    }
    *s_per_gb = (double)(end_ns - start_ns) / (double)registration->bench->memory;
    return registration->given_up ? -1 : 0;
}

/* ---- Memory ---- */

static int map(struct registration *registration, struct multifd_error *err)
{
    const struct bench_case *bench = registration->bench;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS;

    if (bench->huge_pages != 0) {
        flags |= MAP_HUGETLB | __builtin_ctzll(bench->huge_pages) << MAP_HUGE_SHIFT;
    }
    registration->bytes = mmap(NULL, bench->memory, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (registration->bytes == MAP_FAILED) {
        registration->bytes = NULL;
        return tool_fail(
            err, MULTIFD_ERROR_SYSTEM, "mmap of %llu bytes%s: %s",
            (unsigned long long)bench->memory,
            bench->huge_pages != 0 ? " of huge pages (the kernel's: /sys/kernel/mm/hugepages)" : "",
            strerror(errno));
    }
    if (bench->huge_pages == 0) {
        (void)madvise(registration->bytes, bench->memory, MADV_NOHUGEPAGE);
    }
    return 0;
}

static void unmap(struct registration *registration)
{
    if (registration->bytes != NULL) {
        (void)munmap(registration->bytes, registration->bench->memory);
        registration->bytes = NULL;
    }
}

/* ---- Measuring ---- */

/* Fresh memory first, then the same when it has been touched. */
static int measure_once(struct registration *registration, uint64_t turn, struct multifd_error *err)
{
    double unused;

    if (map(registration, err) != 0 ||
        do_pieces(registration, register_piece, &registration->fresh[turn], err) != 0 ||
        do_pieces(registration, deregister_piece, &unused, err) != 0) {
        return -1;
    }
    memset(registration->bytes, 0xff, registration->bench->memory);
    if (do_pieces(registration, register_piece, &registration->registering[turn], err) != 0 ||
        do_pieces(registration, deregister_piece, &registration->deregistering[turn], err) != 0) {
        return -1;
    }
    unmap(registration);
    return 0;
}

static void add_results(const struct registration *registration, json_t *row)
{
    const struct bench_case *bench = registration->bench;
    uint64_t page = bench->huge_pages != 0 ? bench->huge_pages : (uint64_t)sysconf(_SC_PAGESIZE);

    (void)json_object_set_new(
        row, "device", json_string(ibv_get_device_name(registration->device.context->device)));
    (void)json_object_set_new(row, "page_bytes", json_integer((json_int_t)page));
    (void)json_object_set_new(row, "register_s_per_gb",
                              spread_json(registration->registering, bench->repeat));
    (void)json_object_set_new(row, "deregister_s_per_gb",
                              spread_json(registration->deregistering, bench->repeat));
    (void)json_object_set_new(row, "fresh_register_s_per_gb",
                              spread_json(registration->fresh, bench->repeat));
}

static int measure(struct registration *registration, json_t *row, struct multifd_error *err)
{
    /* The first is for warming up; the next overwrites its figures. */
    if (measure_once(registration, 0, err) != 0) {
        return -1;
    }
    for (uint64_t turn = 0; turn < registration->bench->repeat; turn++) {
        if (measure_once(registration, turn, err) != 0) {
            return -1;
        }
    }
    add_results(registration, row);
    return 0;
}

static int check(const struct bench_case *bench, struct multifd_error *err)
{
    uint64_t huge = bench->huge_pages;

    if ((huge & (huge - 1)) != 0) {
        return tool_fail(err, MULTIFD_ERROR_INVALID, "option huge-pages: not a power of two");
    }
    return huge == 0 || bench->memory % huge == 0
               ? 0
               : tool_fail(err, MULTIFD_ERROR_INVALID, "option memory: not whole huge pages");
}

static int allocate(struct registration *registration, struct multifd_error *err)
{
    const struct bench_case *bench = registration->bench;

    registration->piece = bench->piece > bench->memory ? bench->memory : bench->piece;
    registration->pieces = (bench->memory + registration->piece - 1) / registration->piece;
    registration->regions = calloc(registration->pieces, sizeof(struct ibv_mr *));
    registration->workers = calloc(bench->threads, sizeof(struct worker));
    registration->registering = calloc(bench->repeat, sizeof(double));
    registration->deregistering = calloc(bench->repeat, sizeof(double));
    registration->fresh = calloc(bench->repeat, sizeof(double));
    return registration->regions != NULL && registration->workers != NULL &&
                   registration->registering != NULL && registration->deregistering != NULL &&
                   registration->fresh != NULL
               ? 0
               : tool_fail(err, MULTIFD_ERROR_SYSTEM, "no memory");
}

static void clear(struct registration *registration)
{
    for (uint64_t i = 0; registration->regions != NULL && i < registration->pieces; i++) {
        (void)deregister_piece(registration, i);
    }
    verbs_device_close(&registration->device);
    unmap(registration);
    free((void *)registration->regions);
    free(registration->workers);
    free(registration->registering);
    free(registration->deregistering);
    free(registration->fresh);
}

int registration_run(const struct bench_case *bench, struct peer *peer, json_t *row,
                     struct multifd_error *err)
{
    struct registration registration = {.bench = bench, .gate = PTHREAD_MUTEX_INITIALIZER};
    int status = -1;

    (void)peer; /* there is no other side */
    if (check(bench, err) == 0 && allocate(&registration, err) == 0 &&
        verbs_device_open(&registration.device, bench->verbs.device, err) == 0) {
        status = measure(&registration, row, err);
    }
    clear(&registration);
    return status;
}
