/* SPDX-License-Identifier: MIT */
/*
 * socket_wire - what the fabric's wire shows of messages, for sessions over sockets: a hook sees
 * each message before it is sent, and may change it. A program that links this wraps sendmsg.
 */
#ifndef SOCKET_WIRE_H
#define SOCKET_WIRE_H

#include "fabric.h"

/* As fabric_on_send; a message's qp_num is its descriptor, and it has no dest_qp_num. */
void socket_wire_on_send(fabric_send_hook *hook, void *opaque);

#endif
