/* SPDX-License-Identifier: MIT */
/*
 * The worker process, Python's half: loads the application, installs the signal handlers, and turns
 * the crank of struct worker. What saola.workers.base.Worker needs of it, in its signal handlers
 * most of all, are functions of the module: worker_retire(), worker_stop() and the like.
 */
#ifndef SAOLA_PY_PY_WORKER_H
#define SAOLA_PY_PY_WORKER_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

struct py_worker;
struct worker_start;

/* Adds those functions. 0, or -1 with an exception. */
int py_worker_add(PyObject *module);

/* USR1, in a worker. GIL held, main thread. */
void py_worker_reopen_access_log(struct py_worker *worker);

/* In the worker process, main thread, GIL held: runs the worker to its end and returns its exit
 * code. `worker_object` is the saola.workers.base.Worker that hooks get; it has the application. */
int py_worker_run(PyObject *module, const struct worker_start *start, PyObject *worker_object);

#endif
