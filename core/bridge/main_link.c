/* SPDX-License-Identifier: MIT */
#include "core/bridge/main_link.h"

#include "core/base/error.h"

#include <stdlib.h>

#define MAIN_SLOTS 8u

void bridge_main_profile(struct transport_profile *profile)
{
    *profile = (struct transport_profile){
        .send_slots = MAIN_SLOTS,
        .send_size = BRIDGE_FRAME_MAX,
        .receive_slots = MAIN_SLOTS,
        .receive_size = BRIDGE_FRAME_MAX,
    };
}

struct bridge_link *bridge_main_new(struct multifd_bridge *bridge, int fd,
                                    struct transport_channel *channel, struct multifd_error *err)
{
    const struct bridge_link_ops *ops =
        bridge->source ? &bridge_main_source_ops : &bridge_main_destination_ops;
    struct bridge_main *main = aligned_alloc(alignof(struct bridge_main), sizeof(*main));

    if (main == NULL) {
        error_set_nomem(err);
        return NULL;
    }
    *main = (struct bridge_main){.told = false};
    main->stream = qemu_stream_new(bridge->page_size, err);
    if (main->stream == NULL) {
        goto free_main;
    }
    if (bridge_link_init(&main->link, bridge, ops, BRIDGE_MAIN, fd, channel, err) != 0) {
        goto delete_stream;
    }
    if (bridge_link_start(&main->link, err) != 0) {
        goto fini_waker;
    }
    atomic_store(&bridge->main, &main->link);
    return &main->link;

fini_waker:
    waker_fini(&main->link.waker);
delete_stream:
    qemu_stream_delete(&main->stream);
free_main:
    free(main);
    return NULL;
}

void bridge_main_release(struct bridge_link *link)
{
    struct bridge_main *main = (struct bridge_main *)link;

    qemu_stream_delete(&main->stream);
    bridge_tail_fini(&main->tail);
}
