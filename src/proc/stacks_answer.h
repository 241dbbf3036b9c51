/* SPDX-License-Identifier: MIT */
/*
 * What signals_stacks() brings to whoever has sent it to the arbiter: the stacks of all workers,
 * with their states and the requests in progress.
 *
 * `saola --stacks` listens on a socket of the abstract namespace (unix(7)) whose name has its pid
 * and a random key, and sends the key with the signal, by sigqueue(3). The arbiter connects, makes
 * sure that the listener is the process that has sent the signal, as far as the kernel knows, and
 * that it runs as root or as the arbiter's own user, and hands it a descriptor of a nameless file
 * with the text. So nothing listens while nobody asks, nothing is written where others can read it,
 * and a reader that is slow holds nobody up. A signal sent in any other way, by kill(1) for
 * instance, brings the text into the error log.
 *
 * Part of the arbiter.
 */
#ifndef SAOLA_PROC_STACKS_ANSWER_H
#define SAOLA_PROC_STACKS_ANSWER_H

#include "base/buf.h"

#include <stdbool.h>
#include <sys/types.h>

struct arbiter;
struct child;
struct signals_sender;

enum { STACKS_ASKERS_MAX = 8 }; /* at a time; more have to try again */

struct stacks_asker {
    pid_t pid;
    int key;
};

struct stacks_answer {
    bool open; /* workers have been asked, and some have not answered */
    bool for_log;
    unsigned count;
    struct stacks_asker askers[STACKS_ASKERS_MAX];
    struct buf text;
};

void stacks_answer_init(struct stacks_answer *answer);
void stacks_answer_fini(struct stacks_answer *answer);

/* The name of the socket, without the NUL before it, for `saola --stacks` and for the arbiter. */
enum { STACKS_NAME_MAX = 64 };
size_t stacks_answer_name(char out[STACKS_NAME_MAX], pid_t pid, int key);

/* Somebody asks. */
void stacks_answer_begin(struct arbiter *arbiter, const struct signals_sender *sender);

/* What one worker has to say: `text`, or, if it is NULL, why it says nothing. */
void stacks_answer_add(struct arbiter *arbiter, const struct child *child, const char *text,
                       const char *silence);

/* Answers when all workers have. */
void stacks_answer_look(struct arbiter *arbiter);

#endif
