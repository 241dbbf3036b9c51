/* SPDX-License-Identifier: MIT */
/*
 * The inline executor of the worker class sync: the main thread drives the loop and runs the
 * application, one request at a time, in the order in which the requests became complete. The
 * standby (net/standby.h) drives the loop when the application takes long. While it does, the
 * listeners are out of the loop, so that the kernel gives new connections to a worker that is idle.
 */
#ifndef SAOLA_APP_INLINE_H
#define SAOLA_APP_INLINE_H

#include "app/deadline.h"
#include "app/executor.h"
#include "base/list.h"
#include "net/standby.h"

#include <stdbool.h>
#include <stdint.h>

struct conn;
struct http_server;
struct request;
struct slot;

struct inline_executor {
    struct executor executor; /* first */
    struct http_server *server;
    struct application application;
    struct list ready;    /* struct request, oldest first; loop lock */
    struct conn *current; /* whose request was the last to be run; loop lock */
    struct standby standby;
    struct deadline deadline; /* of the request that runs; off at first */
    bool stopping;            /* main thread: no further request is to be run */
    /* Main thread, lock not held: a request is about to run, or has been; NULL: nobody asks. */
    void (*observe)(void *context, struct request *request);
    void (*idle)(void *context); /* while the application waits for a slow peer: still alive */
    /* Any driver, loop lock held: requests may have to wait long for the one that runs. Returns in
     * how many milliseconds it is to be called again, if the driver has waited for events so long.
     */
    int (*crowded)(void *context);
    void *context;
};

/* The caller sets observe, idle and context afterwards if it wants them. */
void inline_executor_init(struct inline_executor *executor, struct http_server *server,
                          const struct application *application);

/* Main thread: the application is being called, so this is one of its signal handlers. */
bool inline_executor_is_running(const struct inline_executor *executor);

/* Loop lock held: offers every request that waits, oldest first, to `offer`, which takes it, or
 * returns negative errno and leaves it here. */
void inline_executor_offer(struct inline_executor *executor,
                           int (*offer)(void *context, struct request *request), void *context);

#endif
