/* SPDX-License-Identifier: MIT */
/*
 * multifd_error.h - the one error type of libmultifd.
 *
 * A function that can fail takes a `struct multifd_error *` that the caller owns (NULL when the
 * caller does not care) and fills it once, where the cause is known. The first error of a session
 * wins: every later call on that session returns the same one.
 */
#ifndef MULTIFD_ERROR_H
#define MULTIFD_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

/* What kind of failure it is; the text says the rest. */
enum multifd_error_code {
    MULTIFD_OK = 0,
    MULTIFD_ERROR_INVALID,      /* an argument or a setting is wrong */
    MULTIFD_ERROR_STATE,        /* a call in the wrong order */
    MULTIFD_ERROR_ADDRESS,      /* an address that cannot be parsed, resolved or bound */
    MULTIFD_ERROR_CONNECT,      /* nobody listens there, or the peer is not multifd */
    MULTIFD_ERROR_REFUSED,      /* the peer refused the session, and said why */
    MULTIFD_ERROR_VERSION,      /* the peer speaks another version */
    MULTIFD_ERROR_MISMATCH,     /* the two sides' RAM blocks differ */
    MULTIFD_ERROR_LIMIT,        /* a setting above a limit of the device or the system */
    MULTIFD_ERROR_MEMLOCK,      /* the locked-memory limit is too low */
    MULTIFD_ERROR_DEVICE,       /* a verbs or rdma_cm call failed */
    MULTIFD_ERROR_COMPLETION,   /* a work request completed with an error */
    MULTIFD_ERROR_PROTOCOL,     /* the peer sent what the protocol does not allow */
    MULTIFD_ERROR_DISCONNECTED, /* the peer closed the connection */
    MULTIFD_ERROR_TIMEOUT,      /* the peer has been silent for too long */
    MULTIFD_ERROR_PEER,         /* the peer failed and reported its error */
    MULTIFD_ERROR_CANCELLED,    /* cancelled on this side */
    MULTIFD_ERROR_VERIFY,       /* the contents of the two sides differ */
    MULTIFD_ERROR_METHOD,       /* a method's hook failed */
    MULTIFD_ERROR_SYSTEM,       /* a system call failed, or no memory */
};

/* Bytes of an error's text, with its final NUL. */
#define MULTIFD_ERROR_TEXT 512

/* Values of `channel` that are no channel number. */
#define MULTIFD_NO_CHANNEL      (-1)
#define MULTIFD_CONTROL_CHANNEL (-2)

struct multifd_error {
    enum multifd_error_code code;
    int channel; /* the channel concerned, MULTIFD_NO_CHANNEL or MULTIFD_CONTROL_CHANNEL */
    char message[MULTIFD_ERROR_TEXT]; /* one sentence, UTF-8, without a final newline */
};

/*
 * The short name of a code, such as "timeout"; "unknown" for a number that is none. Static storage.
 * Thread-safe.
 */
const char *multifd_error_name(enum multifd_error_code code);

#ifdef __cplusplus
}
#endif

#endif
