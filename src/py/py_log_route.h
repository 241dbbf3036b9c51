/* SPDX-License-Identifier: MIT */
/*
 * The way from the core's own messages, and from requests, to a logger in Python, for
 * configurations that are not the stock one. saola.glogging says what is to go that way by giving
 * functions; what has none stays in C.
 *
 * Python's logging may run any code, so it runs only on the main thread, with the GIL, without the
 * loop's lock. In the arbiter, and in a worker that does not serve yet, that is whenever the main
 * thread logs. In a worker that serves, messages wait in a queue until the main thread is between
 * two turns of its loop: the standby thread just adds to it. When the queue is full, messages go to
 * the error log in C, where they also go if the logger raises an exception.
 */
#ifndef SAOLA_PY_PY_LOG_ROUTE_H
#define SAOLA_PY_PY_LOG_ROUTE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "base/list.h"
#include "base/macros.h"

#include <pthread.h>
#include <stdbool.h>

enum { LOG_ROUTE_QUEUE_MAX = 1000 };

/* Something that waits for the main thread. Whoever adds it embeds this struct. */
struct log_note {
    struct list node;
    void (*deliver)(struct log_note *note, PyObject *function); /* leaves no exception */
    void (*release)(struct log_note *note);
    PyObject *const *function; /* a member of struct log_route */
};

struct log_route {
    PyObject *message;   /* (level, text, metric, type, value); owned, as all; NULL: stays in C */
    PyObject *exception; /* (level, text, exception) */
    PyObject *access;    /* (request, environ, response, status, us, queue_us) */
    PyObject *refused;   /* (method, target, path, query, version, headers, peer, status) */
    pthread_t main;
    bool direct;          /* the main thread may call Python at once */
    pthread_mutex_t lock; /* of the queue */
    struct list notes;
    unsigned n_notes;
};

void log_route_init(struct log_route *route);
void log_route_fini(struct log_route *route);
int log_route_traverse(const struct log_route *route, visitproc visit, void *arg);
void log_route_clear(struct log_route *route);

/* Takes new functions (None: stays in C). */
void log_route_set(struct log_route *route, PyObject *message, PyObject *exception,
                   PyObject *access, PyObject *refused);

/* From now on messages wait for log_route_drain(), or no longer. */
void log_route_set_direct(struct log_route *route, bool direct);

/* In a forked child that has no other thread: what waits is the parent's. */
void log_route_forked(struct log_route *route);

/* False: there is no room, and the caller keeps it. Any thread. */
bool log_route_add(struct log_route *route, struct log_note *note) NODISCARD;

/* Delivers what waits. GIL held, main thread, no lock. */
void log_route_drain(struct log_route *route);

/* Logs `message` with the exception, which stays the caller's. False: the logger would not take it,
 * or there is none. GIL held; no exception set, before and after. */
bool log_route_exception(struct log_route *route, int level, const char *message,
                         PyObject *exception);

/* For who has called the logger in vain: tells stderr about the exception that is set. */
void log_route_failed(PyObject *function);

#endif
