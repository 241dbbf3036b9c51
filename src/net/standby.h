/* SPDX-License-Identifier: MIT */
/*
 * The standby: a thread that drives the loop while the application holds the main thread.
 *
 * The main thread announces with standby_app_enter() and standby_app_leave() that it runs the
 * application. A visit that lasts longer than a few milliseconds brings the standby in: it takes
 * events, reads, parses, writes and times out, under the loop's lock, until the main thread is
 * back. It never runs the application and never touches Python.
 *
 * The announcement costs one atomic addition, no system call: the standby looks at it from a timer,
 * which ticks only while requests come and sleeps when the worker is idle.
 *
 * Theory: `visits` is odd while the main thread is in the application; each entering and leaving
 * adds one. The standby drives only as long as `visits` is the odd number it has seen, and looks
 * again whenever it has taken the lock; so the main thread, once it has added one and holds the
 * lock, is the driver. Events are taken with the lock held and without waiting, so none can be
 * stale.
 */
#ifndef SAOLA_NET_STANDBY_H
#define SAOLA_NET_STANDBY_H

#include "base/macros.h"
#include "net/loop.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct standby {
    struct loop *loop;
    pthread_t thread;
    pthread_mutex_t lock; /* of `wakeup` only */
    pthread_cond_t wakeup;
    atomic_uint_least64_t visits;
    atomic_bool asleep; /* waits without a timer: entering must wake it */
    atomic_bool stopping;
    bool started;
    bool driving;  /* loop lock: the standby is the driver */
    int recall_fd; /* an eventfd: ends the standby's wait for events */
    /* Called with the loop's lock held when the standby takes over (true) and when the main thread
     * is back (false): a sync worker takes its listeners out meanwhile. */
    void (*handover)(void *context, bool to_standby);
    /* While it drives, with the lock held: something else to look at. Returns in how many
     * milliseconds it wants to be called again. NULL: there is nothing. */
    int (*look)(void *context);
    void *context;
};

/* Starts the thread, with all signals blocked. Negative errno if it cannot. Main thread. */
int standby_start(struct standby *standby, struct loop *loop) NODISCARD;

/* Ends and joins it; a standby that was not started is left alone. Main thread, not in a visit. */
void standby_stop(struct standby *standby);

/* Main thread, loop lock not held. */
static inline void standby_app_enter(struct standby *standby);

/* Main thread, loop lock not held: afterwards it is the driver, as soon as it holds the lock; it
 * calls standby_recall() then. */
static inline void standby_app_leave(struct standby *standby);

/* Main thread, loop lock held. */
void standby_recall(struct standby *standby);

/* Main thread: between the two. */
static inline bool
standby_in_app(const struct standby *standby)
{
    return (atomic_load_explicit(&standby->visits, memory_order_relaxed) & 1) != 0;
}

void standby_rouse(struct standby *standby); /* the slow half of standby_app_enter() */

static inline void
standby_app_enter(struct standby *standby)
{
    /* The order matters: the standby writes `asleep` and then reads `visits`. */
    atomic_fetch_add(&standby->visits, 1);
    if (UNLIKELY(atomic_load(&standby->asleep))) {
        standby_rouse(standby);
    }
}

static inline void
standby_app_leave(struct standby *standby)
{
    atomic_fetch_add(&standby->visits, 1);
}

#endif
