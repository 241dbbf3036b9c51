/* SPDX-License-Identifier: MIT */
/*
 * The worker process, Python's half: loads the application, installs the signal handlers, and turns
 * the crank of struct worker. The functions that saola.workers.base.Worker calls from its signal
 * handlers are part of the module: worker_retire(), worker_stop(), worker_reopen_access_log(),
 * worker_requests().
 */
#ifndef SAOLA_PY_PY_WORKER_H
#define SAOLA_PY_PY_WORKER_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

struct py_worker;
struct worker_start;

enum {
    WORKER_EXIT_ERROR = 255,    /* an exception after the boot */
    WORKER_EXIT_BOOT_ERROR = 3, /* Gunicorn's WORKER_BOOT_ERROR */
    WORKER_EXIT_APP_ERROR = 4,  /* Gunicorn's APP_LOAD_ERROR */
};

int py_worker_add(PyObject *module);

/* USR1, in a worker. GIL held, main thread. */
void py_worker_reopen_access_log(struct py_worker *worker);

/* In the worker process, main thread, GIL held: runs the worker to its end and returns its exit
 * code. `worker_object` is the saola.workers.base.Worker that hooks get; it has the application. */
int py_worker_run(PyObject *module, const struct worker_start *start, PyObject *worker_object);

#endif
