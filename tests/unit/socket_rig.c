/* SPDX-License-Identifier: MIT */
#include "socket_rig.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct transport_address rig_address(const char *text)
{
    struct transport_address address;
    struct multifd_error err;

    assert_int_equal(transport_address_parse(text, &address, &err), 0);
    return address;
}

const char *rig_path(void)
{
    static char path[64];

    snprintf(path, sizeof(path), "/tmp/multifd-unit-%d", (int)getpid());
    unlink(path);
    return path;
}

struct transport_address rig_unix_address(void)
{
    char text[80];

    snprintf(text, sizeof(text), "unix:%s", rig_path());
    return rig_address(text);
}

uint64_t rig_soon(int ms)
{
    return clock_now_ns() + (uint64_t)ms * NS_PER_MS;
}

void rig_socketpair(int fds[2], int buffer)
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    if (buffer != 0) {
        assert_int_equal(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer)), 0);
    }
}

int rig_connect_tcp(uint16_t port)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

int rig_connect_unix(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "/tmp/multifd-unit-%d", (int)getpid());
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

void rig_write(int fd, const void *bytes, size_t length)
{
    assert_int_equal(write(fd, bytes, length), length);
}

unsigned rig_open_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    unsigned open = 0;

    assert_non_null(folder);
    while (readdir(folder) != NULL) {
        open++;
    }
    closedir(folder);
    return open;
}

size_t rig_fill_up(int fd)
{
    static const uint8_t bytes[4096];
    size_t all = 0;
    ssize_t sent;

    while ((sent = send(fd, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_NOSIGNAL)) > 0) {
        all += (size_t)sent;
    }
    return all;
}
