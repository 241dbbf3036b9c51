/* SPDX-License-Identifier: MIT */
/*
 * Why a worker has ended, as far as its wait status, its slot, its last words and the kernel tell.
 * The first record is Gunicorn's line; one with what is known beside it follows, then the message
 * of a panic, the request in progress and the stacks, each if there is one. A worker that was told
 * to go by its arbiter, and went, gets none.
 *
 * Part of the arbiter.
 */
#ifndef SAOLA_PROC_OBITUARY_H
#define SAOLA_PROC_OBITUARY_H

#include "base/macros.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct arbiter;
struct child;
struct rusage;

/* Who has sent the last signal that was to end a worker. */
struct obituary_signal {
    uint32_t seen; /* of slot->signal.count; 0: none has come */
    int number;
    int code; /* si_code */
    pid_t pid;
    uid_t uid;
    uintptr_t address;
    char name[32]; /* of the process, as it was soon after; "": gone by then */
};

/* Takes notice of a signal that the worker has got, while its sender may still live. */
void obituary_look(struct child *child);

/* Logs the end of a worker with that wait status. */
void obituary_write(struct arbiter *arbiter, struct child *child, int status,
                    const struct rusage *usage);

/* Logs the request in progress, unless the log has it. */
void obituary_write_request(struct child *child);

/* "GET /path from 127.0.0.1 for 1.234 s", quoted; NULL if there is no request in progress. */
enum { OBITUARY_REQUEST_BYTES = 2560 };
const char *obituary_describe_request(const struct child *child, char *out, size_t size);

#endif
