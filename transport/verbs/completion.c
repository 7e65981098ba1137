/* SPDX-License-Identifier: MIT */
#include "transport/verbs/completion.h"

#include "core/base/error.h"

#include <errno.h>
#include <fcntl.h>

int verbs_completion_init(struct verbs_completion *completion, struct ibv_context *context,
                          uint32_t entries, struct multifd_error *err)
{
    struct ibv_comp_channel *channel = ibv_create_comp_channel(context);
    struct ibv_cq *cq;

    if (channel == NULL) {
        return error_set_errno(err, MULTIFD_ERROR_DEVICE, errno, "ibv_create_comp_channel(%s)",
                               ibv_get_device_name(context->device));
    }
    if (fcntl(channel->fd, F_SETFL, fcntl(channel->fd, F_GETFL) | O_NONBLOCK) != 0) {
        error_set_errno(err, MULTIFD_ERROR_SYSTEM, errno, "completion channel: fcntl(O_NONBLOCK)");
        goto destroy_channel;
    }
    cq = ibv_create_cq(context, (int)entries, NULL, channel, 0);
    if (cq == NULL) {
        error_set_errno(err, MULTIFD_ERROR_DEVICE, errno, "ibv_create_cq(%s, %u entries)",
                        ibv_get_device_name(context->device), entries);
        goto destroy_channel;
    }
    completion->channel = channel;
    completion->cq = cq;
    return 0;

destroy_channel:
    ibv_destroy_comp_channel(channel);
    return -1;
}

void verbs_completion_fini(struct verbs_completion *completion)
{
    if (completion->cq == NULL) {
        return;
    }
    ibv_destroy_cq(completion->cq);
    ibv_destroy_comp_channel(completion->channel);
    completion->cq = NULL;
    completion->channel = NULL;
}

int verbs_completion_poll(struct verbs_completion *completion, struct ibv_wc *wc, int most,
                          struct multifd_error *err)
{
    int got = ibv_poll_cq(completion->cq, most, wc);

    if (got < 0) {
        return error_set(err, MULTIFD_ERROR_DEVICE, "ibv_poll_cq failed (%d)", got);
    }
    return got;
}

int verbs_completion_arm(struct verbs_completion *completion, bool solicited_only,
                         struct multifd_error *err)
{
    int errnum = ibv_req_notify_cq(completion->cq, solicited_only);

    if (errnum != 0) {
        return error_set_errno(err, MULTIFD_ERROR_DEVICE, errnum, "ibv_req_notify_cq");
    }
    return 0;
}

int verbs_completion_fd(const struct verbs_completion *completion)
{
    return completion->channel->fd;
}

int verbs_completion_take_event(struct verbs_completion *completion, struct multifd_error *err)
{
    struct ibv_cq *cq;
    void *context;

    if (ibv_get_cq_event(completion->channel, &cq, &context) == 0) {
        ibv_ack_cq_events(completion->cq, 1);
        return 0;
    }
    if (errno != EAGAIN && errno != EINTR) {
        return error_set_errno(err, MULTIFD_ERROR_DEVICE, errno, "ibv_get_cq_event");
    }
    return 0;
}
