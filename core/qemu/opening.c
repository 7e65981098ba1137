/* SPDX-License-Identifier: MIT */
/* Magic and configuration: what stands before the first section. */
#include "core/base/bytes.h"
#include "core/base/error.h"
#include "core/packet.h"
#include "core/qemu/stream_state.h"

#include <string.h>

#define STREAM_MAGIC       0x5145564du /* "QEVM" */
#define STREAM_VERSION     3u
#define TLS_HANDSHAKE      0x1603u /* how a client's first record starts */
#define SUBSECTION_VERSION 1u

static int take_uuid(struct qemu_stream *stream, const uint8_t *item, struct qemu_event *event,
                     struct multifd_error *err)
{
    (void)item;
    (void)event;
    (void)err;
    qemu_stream_expect_section(stream);
    return 0;
}

static int take_page_bits(struct qemu_stream *stream, const uint8_t *item, struct qemu_event *event,
                          struct multifd_error *err)
{
    uint32_t bits = get_be32(item);

    (void)event;
    if (bits >= 32 || UINT32_C(1) << bits != stream->page_size) {
        return error_set(err, MULTIFD_ERROR_INVALID,
                         "main stream refused: the source's pages have 2^%u bytes, not the page "
                         "size %u",
                         bits, stream->page_size);
    }
    qemu_stream_expect_section(stream);
    return 0;
}

static int take_subsection_name(struct qemu_stream *stream, const uint8_t *item,
                                struct qemu_event *event, struct multifd_error *err)
{
    uint32_t version = get_be32(item + stream->name_length);
    char name[UINT8_MAX + 1];

    (void)event;
    if (qemu_stream_name(item, stream->name_length, name, err) != 0) {
        return -1;
    }
    if (strcmp(name, "configuration/capabilities") == 0) {
        return qemu_stream_wrong_setting(
            err, "the source's capability x-ignore-shared (or another that both sides must have) "
                 "must be off");
    }
    if (version == SUBSECTION_VERSION && strcmp(name, "configuration/uuid") == 0) {
        qemu_stream_expect(stream, 16, take_uuid);
        return 0;
    }
    if (version == SUBSECTION_VERSION && strcmp(name, "configuration/target-page-bits") == 0) {
        qemu_stream_expect(stream, 4, take_page_bits);
        return 0;
    }
    return error_set(err, MULTIFD_ERROR_PROTOCOL,
                     "main stream refused: unknown subsection \"%s\", version %u", name, version);
}

int qemu_opening_take_subsection(struct qemu_stream *stream, const uint8_t *item,
                                 struct qemu_event *event, struct multifd_error *err)
{
    (void)event;
    (void)err;
    stream->name_length = item[0];
    qemu_stream_expect(stream, item[0] + 4u, take_subsection_name);
    return 0;
}

static int take_machine(struct qemu_stream *stream, const uint8_t *item, struct qemu_event *event,
                        struct multifd_error *err)
{
    char machine[UINT8_MAX + 1];

    (void)event;
    if (qemu_stream_name(item, (uint8_t)stream->due, machine, err) != 0) {
        return -1;
    }
    stream->in_configuration = true;
    qemu_stream_expect_section(stream);
    return 0;
}

static int take_machine_length(struct qemu_stream *stream, const uint8_t *item,
                               struct qemu_event *event, struct multifd_error *err)
{
    uint32_t length = get_be32(item + 1);

    (void)event;
    if (item[0] != QEMU_CONFIGURATION) {
        return qemu_stream_wrong_setting(
            err, "no configuration at its start: the source's machine type is too old");
    }
    if (length == 0 || length > UINT8_MAX) {
        return qemu_stream_malformed(err, "machine type with a length of", length);
    }
    qemu_stream_expect(stream, length, take_machine);
    return 0;
}

int qemu_opening_take_magic(struct qemu_stream *stream, const uint8_t *item,
                            struct qemu_event *event, struct multifd_error *err)
{
    (void)event;
    if (get_be16(item) == TLS_HANDSHAKE) {
        return qemu_stream_wrong_setting(err, "the source wants TLS: its tls-creds must be empty");
    }
    if (get_be32(item) == PACKET_MAGIC) {
        return qemu_stream_malformed(err, "a channel came before the main connection, magic",
                                     get_be32(item));
    }
    if (get_be32(item) != STREAM_MAGIC) {
        return qemu_stream_malformed(err, "not of QEMU, magic", get_be32(item));
    }
    if (get_be32(item + 4) != STREAM_VERSION) {
        return error_set(err, MULTIFD_ERROR_VERSION, "main stream refused: version %u, expected %u",
                         get_be32(item + 4), STREAM_VERSION);
    }
    qemu_stream_expect(stream, 5, take_machine_length);
    return 0;
}
