/* SPDX-License-Identifier: MIT */
#include "fake_channel.h"

#include "core/base/error.h"
#include "transport/verbs/channel.h"
#include "transport/verbs/private_data.h"
#include "transport/verbs/resolve.h"

#include <sys/eventfd.h>
#include <unistd.h>

const struct transport_profile profile = {.receive_slots = 4};
const struct transport_greeting greeting = {.bytes = "from us", .length = 7};
const struct transport_greeting peers_greeting = {.bytes = "from the peer", .length = 13};

struct verbs_endpoint endpoint;
struct transport_endpoint *const base = &endpoint.base;
int wake_fd;

/* Logs a step; -1 with *err naming it when it is to fail. */
static int step(const char *name, struct multifd_error *err)
{
    return mock_enter(name) != 0 ? error_set(err, MULTIFD_ERROR_LIMIT, "%s", name) : 0;
}

int verbs_resolve_address(const struct verbs_endpoint *of, struct verbs_cm *cm,
                          struct multifd_error *err)
{
    assert_ptr_equal(of, &endpoint);
    assert_string_equal(cm->peer, endpoint.name);
    return step("resolve_address", err);
}

int verbs_endpoint_use_device(struct verbs_endpoint *of, struct rdma_cm_id *id,
                              struct multifd_error *err)
{
    assert_ptr_equal(of, &endpoint);
    assert_non_null(id);
    return step("use_device", err);
}

struct verbs_channel *verbs_channel_new(struct verbs_cm *cm, const struct verbs_domain *domain,
                                        const struct transport_profile *wanted,
                                        const struct transport_settings *settings,
                                        struct multifd_error *err)
{
    struct verbs_channel *channel;

    assert_ptr_equal(domain, endpoint.domain);
    assert_ptr_equal(wanted, &profile);
    assert_ptr_equal(settings, &endpoint.settings);
    if (step("channel_new", err) != 0) {
        return NULL;
    }
    channel = mock_object(sizeof(*channel));
    channel->cm = *cm;
    memset(cm, 0, sizeof(*cm));
    return channel;
}

void verbs_channel_delete(struct verbs_channel **channel)
{
    mock_enter("channel_delete");
    verbs_cm_fini(&(*channel)->cm);
    mock_object_free(*channel);
    *channel = NULL;
}

struct verbs_cm *verbs_channel_cm(struct verbs_channel *channel)
{
    return &channel->cm;
}

void verbs_channel_conn_param(const struct verbs_channel *channel,
                              const struct transport_greeting *own,
                              uint8_t data[VERBS_PRIVATE_DATA_MAX], struct rdma_conn_param *param)
{
    (void)channel;
    memcpy(data, own->bytes, own->length);
    *param = (struct rdma_conn_param){
        .private_data = data, .private_data_len = (uint8_t)own->length, .qp_num = 0x99};
}

int verbs_channel_ready(struct verbs_channel *channel, struct multifd_error *err)
{
    (void)channel;
    return step("channel_ready", err);
}

int verbs_channel_meet(struct verbs_channel *channel, const struct verbs_cm_event *event,
                       struct multifd_error *err)
{
    (void)channel;
    assert_true(event->private_data_len >= VERBS_PRIVATE_DATA_BYTES);
    return step("channel_meet", err);
}

struct transport_channel *verbs_channel_base(struct verbs_channel *channel)
{
    return &channel->base;
}

int endpoint_setup(void **state)
{
    static struct verbs_domain domain;
    struct multifd_error err;
    int status;

    mock_setup(state);
    wake_fd = eventfd(0, EFD_CLOEXEC);
    memset(&endpoint, 0, sizeof(endpoint));
    endpoint.settings.timeout_ms = 30;
    endpoint.domain = &domain;
    strcpy(endpoint.name, "192.0.2.1:4444");
    status = verbs_cm_init(&endpoint.listener, endpoint.name, &err);
    mock_log_clear();
    return status;
}

int endpoint_teardown(void **state)
{
    verbs_cm_fini(&endpoint.listener);
    close(wake_fd);
    return mock_teardown(state);
}

void wake(void)
{
    const uint64_t one = 1;

    assert_int_equal(write(wake_fd, &one, sizeof(one)), sizeof(one));
}

/* The steps in the log, without the taking of events. */
void assert_steps(const char *expected)
{
    char steps[1024] = "";
    char log[4096];
    char *rest = log;
    const char *word;

    strcpy(log, mock_log());
    while ((word = strsep(&rest, " ")) != NULL) {
        if (word[0] != '\0' && strstr(word, "cm_event") == NULL) {
            strcat(strcat(steps, word), " ");
        }
    }
    assert_string_equal(steps, expected);
}

void assert_answer(const struct transport_greeting *answer)
{
    assert_int_equal(answer->length, peers_greeting.length);
    assert_memory_equal(answer->bytes, peers_greeting.bytes, peers_greeting.length);
}
