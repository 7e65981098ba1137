/* SPDX-License-Identifier: MIT */
/*
 * message - what travels on the control connection.
 *
 * Every message is one frame: u32 magic "MFDC", u32 length of the whole frame, u32 type, then the
 * fields of its type in the order of the structures below, big-endian, strings as u16 length and
 * bytes. Decoding bounds every field before anything uses it.
 */
#ifndef MULTIFD_MESSAGE_H
#define MULTIFD_MESSAGE_H

#include <multifd.h>
#include <stdint.h>

/* Bytes of the longest frame. */
#define MESSAGE_MAX 4608u
/* Entries of one message; longer lists take several. */
#define MESSAGE_MAX_BLOCKS 16u
#define MESSAGE_MAX_PIECES 256u
/* The shortest timeout that a side may ask for, in ms: the option's. */
#define MESSAGE_LEAST_TIMEOUT 200u
/* Bytes of a SHA-256. */
#define MESSAGE_DIGEST_BYTES 32u

enum message_type {
    MESSAGE_HELLO = 1,      /* source: what it wants */
    MESSAGE_HELLO_OK,       /* destination: agreed */
    MESSAGE_RAM_BLOCKS,     /* source: its RAM blocks, in order */
    MESSAGE_RAM_BLOCKS_OK,  /* destination: it has them all */
    MESSAGE_PIECES_REQUEST, /* source, on demand: wants some pieces registered */
    MESSAGE_PIECES,         /* destination: the keys of pieces that are, each piece once */
    MESSAGE_SYNC_DONE,      /* destination: every channel has applied the round */
    MESSAGE_FINISH,         /* source: all is sent, with its totals */
    MESSAGE_BLOCK_DIGEST,   /* source: hash of one block, when verifying */
    MESSAGE_FINISH_OK,      /* destination: agreed, with its totals */
    MESSAGE_BYE,            /* source: it has the confirmation */
    MESSAGE_ERROR,          /* either: it has failed */
    MESSAGE_PING,           /* either: it is alive */
    MESSAGE_STAGING,        /* destination: where a channel's payloads go */
    MESSAGE_BRIDGE_HELLO,   /* bridges, destination: agreed, and its blocks follow */
    MESSAGE_BRIDGE_READY,   /* destination: QEMU has all but the last bytes of its main stream */
    MESSAGE_BRIDGE_COMMIT,  /* source: those may be handed to it */
    MESSAGE_TYPES
};

struct message_hello {
    uint32_t page_size;
    uint32_t page_count;
    uint32_t channels;
    uint32_t method;      /* compression bits */
    uint32_t verify;      /* 0 or 1 */
    uint32_t piece_shift; /* memory is registered in pieces of 2^piece_shift bytes */
    uint32_t timeout_ms;
    uint32_t zero_pages;   /* 0 or 1: whether packets may name zero pages */
    uint32_t registration; /* enum registration_mode */
};

struct message_hello_ok {
    uint32_t timeout_ms;
};

struct message_ram_blocks {
    uint32_t first; /* index of the first entry */
    uint32_t total; /* blocks of the session */
    uint32_t num;   /* entries here */
    struct {
        uint64_t length;
        char name[MULTIFD_BLOCK_NAME_MAX + 1];
    } blocks[MESSAGE_MAX_BLOCKS];
};

struct message_pieces {
    uint32_t block;
    uint32_t first;
    uint32_t num;
    struct {
        uint64_t address;
        uint32_t key;
    } pieces[MESSAGE_MAX_PIECES]; /* only in MESSAGE_PIECES */
};

struct message_staging {
    uint32_t channel;
    uint32_t slots;
    uint64_t address;
    uint32_t key;
};

/* The fields of a bridge's answer to HELLO. */
struct message_bridge_hello {
    uint32_t timeout_ms;
    uint32_t channels; /* that the QEMU there was told to use, 0: not known */
    uint32_t blocks;   /* that RAM_BLOCKS will list */
};

struct message_totals {
    uint64_t packets;
    uint64_t normal_pages;
    uint64_t zero_pages;
    uint64_t guest_bytes;
    uint64_t syncs;
};

struct message_digest {
    uint32_t block;
    uint8_t digest[MESSAGE_DIGEST_BYTES];
};

struct message_error {
    uint32_t code;
    int32_t channel;
    char text[MULTIFD_ERROR_TEXT];
};

struct message {
    enum message_type type;
    union {
        struct message_hello hello;
        struct message_hello_ok hello_ok;
        struct message_ram_blocks ram_blocks;
        struct message_pieces pieces; /* PIECES_REQUEST and PIECES */
        struct message_staging staging;
        uint64_t round;               /* SYNC_DONE */
        struct message_totals totals; /* FINISH and FINISH_OK */
        struct message_digest digest;
        struct message_error error;
        struct message_bridge_hello bridge_hello;
        uint64_t main_bytes; /* BRIDGE_READY: of the main stream, that have come */
    };
};

/* Writes a frame to `out`, which has MESSAGE_MAX bytes; returns its length. */
uint32_t message_encode(const struct message *message, uint8_t *out);

/*
 * Reads and validates a frame. 0, or -1 with MULTIFD_ERROR_PROTOCOL; *message is then undefined.
 * Text that a peer sent has no control characters left in it.
 */
int message_decode(const uint8_t *bytes, size_t length, struct message *message,
                   struct multifd_error *err);

/* The name of a type, for errors. */
const char *message_name(enum message_type type);

#endif
