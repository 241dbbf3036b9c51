/* SPDX-License-Identifier: MIT */
/*
 * The arbiter's signals. The handler does one thing: it writes the signal's number and sender into
 * a pipe. The arbiter's loop waits for the pipe and acts on the numbers in the order in which they
 * came. signals_stacks() is among them.
 *
 * One queue per process (a handler has nothing to find it by but a global). Main thread only. A
 * forked child calls signals_reset() before anything else. In one that does not, because it is a
 * hook's, signals have their default effect, unless it installs handlers of its own.
 */
#ifndef SAOLA_PROC_SIGNALS_H
#define SAOLA_PROC_SIGNALS_H

#include "base/macros.h"

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

/* Opens the queue and installs the handler. Returns the descriptor that is readable while signals
 * wait, or negative errno. */
int signals_start(void) NODISCARD;

/* The oldest signal not yet taken, 0 if there is none. */
int signals_next(void);

/* Who has sent the one that signals_next() has returned last. */
struct signals_sender {
    pid_t pid;   /* 0: the kernel, or a process of which this one may not know */
    bool queued; /* by sigqueue(3), with a value */
    int value;
};

const struct signals_sender *signals_sender(void);

/* The real-time signal that asks for stacks, the arbiter for those of all workers, a worker for its
 * own. (glibc makes the number of SIGRTMIN a function.) */
int signals_stacks(void);

/* Puts the handlers back that were there before, and closes the queue. */
void signals_stop(void);

/* In a forked child, before signals_unblock(): every signal of the arbiter to its default, the
 * queue closed. Not signals_stacks(): by default it would end the process, which has to have a
 * handler of its own for it by then, or to execute something else. */
void signals_reset(void);

/* Around fork(2). */
void signals_block(sigset_t *ret_mask);
void signals_unblock(const sigset_t *mask);

/* The real-time signal with which a worker interrupts its own application when a request is late.
 * (glibc makes the number of SIGRTMIN a function.) */
int signals_deadline(void);

/* "SIGTERM", of any signal that a wait status may show. */
const char *signals_name(int signal_number);

/* "term", of the arbiter's signals, as its log lines write it. */
const char *signals_short_name(int signal_number);

#endif
