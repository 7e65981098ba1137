/* SPDX-License-Identifier: MIT */
/*
 * fake_qmp.h - a QMP monitor in a thread, which answers from a table. It serves one client at a
 * time, as QEMU's does.
 */
#ifndef MULTIFD_TESTS_FAKE_QMP_H
#define MULTIFD_TESTS_FAKE_QMP_H

#include <stdbool.h>

#define FAKE_QMP_GREETING                                                                          \
    "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 22, \"minor\": 2, \"major\": 7}, "             \
    "\"package\": \"\"}, \"capabilities\": []}}\r\n"

/* Answers without an end. */
#define FAKE_QMP_SILENT ""
#define FAKE_QMP_CLOSE  "~"

/*
 * What a command is answered with: "!TEXT" is an error, "^LINE\nANSWER" sends the line first,
 * everything else is the value that is returned. Several entries of one command are used one after
 * the other, and the last one again and again. A command without an entry is answered with {}.
 */
struct fake_answer {
    const char *command;
    const char *answer;
};

struct fake_qmp;

/* Listens on `path`; `greeting` is what a client gets first. `answers` ends with a NULL command. */
struct fake_qmp *fake_qmp_start(const char *path, const char *greeting,
                                const struct fake_answer *answers);

/* How often this text was in the requests. */
unsigned fake_qmp_count(struct fake_qmp *qmp, const char *text);

/* Whether a request with this text in it has come. */
bool fake_qmp_heard(struct fake_qmp *qmp, const char *text);

void fake_qmp_stop(struct fake_qmp **qmp);

#endif
