/* SPDX-License-Identifier: MIT */
#include "core/base/bytes.h"
#include "core/base/error.h"
#include "core/qemu/stream_state.h"

#include <string.h>

#define RAM_VERSION 4u

enum command {
    COMMAND_OPEN_RETURN_PATH = 1,
    COMMAND_PING = 2,
    COMMAND_POSTCOPY_ADVISE = 3,
    COMMAND_ENABLE_COLO = 8,
    COMMAND_SWITCHOVER_START = 11,
};

/* ---- Commands ---------------------------------------------------------------------------- */

static int refuse_command(uint16_t command, uint16_t length, struct multifd_error *err)
{
    switch (command) {
    case COMMAND_POSTCOPY_ADVISE: /* with the page sizes for RAM, without for bitmaps */
        return qemu_stream_wrong_setting(
            err, length != 0 ? "the source's capability postcopy-ram must be off"
                             : "the source's capability dirty-bitmaps must be off");
    case COMMAND_ENABLE_COLO:
        return qemu_stream_wrong_setting(err, "the source's capability x-colo must be off");
    default:
        return qemu_stream_malformed(err, "unknown command or length, command and length",
                                     (uint32_t)command << 16 | length);
    }
}

static int take_ping(struct qemu_stream *stream, const uint8_t *item, struct qemu_event *event,
                     struct multifd_error *err)
{
    (void)err;
    event->type = QEMU_PING;
    event->value = get_be32(item);
    qemu_stream_expect_section(stream);
    return 0;
}

static int take_command(struct qemu_stream *stream, const uint8_t *item, struct qemu_event *event,
                        struct multifd_error *err)
{
    uint16_t command = get_be16(item);
    uint16_t length = get_be16(item + 2);

    (void)event;
    if (command == COMMAND_PING && length == 4 && stream->return_path) {
        qemu_stream_expect(stream, 4, take_ping);
        return 0;
    }
    if (command == COMMAND_OPEN_RETURN_PATH && length == 0) {
        stream->return_path = true;
    } else if (command != COMMAND_SWITCHOVER_START || length != 0) {
        return refuse_command(command, length, err);
    }
    qemu_stream_expect_section(stream);
    return 0;
}

/* ---- Sections ---------------------------------------------------------------------------- */

/* Behind the name: u32 instance, u32 version. */
static int take_start_name(struct qemu_stream *stream, const uint8_t *item,
                           struct qemu_event *event, struct multifd_error *err)
{
    uint32_t instance = get_be32(item + stream->name_length);
    uint32_t version = get_be32(item + stream->name_length + 4);
    char name[UINT8_MAX + 1];

    (void)event;
    if (qemu_stream_name(item, stream->name_length, name, err) != 0) {
        return -1;
    }
    if (strcmp(name, "ram") != 0) {
        return error_set(
            err, MULTIFD_ERROR_INVALID,
            "main stream refused: section \"%s\": only RAM is received of what changes "
            "while the guest runs",
            name);
    }
    if (stream->ram_started) {
        return qemu_stream_malformed(err, "the RAM section starts twice, instance", instance);
    }
    if (instance != 0) {
        return qemu_stream_malformed(err, "RAM section of an instance that is not 0 but", instance);
    }
    if (version != RAM_VERSION) {
        return error_set(err, MULTIFD_ERROR_VERSION,
                         "main stream refused: RAM section of version %u, expected %u", version,
                         RAM_VERSION);
    }
    stream->ram_started = true;
    qemu_stream_expect(stream, 8, qemu_ram_take_size);
    return 0;
}

static int take_start(struct qemu_stream *stream, const uint8_t *item, struct qemu_event *event,
                      struct multifd_error *err)
{
    (void)event;
    (void)err;
    if (!stream->ram_started) {
        stream->ram_id = get_be32(item);
    }
    stream->name_length = item[4];
    qemu_stream_expect(stream, item[4] + 8u, take_start_name);
    return 0;
}

static int take_round(struct qemu_stream *stream, const uint8_t *item, struct qemu_event *event,
                      struct multifd_error *err)
{
    (void)event;
    if (!stream->ram_started || get_be32(item) != stream->ram_id) {
        return qemu_stream_malformed(err, "part of an unknown section", get_be32(item));
    }
    qemu_stream_expect(stream, 8, qemu_ram_take_record);
    return 0;
}

int qemu_stream_take_footer(struct qemu_stream *stream, const uint8_t *item,
                            struct qemu_event *event, struct multifd_error *err)
{
    if (item[0] != QEMU_FOOTER) {
        return qemu_stream_malformed(err, "no footer where a section ends but", item[0]);
    }
    if (get_be32(item + 1) != stream->ram_id) {
        return qemu_stream_malformed(err, "footer of another section,", get_be32(item + 1));
    }
    if (stream->section == QEMU_SECTION_END) {
        event->type = QEMU_RAM_DONE;
        stream->take = NULL;
        return 0;
    }
    qemu_stream_expect_section(stream);
    return 0;
}

/* ---- What comes where -------------------------------------------------------------------- */

/* What may come where a section may; some only when the RAM section has started. */
static const struct {
    uint8_t type;
    bool of_ram;
    uint8_t due;
    qemu_take_fn *take;
} sections[] = {
    {QEMU_SECTION_START, false, 5, take_start},
    {QEMU_SECTION_PART, true, 4, take_round},
    {QEMU_SECTION_END, true, 4, take_round},
    {QEMU_COMMAND, false, 4, take_command},
};

static int take_section(struct qemu_stream *stream, const uint8_t *item, struct qemu_event *event,
                        struct multifd_error *err)
{
    (void)event;
    if (item[0] == QEMU_SUBSECTION && stream->in_configuration) {
        qemu_stream_expect(stream, 1, qemu_opening_take_subsection);
        return 0;
    }
    stream->in_configuration = false;
    for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
        if (sections[i].type == item[0] && (stream->ram_started || !sections[i].of_ram)) {
            stream->section = item[0];
            qemu_stream_expect(stream, sections[i].due, sections[i].take);
            return 0;
        }
    }
    if (item[0] == QEMU_SECTION_FULL || item[0] == QEMU_SECTION_END_OF_STREAM) {
        return qemu_stream_malformed(err, "the RAM has not ended, but this starts:", item[0]);
    }
    return qemu_stream_malformed(err, "unknown section type", item[0]);
}

void qemu_stream_expect_section(struct qemu_stream *stream)
{
    qemu_stream_expect(stream, 1, take_section);
}
