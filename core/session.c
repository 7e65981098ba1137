/* SPDX-License-Identifier: MIT */
#include "core/session.h"

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/probes.h"
#include "core/base/processors.h"
#include "core/packet.h"
#include "core/staging.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* How long the peer's reason may stay behind the end of its connections. */
#define SETTLE_NS (UINT64_C(300) * NS_PER_MS)

#define COMPRESSED_PAGE_MAX (16u << 20)

/* QEMU's main channel has no greeting: it begins with the magic of its stream. */
static int prepare_qemu(struct session *session, struct multifd_error *err)
{
    static const uint8_t magic[] = {'Q', 'E', 'V', 'M'};

    if (session->address.kind == TRANSPORT_RDMA) {
        return error_set(err, MULTIFD_ERROR_INVALID, "option qemu needs a tcp: or unix: address");
    }
    static_assert(sizeof(magic) == sizeof(session->options.transport.bare_start), "magic");
    memcpy(session->options.transport.bare_start, magic, sizeof(magic));
    return 0;
}

static int check_options(const struct multifd_options *options, struct multifd_error *err)
{
    uint32_t method;

    if (options->piece_size != 0 && options->piece_size < options->page_size) {
        return error_set(err, MULTIFD_ERROR_INVALID,
                         "option piece-size: %llu is below the page size %u",
                         (unsigned long long)options->piece_size, options->page_size);
    }
    if (options->transport.gid_index >= 0 && options->transport.ib_dev[0] == '\0') {
        return error_set(err, MULTIFD_ERROR_INVALID, "option gid-index needs ib-dev");
    }
    /* Not when the option is set: a method may be registered after that. */
    return method_table_find(&options->methods, options->method, &method, err);
}

int session_init(struct session *session, const char *peer, const char *address,
                 const struct multifd_options *options, struct multifd_error *err)
{
    session->peer = peer;
    session->options = *options;
    if (check_options(options, err) != 0 ||
        transport_address_parse(address, &session->address, err) != 0 ||
        (options->qemu != 0 && prepare_qemu(session, err) != 0) ||
        waker_init(&session->main, err) != 0) {
        return -1;
    }
    session->workers = worker_group_new(err);
    if (session->workers == NULL) {
        goto fini_main;
    }
    session->failed_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (session->failed_fd < 0) {
        error_set_errno(err, MULTIFD_ERROR_SYSTEM, errno, "eventfd");
        goto delete_workers;
    }
    session->endpoint = transport_endpoint_new(&session->address, &session->options.transport, err);
    if (session->endpoint == NULL) {
        goto close_failed;
    }
    /* To poll on the only processor keeps those from running for whose work one waits. */
    session->one_processor = processors_usable() == 1;
    session->poll_ns = session->one_processor ? 0 : session->options.poll_us * UINT64_C(1000);
    pthread_mutex_init(&session->lock, NULL);
    atomic_init(&session->state, SESSION_ALIVE);
    atomic_init(&session->awaited, 0);
    error_clear(&session->error);
    error_clear(&session->ended);
    session_add_waker(session, &session->main);
    return 0;

close_failed:
    close(session->failed_fd);
delete_workers:
    worker_group_delete(&session->workers);
fini_main:
    waker_fini(&session->main);
    return -1;
}

void session_fini(struct session *session)
{
    ram_table_clear(&session->blocks);
    session->endpoint->ops->free(session->endpoint);
    close(session->failed_fd);
    worker_group_delete(&session->workers);
    waker_fini(&session->main);
    pthread_mutex_destroy(&session->lock);
}

uint32_t session_staging_slots(const struct session *session, uint32_t method)
{
    uint32_t page_size = session->options.page_size;

    if (method == MULTIFD_FLAG_NOCOMP) {
        return 0;
    }
    if (session->endpoint->stream) {
        return 1; /* at this side alone, and free again when the kernel has taken it */
    }
    return staging_slots(session->options.window,
                         (uint64_t)packet_page_count(page_size) * page_size);
}

int session_check_method(const struct session *session, uint32_t method, struct multifd_error *err)
{
    if (method != MULTIFD_FLAG_NOCOMP && session->options.page_size > COMPRESSED_PAGE_MAX) {
        return error_set(err, MULTIFD_ERROR_INVALID,
                         "method %s takes pages of up to %u bytes, these have %u",
                         method_table_name(&session->options.methods, method), COMPRESSED_PAGE_MAX,
                         session->options.page_size);
    }
    return 0;
}

void session_device_counters(const struct session *session, struct multifd_device_counters *out)
{
    if (session->endpoint->ops->device_counters != NULL) {
        session->endpoint->ops->device_counters(session->endpoint, out);
        return;
    }
    memset(out, 0xff, sizeof(*out)); /* MULTIFD_UNKNOWN, all of them */
}

void session_add_waker(struct session *session, struct waker *waker)
{
    pthread_mutex_lock(&session->lock);
    session->wakers[session->wakers_num++] = waker;
    pthread_mutex_unlock(&session->lock);
}

