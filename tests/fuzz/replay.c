/* SPDX-License-Identifier: MIT */
/*
 * replay - stands in for libFuzzer where there is none: feeds the files of a corpus to a target,
 * each as it is, then every truncation of it and every change of one byte to some telling values.
 * The same inputs every time.
 *
 *   replay FOLDER
 */
#include "fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>

#define LONGEST 65536u

static size_t runs;

/* Feeds a copy of exactly that size. */
static void feed(const uint8_t *bytes, size_t size)
{
    uint8_t *copy = malloc(size == 0 ? 1 : size);

    FUZZ_CHECK(copy != NULL);
    memcpy(copy, bytes, size);
    (void)LLVMFuzzerTestOneInput(copy, size);
    free(copy);
    runs++;
}

static void feed_mutations(uint8_t *bytes, size_t size)
{
    for (size_t length = 0; length < size; length++) {
        feed(bytes, length);
    }
    for (size_t at = 0; at < size; at++) {
        const uint8_t byte = bytes[at];
        const uint8_t others[] = {0x00,
                                  0x01,
                                  0x7f,
                                  0x80,
                                  0xff,
                                  (uint8_t)(byte + 1),
                                  (uint8_t)(byte - 1),
                                  (uint8_t)(byte ^ 0x20)};

        for (size_t i = 0; i < sizeof(others); i++) {
            bytes[at] = others[i];
            feed(bytes, size);
        }
        bytes[at] = byte;
    }
}

static int replay_file(const char *folder, const char *name)
{
    static uint8_t bytes[LONGEST];
    char path[4096];
    size_t size;
    FILE *file;

    if (snprintf(path, sizeof(path), "%s/%s", folder, name) >= (int)sizeof(path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    file = fopen(path, "rb");
    if (file == NULL) {
        return -1;
    }
    size = fread(bytes, 1, sizeof(bytes), file);
    if (ferror(file) != 0 || fgetc(file) != EOF) {
        errno = EFBIG;
        (void)fclose(file);
        return -1;
    }
    (void)fclose(file);
    feed(bytes, size);
    feed_mutations(bytes, size);
    return 0;
}

static int no_dots(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

int main(int argc, char **argv)
{
    struct dirent **entries;
    int count;

    if (argc != 2) {
        (void)fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    count = scandir(argv[1], &entries, no_dots, alphasort);
    if (count <= 0) {
        (void)fprintf(stderr, "%s: no corpus\n", argv[1]);
        return 1;
    }
    for (int i = 0; i < count; i++) {
        if (replay_file(argv[1], entries[i]->d_name) != 0) {
            perror(entries[i]->d_name);
            return 1;
        }
        free(entries[i]);
    }
    free((void *)entries);
    printf("%d files, %zu runs\n", count, runs);
    return 0;
}
