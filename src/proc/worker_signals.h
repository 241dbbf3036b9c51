/* SPDX-License-Identifier: MIT */
/*
 * What a worker notes of its signals, in C, so that it also works while a C function of the
 * application holds the GIL: who has sent one that is to end it, and its stacks on demand.
 *
 * worker_signals_watch() puts a handler in front of those that are there (Python's, faulthandler's,
 * the default), which writes the sender into the slot, wakes the arbiter and then does what it
 * stands in front of. It is called again whenever handlers have been installed.
 *
 * signals_stacks() makes the worker write its stacks to stacks_fd: the handler that
 * faulthandler.register() has installed does that, ours calls it and then says in the slot that it
 * is done. (Not register's chain=True: it would make the kernel interrupt system calls of the
 * application instead of restarting them.)
 *
 * Handlers find what they need in one static variable. They run on any thread that Python has;
 * everything else here is called on the main thread of the worker.
 */
#ifndef SAOLA_PROC_WORKER_SIGNALS_H
#define SAOLA_PROC_WORKER_SIGNALS_H

struct worker_start;

/* Right after the fork, with all signals blocked. `start` is valid until the process ends. */
void worker_signals_begin(const struct worker_start *start);

/* There is a handler for USR1 now. The arbiter tells all workers to open their logs again, also one
 * that has only just been forked: it gets that now. */
void worker_signals_repeat(void);

void worker_signals_watch(void);

/* The handler that is installed for signals_stacks() is the one that writes the stacks. */
void worker_signals_adopt_stacks(void);

/* In a child that the application has forked: it has no slot, and its crashes go to stderr. */
void worker_signals_forked(void);

#endif
