/* SPDX-License-Identifier: MIT */
/*
 * The extension module saola._core: its state and how to find it.
 *
 * Multi-phase initialisation: everything that the module owns is in struct module_state, which
 * belongs to the module object; there are no static Python objects. All functions here need
 * the GIL.
 */
#ifndef SAOLA_PY_MODULE_H
#define SAOLA_PY_MODULE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "http/access_log.h"
#include "py/py_log_route.h"
#include "py/wsgi_types.h"

struct arbiter;
struct py_worker;

struct module_state {
    struct wsgi_types wsgi;
    struct access_log access_log;            /* of this process; workers inherit it */
    struct access_log_format *access_format; /* owned */
    struct arbiter *arbiter;                 /* while arbiter_run() runs; not owned */
    struct py_worker *worker;                /* while py_worker_run() runs; not owned */
    struct log_route log_route;
};

struct module_state *module_state_get(PyObject *module);

/* For who has no module at hand: NULL, without an exception, if it is not imported. */
struct module_state *module_state_find(void);

#endif
