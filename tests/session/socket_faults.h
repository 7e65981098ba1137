/* SPDX-License-Identifier: MIT */
/*
 * socket_faults - makes the n-th system call on sockets fail, whichever thread makes it. A program
 * that links this wraps the calls that are listed in socket_faults.c.
 */
#ifndef SOCKET_FAULTS_H
#define SOCKET_FAULTS_H

/* Instead of an errno: one byte is sent or received. */
#define SOCKET_FAULT_SHORT (-1)

/* Counts from 1; 0: none fails. A call that cannot fail so is left alone, but counts. */
void socket_faults_set(unsigned long nth, int errnum);

/* Calls since then; poll(2) is not among them unless it is asked for. */
unsigned long socket_faults_calls(void);
void socket_faults_count_polls(int count);

/* The call that has failed, NULL when none has. */
const char *socket_faults_struck(void);

#endif
