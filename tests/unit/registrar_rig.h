/* SPDX-License-Identifier: MIT */
/*
 * registrar_rig - what stands around a registrar: an endpoint, a control connection and a session
 * that note what they are asked for, and two RAM blocks of 10 and of 3 MiB in pieces of 4.
 *
 * A registrar's threads call these, so they assert nothing: the test looks at `around` afterwards.
 */
#ifndef MULTIFD_UNIT_REGISTRAR_RIG_H
#define MULTIFD_UNIT_REGISTRAR_RIG_H

#include "core/registrar.h"
#include "mock.h"

#define MIB  UINT64_C(0x100000)
#define MOST 64u /* calls of a kind that are noted */

/* A registration. */
struct call {
    uint8_t *address;
    uint64_t length;
    uint32_t access;
};

struct registrar_rig {
    struct transport_endpoint base;
    unsigned fail_from; /* the number of the first registration that fails; 0: none does */
    bool fail_deregister;
    bool fail_send;
    atomic_bool hold; /* registrations wait */
    unsigned live;
    unsigned calls_num;
    struct call calls[MOST];
    unsigned sent_num;
    struct message sent[MOST];
    struct multifd_error error; /* that the session failed with */
    control_handler *handler;
    void *handler_opaque;
    unsigned logged;
    uint8_t *host;

    struct session session;
    struct registrar *registrar;
    struct waker waker;
};

extern struct registrar_rig around;

/* For cmocka. */
int registrar_make(void **state);
int registrar_release(void **state);

/* Splits the blocks into pieces of 2^shift bytes, also once more. */
void registrar_split(uint32_t shift);

/* Starts the registrar, which must succeed. */
void registrar_start(bool source, enum registration_mode mode);

/*
 * Waits for a counter of `around` to come to that value, and a little for it to go beyond, which it
 * must not.
 */
void registrar_await(const unsigned *number, unsigned value);

#endif
