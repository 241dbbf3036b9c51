/* SPDX-License-Identifier: MIT */
/*
 * The arbiter's half of the Python bridge: arbiter_run(), and the callbacks by which the core
 * reaches saola.arbiter.Arbiter and the hooks. Main thread, GIL held.
 */
#ifndef SAOLA_PY_PY_ARBITER_H
#define SAOLA_PY_PY_ARBITER_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

int py_arbiter_add(PyObject *module);

#endif
