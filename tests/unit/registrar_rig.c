/* SPDX-License-Identifier: MIT */
#include "registrar_rig.h"

#include "core/base/error.h"

#include <stdlib.h>
#include <unistd.h>

struct registrar_rig around;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards what is noted */
static uint8_t host[67 * MIB];                           /* never touched: only addresses count */

static int register_memory(struct transport_endpoint *base, void *address, uint64_t length,
                           uint32_t access, struct transport_memory *memory,
                           struct multifd_error *err)
{
    int status = 0;

    (void)base;
    pthread_mutex_lock(&lock);
    around.calls[around.calls_num++ % MOST] = (struct call){address, length, access};
    while (atomic_load(&around.hold)) {
        pthread_mutex_unlock(&lock);
        usleep(100);
        pthread_mutex_lock(&lock);
    }
    if (around.fail_from != 0 && around.calls_num >= around.fail_from) {
        status = error_set(err, MULTIFD_ERROR_DEVICE, "registration %u", around.calls_num);
    } else {
        *memory = (struct transport_memory){address, 1, (uint32_t)((uint8_t *)address - host) + 7};
        around.live++;
    }
    pthread_mutex_unlock(&lock);
    return status;
}

static int deregister_memory(struct transport_memory *memory, struct multifd_error *err)
{
    memory->handle = NULL;
    around.live--;
    return around.fail_deregister ? error_set(err, MULTIFD_ERROR_DEVICE, "deregister") : 0;
}

static const struct transport_endpoint_ops ops = {.register_memory = register_memory,
                                                  .deregister_memory = deregister_memory};

int control_send(struct control *control, const struct message *message, struct multifd_error *err)
{
    int status = 0;

    (void)control;
    pthread_mutex_lock(&lock);
    if (around.fail_send) {
        status = error_set(err, MULTIFD_ERROR_DISCONNECTED, "send");
    } else {
        around.sent[around.sent_num++ % MOST] = *message;
    }
    pthread_mutex_unlock(&lock);
    return status;
}

void control_set_handler(struct control *control, control_handler *handler, void *opaque)
{
    (void)control;
    around.handler = handler;
    around.handler_opaque = opaque;
}

const char *message_name(enum message_type type)
{
    (void)type;
    return "MESSAGE";
}

void session_fail(struct session *failed, const struct multifd_error *err)
{
    pthread_mutex_lock(&lock);
    if (around.error.code == MULTIFD_OK) {
        around.error = *err;
    }
    atomic_store(&failed->state, SESSION_FAILED);
    pthread_mutex_unlock(&lock);
}

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *),
                          void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *),
                          void *arg);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *),
                          void *arg)
{
    int errnum = mock_enter("pthread_create");

    return errnum != 0 ? errnum : __real_pthread_create(thread, attr, start, arg);
}

static void count_line(void *opaque, const char *line)
{
    (void)opaque;
    (void)line;
    around.logged++;
}

void registrar_split(uint32_t shift)
{
    struct multifd_error err;

    around.session.options.piece_size = UINT64_C(1) << shift;
    for (uint32_t i = 0; i < around.session.blocks.num; i++) {
        free(around.session.blocks.blocks[i]->pieces);
        assert_int_equal(ram_block_split(around.session.blocks.blocks[i], shift, &err), 0);
    }
}

static void add_block(const char *name, uint8_t *at, uint64_t length)
{
    struct multifd_error err;

    assert_non_null(ram_table_add(&around.session.blocks, name, at, length, 4096, &err));
}

int registrar_make(void **state)
{
    struct session *session = &around.session;
    struct multifd_error err;

    mock_setup(state);
    memset(&around, 0, sizeof(around));
    around.base.ops = &ops;
    around.host = host;
    session->endpoint = &around.base;
    session->workers = worker_group_new(&err);
    session->options.page_size = 4096;
    session->options.registration_threads = 3;
    session->options.log = (struct log){count_line, NULL};
    add_block("pc.ram", host, 10 * MIB);
    add_block("vga", host + 64 * MIB, 3 * MIB);
    registrar_split(22);
    return waker_init(&around.waker, &err);
}

int registrar_release(void **state)
{
    registrar_stop(around.registrar);
    registrar_delete(&around.registrar);
    ram_table_clear(&around.session.blocks);
    waker_fini(&around.waker);
    worker_group_delete(&around.session.workers);
    return around.live != 0 ? -1 : mock_teardown(state);
}

void registrar_start(bool source, enum registration_mode mode)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    around.session.options.registration = mode;
    around.registrar = registrar_new(&around.session, NULL, source, &err);
    assert_non_null(around.registrar);
    assert_untouched(&err);
    assert_ptr_equal(around.handler_opaque, around.registrar);
}

void registrar_await(const unsigned *number, unsigned value)
{
    unsigned now = 0;

    for (unsigned i = 0; i < 5000 && now < value; i++) {
        usleep(1000);
        pthread_mutex_lock(&lock);
        now = *number;
        pthread_mutex_unlock(&lock);
    }
    usleep(2000);
    pthread_mutex_lock(&lock);
    now = *number;
    pthread_mutex_unlock(&lock);
    assert_int_equal(now, value);
}
