/* SPDX-License-Identifier: MIT */
/*
 * The wall between the engine and the application: an executor decides which thread calls the
 * application, when, and how it waits. The engine never touches Python, an executor never touches a
 * socket. One per worker; the kinds are `inline` (worker class sync) and, to come, threads,
 * greenlets and event loops.
 *
 * An executor embeds struct executor first. A request belongs to it from submit() until it calls
 * request_done().
 */
#ifndef SAOLA_APP_EXECUTOR_H
#define SAOLA_APP_EXECUTOR_H

#include "base/macros.h"

#include <stdbool.h>

struct executor;
struct request;

/* The application, seen from the executor: runs one request to its end, request_done() included.
 * Called without the loop's lock, in a thread that may run the application. */
struct application {
    void (*call)(void *context, struct request *request);
    void *context; /* not owned */
};

struct executor_ops {
    /* Main thread, once, before the first turn. Negative errno. */
    int (*start)(struct executor *executor);
    /* Loop lock held, whichever thread drives the loop: takes over a complete request. Must not run
     * the application. */
    void (*submit)(struct executor *executor, struct request *request);
    /* The thread that runs the application, lock not held: blocks until something may have changed
     * for this request, such as room to write. */
    void (*wait)(struct executor *executor, struct request *request);
    /* Main thread, lock not held, once a turn: what belongs to the main thread is done here, for a
     * short time. True: there is more to do, so the next turn should come at once. */
    bool (*turn)(struct executor *executor);
    /* Main thread, after the last turn: gives back the requests that it has not run. */
    void (*stop)(struct executor *executor);
};

struct executor {
    const struct executor_ops *ops;
};

#endif
