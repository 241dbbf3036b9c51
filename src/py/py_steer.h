/* SPDX-License-Identifier: MIT */
/*
 * The functions of the module by which Python code steers the running arbiter: what the methods of
 * saola.arbiter.Arbiter are made of. They raise RuntimeError where no arbiter runs, in a worker for
 * instance. Arbiter process, main thread, GIL held.
 */
#ifndef SAOLA_PY_PY_STEER_H
#define SAOLA_PY_PY_STEER_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>
#include <sys/types.h>

int py_steer_add(PyObject *module);

/* The last sign of life of the worker with that pid, monotonic; 0: there is none. */
int64_t py_steer_heartbeat(PyObject *module, pid_t pid);

#endif
