/* SPDX-License-Identifier: MIT */
/*
 * A user's program, C11 and C++ alike: takes a source and a destination as far as they go without
 * an RDMA device. Its argument is the version that is expected.
 */
#include <multifd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void expect(int condition, const char *what, const struct multifd_error *err)
{
    if (!condition) {
        (void)fprintf(stderr, "%s: %s\n", what, err->message);
        exit(1);
    }
}

static void use_options(struct multifd_options *options, struct multifd_error *err)
{
    const struct multifd_option_info *info = multifd_options_list();

    for (; info->name != NULL; info++) {
        expect(multifd_options_set(options, info->name, info->initial, err) == 0, info->name, err);
    }
    expect(multifd_options_set(options, "channels", "0", err) == -1, "channels=0", err);
    expect(err->code == MULTIFD_ERROR_INVALID, "the error's code", err);
    expect(strcmp(multifd_error_name(err->code), "unknown") != 0, "the error's name", err);
}

static void use_source(const struct multifd_options *options, struct multifd_error *err)
{
    static char ram[65536];
    struct multifd_source *source = multifd_source_new("rdma:127.0.0.1:1", options, err);

    expect(source != NULL, "multifd_source_new", err);
    expect(multifd_source_add_block(source, "pc.ram", ram, sizeof(ram), err) != NULL,
           "multifd_source_add_block", err);
    multifd_source_delete(&source);
    expect(source == NULL, "multifd_source_delete", err);
}

static void use_destination(const struct multifd_options *options, struct multifd_error *err)
{
    static char ram[65536];
    struct multifd_destination *destination =
        multifd_destination_new("rdma:127.0.0.1:0", options, err);

    expect(destination != NULL, "multifd_destination_new", err);
    expect(multifd_destination_add_block(destination, "pc.ram", ram, sizeof(ram), err) == 0,
           "multifd_destination_add_block", err);
    expect(!multifd_recv_all_channels_created(destination), "channels before setup", err);
    multifd_destination_delete(&destination);
    expect(destination == NULL, "multifd_destination_delete", err);
}

int main(int argc, char **argv)
{
    struct multifd_error err = {MULTIFD_OK, MULTIFD_NO_CHANNEL, ""};
    struct multifd_options *options = multifd_options_new();

    expect(argc == 2 && strcmp(multifd_version(), argv[1]) == 0, multifd_version(), &err);
    expect(options != NULL, "multifd_options_new", &err);
    use_options(options, &err);
    use_source(options, &err);
    use_destination(options, &err);
    multifd_options_delete(&options);
    return 0;
}
