/* SPDX-License-Identifier: MIT */
#include "bridge/guard.h"

#include "fail.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct guard {
    atomic_bool *let_be; /* QEMU is to be left alone; memory shared with the guard's process */
    int pipe;            /* to the guard; closes when this process ends, however it does */
    pid_t process;
};

/* ---- The guard's process ------------------------------------------------------------------ */

/* Keeps nothing of the bridge's open, and outlives the terminal and the signals that end it. */
static int detach(int from)
{
    int kept = fcntl(from, F_DUPFD, STDERR_FILENO + 1); /* it may be one of the three itself */
    int null = open("/dev/null", O_RDWR);

    (void)setsid();
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGTERM, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        (void)dup2(null, fd);
    }
    (void)dup2(kept, STDERR_FILENO + 1);
    (void)close_range(STDERR_FILENO + 2, ~0U, 0);
    (void)prctl(PR_SET_NAME, "multifd-guard");
    return STDERR_FILENO + 1;
}

/* A descriptor cannot mean another process later, as a number can. */
static int open_process(pid_t process)
{
    return (int)syscall(SYS_pidfd_open, process, 0);
}

static void end_process(int process, int grace_ms)
{
    struct pollfd ended = {.fd = process, .events = POLLIN};

    if (poll(&ended, 1, grace_ms) == 0) {
        (void)syscall(SYS_pidfd_send_signal, process, SIGKILL, NULL, 0);
    }
}

static void watch(const atomic_bool *let_be, int from, int grace_ms)
{
    pid_t process;
    int qemu = -1;
    ssize_t got;

    while ((got = read(from, &process, sizeof(process))) > 0 || (got < 0 && errno == EINTR)) {
        if (got == (ssize_t)sizeof(process) && qemu < 0) {
            qemu = open_process(process);
        }
    }
    if (qemu >= 0 && !atomic_load(let_be)) {
        end_process(qemu, grace_ms);
    }
}

/* ---- The bridge's ------------------------------------------------------------------------- */

static int share(struct guard *guard, struct multifd_error *err)
{
    void *memory = mmap(NULL, sizeof(*guard->let_be), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED) {
        return tool_fail(err, MULTIFD_ERROR_SYSTEM, "no memory to share: %s", strerror(errno));
    }
    guard->let_be = memory; /* zeroed: false */
    return 0;
}

static int start_process(struct guard *guard, int grace_ms, struct multifd_error *err)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) != 0) {
        return tool_fail(err, MULTIFD_ERROR_SYSTEM, "pipe: %s", strerror(errno));
    }
    guard->process = fork();
    if (guard->process == 0) {
        (void)close(ends[1]);
        watch(guard->let_be, detach(ends[0]), grace_ms);
        _exit(0);
    }
    (void)close(ends[0]);
    if (guard->process < 0) {
        (void)close(ends[1]);
        return tool_fail(err, MULTIFD_ERROR_SYSTEM, "fork: %s", strerror(errno));
    }
    guard->pipe = ends[1];
    return 0;
}

struct guard *guard_start(int grace_ms, struct multifd_error *err)
{
    struct guard *guard = calloc(1, sizeof(*guard));

    if (guard == NULL) {
        tool_fill_error(err, MULTIFD_ERROR_SYSTEM, "no memory");
        return NULL;
    }
    if (share(guard, err) != 0) {
        goto free_guard;
    }
    if (start_process(guard, grace_ms, err) != 0) {
        goto unmap;
    }
    return guard;

unmap:
    (void)munmap(guard->let_be, sizeof(*guard->let_be));
free_guard:
    free(guard);
    return NULL;
}

void guard_connected(void *guard, pid_t qemu)
{
    const struct guard *of = guard;

    if (qemu > 0) { /* in a process namespace of its own it has no number here */
        (void)!write(of->pipe, &qemu, sizeof(qemu));
    }
}

void guard_handing_over(void *guard)
{
    const struct guard *of = guard;

    atomic_store(of->let_be, true);
}

void guard_stop(struct guard **guard)
{
    struct guard *gone = *guard;

    if (gone == NULL) {
        return;
    }
    atomic_store(gone->let_be, true);
    (void)close(gone->pipe);
    (void)waitpid(gone->process, NULL, 0);
    (void)munmap(gone->let_be, sizeof(*gone->let_be));
    free(gone);
    *guard = NULL;
}
