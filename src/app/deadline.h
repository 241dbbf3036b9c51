/* SPDX-License-Identifier: MIT */
/*
 * The deadline of the request that a thread runs: request_timeout, and what the application has
 * asked for on top of it.
 *
 * The thread itself begins and ends it. Whoever drives the loop meanwhile looks at it, and when it
 * has passed sends the thread a signal, once; what the signal's handler does is the application
 * side's business, which asks deadline_take() first: the signal may arrive when the request is
 * over, and another one running. The time is kept in shared memory, because the arbiter looks at it
 * too, for a thread that no handler can reach.
 *
 * All of this is off, and costs a test, if the timeout is 0.
 */
#ifndef SAOLA_APP_DEADLINE_H
#define SAOLA_APP_DEADLINE_H

#include "base/macros.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct deadline {
    _Atomic int64_t *at_ns; /* not owned: monotonic; 0: no request runs, or it may take for ever */
    int64_t timeout_ns;     /* 0: off */
    int signal_number;
    pthread_t thread;     /* that runs the requests */
    int64_t begun_ns;     /* the thread's */
    int64_t taken_ns;     /* the thread's: the deadline that deadline_take() has found passed */
    int64_t signalled_ns; /* the loop's driver's: the deadline for which a signal was sent */
};

/* Of the calling thread. `at_ns` is 0 and stays at its place. */
void deadline_init(struct deadline *deadline, _Atomic int64_t *at_ns, int64_t timeout_ns,
                   int signal_number);

static inline bool
deadline_is_on(const struct deadline *deadline)
{
    return deadline->timeout_ns > 0;
}

/* The thread, if the deadline is on: a request begins and ends. */
void deadline_begin(struct deadline *deadline, int64_t now_ns);
void deadline_end(struct deadline *deadline);

/* The request may go on for so long from now on, or longer if it may already. Any thread. */
void deadline_extend(struct deadline *deadline, int64_t now_ns, int64_t duration_ns);

/* The thread: whether the request is late. True only once, unless it is given more time and
 * exceeds that as well. */
bool deadline_take(struct deadline *deadline, int64_t now_ns);

/* The loop's driver, its lock held: sends the signal if it is time to. Returns in how many
 * milliseconds it wants to look again. */
int deadline_look(struct deadline *deadline, int64_t now_ns);

#endif
