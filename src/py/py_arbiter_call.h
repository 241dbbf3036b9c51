/* SPDX-License-Identifier: MIT */
/*
 * Calls from the arbiter's core into Python: of hooks, and what becomes of their results and
 * exceptions. Main thread, GIL held.
 */
#ifndef SAOLA_PY_PY_ARBITER_CALL_H
#define SAOLA_PY_PY_ARBITER_CALL_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "base/macros.h"
#include "proc/arbiter.h"
#include "py/py_object.h"

#include <stdint.h>

/* One per run, on its stack. The exception that the core calls "held by the host" is the one that
 * is raised at the time: every callback returns with it, and the core does nothing of Python's
 * until it has returned or asked for a report. */
struct py_arbiter {
    struct arbiter core;
    PyObject *module;   /* borrowed */
    PyObject *object;   /* borrowed: the saola.arbiter.Arbiter */
    PyObject *cfg;      /* owned: has core.cfg */
    PyObject *next_cfg; /* owned: while a reload is in progress */
    /* Owned: a set of the names of those methods that are not saola.arbiter.Arbiter's own. */
    PyObject *overridden;
};

/* --- results and attributes --- */

/* For callbacks that cannot fail for the core: the log gets the exception. */
void py_done_or_log(PyObject *result, const char *what);

/* Brings up to date what hooks read from the arbiter object. -ECANCELED with an exception, as all
 * of these. */
int py_arbiter_update(const struct py_arbiter *py) NODISCARD;

/* The child is no longer among the workers of the arbiter object. */
int py_arbiter_forget(const struct py_arbiter *py, const struct child *child) NODISCARD;

/* --- hooks: see struct arbiter_host --- */

int py_arbiter_call_hook(void *context, enum arbiter_hook hook, struct child *child) NODISCARD;
int py_arbiter_call_nworkers_changed(void *context, int64_t now, int64_t old) NODISCARD;

/* --- exceptions --- */

/* See struct arbiter_host. */
int py_arbiter_report(void *context);

#endif
