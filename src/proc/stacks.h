/* SPDX-License-Identifier: MIT */
/*
 * The stacks of a worker, as the arbiter gets them.
 *
 * Each worker inherits a nameless file to which it appends: its stacks when signals_stacks() asks
 * for them, and what there is to say when it crashes. The arbiter never waits for it: it sends the
 * signal, and stacks_look() finds, in one of its next turns, that the worker has said in its slot
 * that it is done, or that it has had its time. What is in the file when the worker is dead is for
 * its obituary.
 *
 * Part of the arbiter; a text from a worker is made printable before it goes anywhere.
 */
#ifndef SAOLA_PROC_STACKS_H
#define SAOLA_PROC_STACKS_H

#include "base/macros.h"

#include <stdbool.h>
#include <stdint.h>

struct arbiter;
struct child;

struct stacks {
    int fd;           /* owned; -1: none could be made */
    uint32_t seen;    /* of slot->stacks_shown */
    int64_t until_ns; /* asked, and waited for so long; 0: not */
    bool overdue;     /* has had its time, but seems only to wait for its turn on a busy machine */
    int then;         /* the signal that the worker gets when it has shown them; 0: none */
    bool for_answer;  /* wanted by arbiter->answer */
};

/* Before the fork. */
void stacks_init(struct stacks *stacks);
void stacks_fini(struct stacks *stacks);

/* Asks for the stacks, unless that has been done. */
void stacks_ask(struct child *child, int64_t now_ns);

/* Logs the request in progress, then the stacks as soon as they are there, and then, or if they do
 * not come, sends the signal. */
void stacks_ask_before(struct child *child, int signal_number, int64_t now_ns);

/* Takes what has come. */
void stacks_look(struct arbiter *arbiter, struct child *child, int64_t now_ns);

/* When stacks_look() has to be called at the latest; INT64_MAX: there is no need. */
int64_t stacks_next_ns(const struct arbiter *arbiter);

/* What is in the file, which is emptied: to be freed; NULL if there is nothing. */
char *stacks_take(struct child *child) NODISCARD;

#endif
