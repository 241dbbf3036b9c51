/* SPDX-License-Identifier: MIT */
/*
 * A worker process: a loop, an HTTP server on it, an executor, and the slot through which the
 * arbiter watches it.
 *
 * The owner (the Python bridge) calls, on the main thread:
 *
 *     worker_init();  while (worker_wait() >= 0 && worker_turn()) ...;  worker_fini();
 *
 * worker_wait() blocks and touches nothing of Python's: the owner releases the GIL around it.
 * worker_turn() runs the application. The worker_retire() family may be called between turns, and
 * by signal handlers that run on the main thread within a turn.
 */
#ifndef SAOLA_PROC_WORKER_H
#define SAOLA_PROC_WORKER_H

#include "app/inline.h"
#include "base/macros.h"
#include "http/access_log.h"
#include "http/server.h"
#include "net/loop.h"
#include "proc/exchange.h"
#include "proc/siblings.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct config;
struct slot;
struct worker_start;

struct worker {
    const struct worker_start *start; /* not owned, as what it points to */
    struct loop loop;
    struct http_server server;
    struct inline_executor executor;
    struct access_log *access_log; /* not owned; may be off */
    struct siblings siblings;
    struct exchange exchange;
    struct watch parent;    /* readable when the arbiter is dead */
    int64_t parent_seen_ns; /* monotonic: that the arbiter is the parent */
    struct network_list trusted;
    struct span *forwarder_headers; /* owned, as scheme_headers */
    struct h1_scheme_header *scheme_headers;
    int64_t max_requests;      /* with its jitter; 0: no limit */
    int64_t requests;          /* begun */
    int64_t drain_deadline_ns; /* monotonic; 0: not draining */
    int wait_ms;               /* until the next timeout */
    bool serving;              /* the listeners are in the loop */
    bool keeps_some;           /* draining: a connection that is to go has not found room */
    bool stopping;             /* ends now, whatever is in progress */
    atomic_bool orphaned;      /* the arbiter is dead: whoever drives the loop finds out */
};

/* Sets up everything but the application's own part. On failure, negative errno and *ret_error, a
 * text for the user (to be freed); worker_fini() is not needed. */
int worker_init(struct worker *worker, const struct worker_start *start,
                const struct application *application, struct access_log *access_log,
                char **ret_error) NODISCARD;
void worker_fini(struct worker *worker);

/* It has been told to end. */
bool worker_is_leaving(const struct worker *worker);

/* What the Server field of responses says, instead of "saola"; the caller keeps the text. Before
 * worker_serve(). */
void worker_set_server_token(struct worker *worker, struct span token);

/* Listens from now on, unless it has been told to end. Before the first wait, after the application
 * has been loaded. Negative errno. */
int worker_serve(struct worker *worker) NODISCARD;

/* Waits for events. -EINTR after a signal; every other failure is fatal. */
int worker_wait(struct worker *worker);

/* Acts on what worker_wait() brought and runs the application for every complete request. False:
 * the worker has ended. */
bool worker_turn(struct worker *worker);

/* TERM: no new connections; requests in progress are finished within graceful_timeout; connections
 * that wait go to the other workers, if there are any. */
void worker_retire(struct worker *worker);

/* INT, QUIT: ends after the request that runs; everything else goes to the other workers, or waits
 * for the next one. */
void worker_stop(struct worker *worker);

/* In a child that the application has forked, which is no worker: gives up, without touching what
 * is shared with the worker, its connections, listeners and access log lines. */
void worker_abandon(struct worker *worker);

/* USR1; the error log is everybody's, and reopened by the caller. */
void worker_reopen_access_log(struct worker *worker);

#endif
