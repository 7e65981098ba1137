/* SPDX-License-Identifier: MIT */
/* Input: the text of an address. What is accepted can be written down again from its parts. */
#include "fuzz.h"

#include "transport/address.h"

static void check_path(const char *text, const struct transport_address *address)
{
    FUZZ_CHECK(memchr(address->path, '\0', sizeof(address->path)) != NULL);
    FUZZ_CHECK(strncmp(text, "unix:", 5) == 0 && strcmp(text + 5, address->path) == 0);
    FUZZ_CHECK(address->path[0] != '\0');
}

static void check_host(const char *text, const struct transport_address *address)
{
    const char *kind = address->kind == TRANSPORT_RDMA ? "rdma" : "tcp";
    char plain[TRANSPORT_HOST_MAX + 32];
    char brackets[TRANSPORT_HOST_MAX + 32];

    FUZZ_CHECK(address->kind == TRANSPORT_RDMA || address->kind == TRANSPORT_TCP);
    FUZZ_CHECK(memchr(address->host, '\0', sizeof(address->host)) != NULL);
    FUZZ_CHECK(memchr(address->port, '\0', sizeof(address->port)) != NULL);
    FUZZ_CHECK(address->port[0] != '\0');
    FUZZ_CHECK(strspn(address->port, "0123456789") == strlen(address->port));
    FUZZ_CHECK(strtoul(address->port, NULL, 10) <= UINT16_MAX);
    (void)snprintf(plain, sizeof(plain), "%s:%s:%s", kind, address->host, address->port);
    (void)snprintf(brackets, sizeof(brackets), "%s:[%s]:%s", kind, address->host, address->port);
    FUZZ_CHECK(strcmp(text, plain) == 0 || strcmp(text, brackets) == 0);
    FUZZ_CHECK(strcmp(text, plain) != 0 || strchr(address->host, ':') == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct transport_address address;
    struct multifd_error err;
    char *text = fuzz_text(data, size);

    memset(&address, 0xa5, sizeof(address));
    fuzz_error_poison(&err);
    if (transport_address_parse(text, &address, &err) == 0) {
        if (address.kind == TRANSPORT_UNIX) {
            check_path(text, &address);
        } else {
            check_host(text, &address);
        }
    } else {
        fuzz_check_refusal(&err);
        FUZZ_CHECK(err.code == MULTIFD_ERROR_ADDRESS);
    }
    free(text);
    return 0;
}
