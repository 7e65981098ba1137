/* SPDX-License-Identifier: MIT */
#include "bridge/mappings.h"

#include <ctype.h>
#include <dirent.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define LINE 4352 /* a path and what stands before it */

/* One line of /proc/PID/maps. */
struct line {
    uint64_t length;
    uint64_t offset;
    dev_t device;
    ino_t inode;
    bool writable;
    bool shared;
    bool nameless;
};

static FILE *open_maps(pid_t pid)
{
    char path[MAPPINGS_PATH];

    (void)snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
    return fopen(path, "re");
}

/* A hexadecimal number and the character that must stand behind it. */
static uint64_t take_hex(char **at, char behind, bool *good)
{
    char *end;
    uint64_t value = strtoull(*at, &end, 16);

    *good = *good && end != *at && *end == behind;
    *at = end + (*end != '\0');
    return value;
}

/* START-END PERMISSIONS OFFSET MAJOR:MINOR INODE PATH */
static bool parse(char *text, struct line *line)
{
    static const char deleted[] = " (deleted)\n";
    size_t length = strlen(text);
    bool good = true;
    char *at = text;

    uint64_t start = take_hex(&at, '-', &good);
    line->length = take_hex(&at, ' ', &good) - start;
    if (!good || strlen(at) < 5) {
        return false;
    }
    line->writable = at[1] == 'w';
    line->shared = at[3] == 's';
    at += 5;
    line->offset = take_hex(&at, ' ', &good);
    unsigned major_number = (unsigned)take_hex(&at, ':', &good);
    unsigned minor_number = (unsigned)take_hex(&at, ' ', &good);
    line->device = makedev(major_number, minor_number);
    line->inode = (ino_t)strtoull(at, NULL, 10);
    line->nameless =
        length >= sizeof(deleted) && strcmp(text + length - (sizeof(deleted) - 1), deleted) == 0;
    return good;
}

static bool next(FILE *maps, struct line *line)
{
    char text[LINE];

    while (fgets(text, sizeof(text), maps) != NULL) {
        if (parse(text, line)) {
            return true;
        }
    }
    return false;
}

/* One mapping may be cut into lines, which then follow each other. */
enum mapping mappings_of(pid_t pid, const struct stat *file, uint64_t length)
{
    FILE *maps = open_maps(pid);
    bool private = false;
    uint64_t covered = 0;
    struct line line;

    while (maps != NULL && next(maps, &line)) {
        if (line.device != file->st_dev || line.inode != file->st_ino) {
            continue;
        }
        private = private || !line.shared;
        if (line.shared && line.writable && line.offset <= covered &&
            line.offset + line.length > covered) {
            covered = line.offset + line.length;
        }
    }
    if (maps != NULL) {
        (void)fclose(maps);
    }
    if (private) {
        return MAPPING_PRIVATE;
    }
    return covered >= length ? MAPPING_SHARED : MAPPING_NONE;
}

static bool is_bridge(pid_t pid)
{
    char path[MAPPINGS_PATH];
    char name[32] = "";

    (void)snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
    FILE *file = fopen(path, "re");
    if (file != NULL) {
        (void)fgets(name, sizeof(name), file);
        (void)fclose(file);
    }
    return strcmp(name, "multifd\n") == 0;
}

enum mapping mappings_of_any(const struct stat *file, uint64_t length, pid_t *pid)
{
    enum mapping best = MAPPING_NONE;
    DIR *processes = opendir("/proc");
    const struct dirent *entry;

    while (processes != NULL && best != MAPPING_SHARED && (entry = readdir(processes)) != NULL) {
        pid_t one = (pid_t)strtol(entry->d_name, NULL, 10);
        if (isdigit((unsigned char)entry->d_name[0]) == 0 || one == getpid() || is_bridge(one)) {
            continue;
        }
        enum mapping found = mappings_of(one, file, length);
        if (found > best) {
            best = found;
            *pid = one;
        }
    }
    if (processes != NULL) {
        (void)closedir(processes);
    }
    return best;
}

/* Its descriptor in that process. */
static bool find_descriptor(pid_t pid, const struct line *line, char path[MAPPINGS_PATH])
{
    char folder[MAPPINGS_PATH];
    bool found = false;
    const struct dirent *entry;

    (void)snprintf(folder, sizeof(folder), "/proc/%d/fd", (int)pid);
    DIR *descriptors = opendir(folder);
    while (descriptors != NULL && !found && (entry = readdir(descriptors)) != NULL) {
        struct stat status;
        (void)snprintf(path, MAPPINGS_PATH, "/proc/%d/fd/%.16s", (int)pid, entry->d_name);
        found = stat(path, &status) == 0 && S_ISREG(status.st_mode) &&
                status.st_dev == line->device && status.st_ino == line->inode &&
                (uint64_t)status.st_size == line->length;
    }
    if (descriptors != NULL) {
        (void)closedir(descriptors);
    }
    return found;
}

unsigned mappings_nameless(pid_t pid, uint64_t length, char path[MAPPINGS_PATH])
{
    char candidate[MAPPINGS_PATH];
    FILE *maps = open_maps(pid);
    unsigned found = 0;
    struct line line;

    while (maps != NULL && next(maps, &line)) {
        if (line.nameless && line.shared && line.writable && line.offset == 0 &&
            line.length == length && find_descriptor(pid, &line, candidate)) {
            found++;
            (void)snprintf(path, MAPPINGS_PATH, "%s", candidate);
        }
    }
    if (maps != NULL) {
        (void)fclose(maps);
    }
    return found;
}
