/* SPDX-License-Identifier: MIT */
#include "bridge/guard.h"

#include "console.h"
#include "fail.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORDS_MAX 64u

struct guard {
    atomic_bool *let_be; /* QEMU is to be left alone; memory shared with the guard's process */
    int socket;          /* to the guard; closes when this process ends, however it does */
    pid_t process;
};

/* A message to the guard. With the second kind comes a descriptor. */
struct order {
    enum { ORDER_PROCESS, ORDER_CONNECTION } kind;
    pid_t process;
    uint32_t length;
    uint8_t words[WORDS_MAX];
};

/* Room for one descriptor beside a message. */
union ancillary {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int))];
};

/* What the guard's process knows. */
struct watch {
    const atomic_bool *let_be;
    const char *command;
    int grace_ms;
    int qemu;       /* a pidfd, or -1 */
    int connection; /* QEMU's, or -1 */
    struct order last;
};

/* ---- The guard's process ------------------------------------------------------------------ */

/* Keeps nothing of the bridge's open but where it speaks, and outlives the terminal and the signals
 * that end it. */
static int detach(int from)
{
    int kept = fcntl(from, F_DUPFD, STDERR_FILENO + 1); /* it may be one of the three itself */
    int null = open("/dev/null", O_RDWR);

    (void)setsid();
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGTERM, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    (void)dup2(null, STDIN_FILENO);
    (void)dup2(null, STDOUT_FILENO);
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

static void end_qemu(const struct watch *watch)
{
    struct pollfd ended = {.fd = watch->qemu, .events = POLLIN};

    if (poll(&ended, 1, watch->grace_ms) == 0 &&
        syscall(SYS_pidfd_send_signal, watch->qemu, SIGKILL, NULL, 0) == 0) {
        console_line(watch->command, "the bridge was killed, and QEMU with it: the guest is still "
                                     "the source's");
    }
}

static void tell_qemu(const struct watch *watch)
{
    struct pollfd hung_up = {.fd = watch->connection};

    if (poll(&hung_up, 1, 0) != 0) {
        return; /* it needs nobody any more */
    }
    console_line(watch->command,
                 "the bridge was killed just when it handed the guest over: QEMU here keeps the "
                 "guest stopped; if it does not run at the destination, continue it here");
    (void)send(watch->connection, watch->last.words, watch->last.length, MSG_NOSIGNAL);
}

/* One order. False when the bridge has gone. */
static bool receive(struct watch *watch, int from)
{
    struct order order;
    union ancillary beside;
    struct iovec bytes = {.iov_base = &order, .iov_len = sizeof(order)};
    struct msghdr message = {.msg_iov = &bytes,
                             .msg_iovlen = 1,
                             .msg_control = beside.bytes,
                             .msg_controllen = sizeof(beside.bytes)};
    ssize_t got = recvmsg(from, &message, 0);
    const struct cmsghdr *passed = CMSG_FIRSTHDR(&message);

    if (got != (ssize_t)sizeof(order)) {
        return got < 0 && errno == EINTR;
    }
    if (order.kind == ORDER_PROCESS) {
        watch->qemu = open_process(order.process);
    } else if (passed != NULL) {
        memcpy(&watch->connection, CMSG_DATA(passed), sizeof(watch->connection));
        watch->last = order;
    }
    return true;
}

static void keep_watch(struct watch *watch, int from)
{
    while (receive(watch, from)) {
    }
    if (atomic_load(watch->let_be)) {
        return;
    }
    if (watch->qemu >= 0) {
        end_qemu(watch);
    }
    if (watch->connection >= 0) {
        tell_qemu(watch);
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

static int start_process(struct guard *guard, struct watch *watch, struct multifd_error *err)
{
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        return tool_fail(err, MULTIFD_ERROR_SYSTEM, "socketpair: %s", strerror(errno));
    }
    guard->process = fork();
    if (guard->process == 0) {
        (void)close(ends[1]);
        keep_watch(watch, detach(ends[0]));
        _exit(0);
    }
    (void)close(ends[0]);
    if (guard->process < 0) {
        (void)close(ends[1]);
        return tool_fail(err, MULTIFD_ERROR_SYSTEM, "fork: %s", strerror(errno));
    }
    guard->socket = ends[1];
    return 0;
}

struct guard *guard_start(const char *command, int grace_ms, struct multifd_error *err)
{
    struct guard *guard = calloc(1, sizeof(*guard));
    struct watch watch = {.command = command, .grace_ms = grace_ms, .qemu = -1, .connection = -1};

    if (guard == NULL) {
        tool_fill_error(err, MULTIFD_ERROR_SYSTEM, "no memory");
        return NULL;
    }
    if (share(guard, err) != 0) {
        goto free_guard;
    }
    watch.let_be = guard->let_be;
    if (start_process(guard, &watch, err) != 0) {
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
    const struct order order = {.kind = ORDER_PROCESS, .process = qemu};

    if (qemu > 0) { /* in a process namespace of its own it has no number here */
        (void)send(of->socket, &order, sizeof(order), MSG_NOSIGNAL);
    }
}

void guard_committing(void *guard, int qemu, const void *words, size_t length)
{
    const struct guard *of = guard;
    struct order order = {.kind = ORDER_CONNECTION, .length = (uint32_t)length};
    union ancillary beside = {.bytes = {0}};
    struct iovec bytes = {.iov_base = &order, .iov_len = sizeof(order)};
    const struct msghdr message = {.msg_iov = &bytes,
                                   .msg_iovlen = 1,
                                   .msg_control = beside.bytes,
                                   .msg_controllen = sizeof(beside.bytes)};
    struct cmsghdr *passed = CMSG_FIRSTHDR(&message);

    if (length > sizeof(order.words)) {
        return;
    }
    memcpy(order.words, words, length);
    passed->cmsg_level = SOL_SOCKET;
    passed->cmsg_type = SCM_RIGHTS;
    passed->cmsg_len = CMSG_LEN(sizeof(qemu));
    memcpy(CMSG_DATA(passed), &qemu, sizeof(qemu));
    (void)sendmsg(of->socket, &message, MSG_NOSIGNAL);
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
    (void)close(gone->socket);
    (void)waitpid(gone->process, NULL, 0);
    (void)munmap(gone->let_be, sizeof(*gone->let_be));
    free(gone);
    *guard = NULL;
}
