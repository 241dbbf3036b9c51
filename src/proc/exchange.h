/* SPDX-License-Identifier: MIT */
/*
 * When a worker gives something to one of its siblings, while all of them serve:
 *
 * - A connection that is new, and for once has nothing to do, goes to the worker that has the
 *   fewest if that makes a difference: keep-alive connections spread evenly. Not when it is
 *   accepted: one that carries a single request is not worth the trouble.
 * - A complete request that waits behind another goes to a worker that has nothing to do. A worker
 *   that is about to sleep says so in its slot (`offer`), and whoever has a request too many claims
 *   it. If nobody offers, the request stays, and the slot says since when (`waiting_since_ns`): the
 *   next worker with nothing to do finds the one that waits longest and nudges its worker. So the
 *   requests that wait are one queue, first come, first served, wherever they are.
 *
 * What the slots say may be a moment old, and a worker may die between any two steps. Nothing
 * relies on it: a claim ends with the next turn of the claimed worker, a hint that leads nowhere is
 * withdrawn by whoever followed it, and a nudge that is lost is made good by looking again.
 *
 * A worker's, for the inline executor; functions say who may call them.
 */
#ifndef SAOLA_PROC_EXCHANGE_H
#define SAOLA_PROC_EXCHANGE_H

#include "base/macros.h"
#include "proc/slot.h"

#include <stdbool.h>

struct conn;
struct inline_executor;
struct siblings;

struct exchange {
    const struct siblings *siblings; /* not owned, as what follows; NULL: there are none */
    struct slots_common *common;
    struct slot *self;
    struct inline_executor *executor;
    bool waiting; /* the slot says that requests wait; loop lock */
};

void exchange_init(struct exchange *exchange, const struct siblings *siblings,
                   struct inline_executor *executor);

/* Any driver, loop lock held: the connection has just become idle for the first time. May close it
 * here, because it is somebody else's now. */
void exchange_place(struct exchange *exchange, struct conn *conn);

/* Any driver, loop lock held: some requests may have to wait for one that runs. Gives away what it
 * can. True: requests are left; to be called again soon, and as soon as a nudge has come. */
bool exchange_spread(struct exchange *exchange);

void exchange_ask(struct exchange *exchange); /* the slow half of exchange_rest() */

/* Main thread: it is about to wait for events, having nothing to do. */
static inline void
exchange_rest(struct exchange *exchange)
{
    struct slot *self = exchange->self;
    if (self == NULL || !slot_goes_on(self)) {
        return;
    }
    /* The order matters: who has a request too many says so and then looks for offers. */
    atomic_store(&self->offer, SLOT_OFFERS_TIME);
    if (UNLIKELY(atomic_load(&exchange->common->any_waiting) != 0)) {
        exchange_ask(exchange);
    }
}

/* Main thread: it has waited. */
static inline void
exchange_wake(struct exchange *exchange)
{
    if (exchange->self) {
        atomic_store_explicit(&exchange->self->offer, SLOT_OFFERS_NOTHING, memory_order_relaxed);
    }
}

#endif