void session_remove_waker(struct session *session, const struct waker *waker)
{
    pthread_mutex_lock(&session->lock);
    for (uint32_t i = 0; i < session->wakers_num; i++) {
        if (session->wakers[i] == waker) {
            session->wakers[i] = session->wakers[--session->wakers_num];
            break;
        }
    }
    pthread_mutex_unlock(&session->lock);
}

static void wake_all(struct session *session)
{
    for (uint32_t i = 0; i < session->wakers_num; i++) {
        waker_wake(session->wakers[i]);
    }
}

/* With the lock held. */
static void fail_now(struct session *session, const struct multifd_error *err)
{
    const uint64_t one = 1;
    session->error = *err;
    PROBE_ERROR(err->code, err->channel, &err->message[0]);
    atomic_store(&session->state, SESSION_FAILED);
    log_line(&session->options.log, "session failed: %s", err->message);
    (void)!write(session->failed_fd, &one, sizeof(one));
    wake_all(session);
}

/* Errors that say no more than that the peer has gone, or wants no more connections. */
static bool says_little(const struct multifd_error *err)
{
    return err->code == MULTIFD_ERROR_DISCONNECTED || err->code == MULTIFD_ERROR_REFUSED;
}

void session_fail(struct session *session, const struct multifd_error *err)
{
    pthread_mutex_lock(&session->lock);
    if (atomic_load(&session->state) == SESSION_ALIVE) {
        if (!says_little(err)) {
            fail_now(session, err);
        } else if (session->ended.code == MULTIFD_OK) {
            session->ended = *err;
            session->ended_ns = clock_now_ns();
            wake_all(session); /* the control connection's thread calls session_settle */
        }
    }
    pthread_mutex_unlock(&session->lock);
}

/* With the lock held. */
static bool holds_back(const struct session *session)
{
    return atomic_load(&session->state) == SESSION_ALIVE && session->ended.code != MULTIFD_OK;
}

uint64_t session_settles_at(struct session *session)
{
    uint64_t when;

    pthread_mutex_lock(&session->lock);
    when = holds_back(session) ? session->ended_ns + SETTLE_NS : UINT64_MAX;
    pthread_mutex_unlock(&session->lock);
    return when;
}

void session_settle(struct session *session)
{
    pthread_mutex_lock(&session->lock);
    if (holds_back(session)) {
        fail_now(session, &session->ended);
    }
    pthread_mutex_unlock(&session->lock);
}

bool session_finish(struct session *session)
{
    bool finished;

    pthread_mutex_lock(&session->lock);
    finished = atomic_load(&session->state) != SESSION_FAILED;
    if (finished) {
        atomic_store(&session->state, SESSION_FINISHED);
    }
    pthread_mutex_unlock(&session->lock);
    return finished;
}

bool session_commit(struct session *session)
{
    bool alive;

    pthread_mutex_lock(&session->lock);
    alive = atomic_load(&session->state) == SESSION_ALIVE;
    session->committed = session->committed || alive;
    pthread_mutex_unlock(&session->lock);
    return alive;
}

void session_take_back(struct session *session)
{
    pthread_mutex_lock(&session->lock);
    session->committed = false;
    pthread_mutex_unlock(&session->lock);
}

bool session_is_committed(struct session *session)
{
    bool committed;

    pthread_mutex_lock(&session->lock);
    committed = session->committed;
    pthread_mutex_unlock(&session->lock);
    return committed;
}

int session_abort(struct session *session, const struct multifd_error *failure,
                  struct multifd_error *err)
{
    session_fail(session, failure);
    session_settle(session);
    return session_error(session, err);
}

bool session_has_finished(const struct session *session)
{
    return atomic_load(&session->state) == SESSION_FINISHED;
}

int session_error(struct session *session, struct multifd_error *err)
{
    if (err != NULL) {
        pthread_mutex_lock(&session->lock);
        *err = session->error;
        pthread_mutex_unlock(&session->lock);
    }
    return -1;
}

/*
 * Stores and loads are sequentially consistent: either the main thread has said what it awaits
 * before this looks, or it looks at what has been stored after it has said so.
 */
void session_wake(struct session *session, enum session_awaits what)
{
    if ((atomic_load(&session->awaited) & (unsigned)what) != 0) {
        waker_wake(&session->main);
    }
}

int session_wait(struct session *session, unsigned awaited, bool (*ready)(void *arg), void *arg,
                 struct multifd_error *err)
{
    atomic_store(&session->awaited, awaited);
    for (;;) {
        if (session_has_failed(session)) {
            return session_error(session, err);
        }
        if (ready(arg)) {
            return 0;
        }
        waker_arm(&session->main);
        if (session_has_failed(session) || ready(arg)) {
            waker_disarm(&session->main, false);
            continue;
        }
        waker_sleep(&session->main, -1);
    }
}
